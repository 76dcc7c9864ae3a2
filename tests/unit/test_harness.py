"""Who stands trial before the laws may be anything: each law then says in a sentence what is wrong, and nothing else breaks."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAWS = Path(__file__).parents[1] / "laws"
NONSENSE = """
import numpy as np

ANSWERS = [lambda *arguments, **_: np.full(np.shape(arguments[1]) if len(arguments) > 1 else 3, np.nan),
           lambda *_, **__: np.zeros((2, 3, 4, 5)), lambda *_, **__: (np.ones(7), "seven"),
           lambda *_, **__: "word", lambda *_, **__: None, lambda *_, **__: 1 / 0]

def __getattr__(name):
    if name.startswith("__") or name == "PRECISION":
        raise AttributeError(name)
    return ANSWERS[(len(name) + OFFSET) % len(ANSWERS)]
"""


def trial(path, *options, laws="test_i_learning.py"):
    """What pytest prints of a trial, one line a law, and its exit code."""
    done = subprocess.run([sys.executable, "-m", "pytest", str(LAWS / laws), "--implementation", str(path), "-q", "--tb=short", "-rA",
                           "--hypothesis-profile=quick", "-p", "no:cacheprovider", *options],
                          capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"})
    return done.stdout, done.returncode


@pytest.mark.parametrize("offset", [0, 3])
def test_nonsense_is_told_in_a_sentence_a_law(tmp_path, offset):
    """NaN, wrong shapes, words, nothing, errors: from each function another."""
    (tmp_path / "homework.py").write_text(NONSENSE.replace("OFFSET", str(offset)))
    printed, code = trial(tmp_path / "homework.py", laws="")
    rows = [line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR", "PASSED"))]
    failed = [line for line in rows if line.startswith("FAILED")]
    assert code == 1 and len(failed) >= 0.9 * len(rows) > 60, printed[-3000:]
    strangers = [line for line in rows if not (" - AssertionError: " in line or " - Failed: the law cannot reckon with" in line)]
    assert all(line.startswith("PASSED") for line in strangers), "\n".join(strangers)


def test_a_file_that_cannot_be_imported(tmp_path):
    (tmp_path / "broken.py").write_text("def alpha_bar(beta:\n")
    printed, code = trial(tmp_path / "broken.py")
    assert code == 1 and "broken.py cannot be imported: SyntaxError" in printed and "Traceback" not in printed
    (tmp_path / "peer.py").write_text("import a_library_that_nobody_has\n")
    printed, code = trial(tmp_path / "peer.py")
    assert code == 0 and "needs what is not installed here: No module named 'a_library_that_nobody_has'" in printed


def test_what_is_missing_skips_its_laws_or_fails_them(tmp_path):
    (tmp_path / "empty.py").write_text("")
    printed, code = trial(tmp_path / "empty.py")
    assert code == 0 and "passed" not in printed and "empty has no draw_times" in printed
    printed, code = trial(tmp_path / "empty.py", "--strict-laws")
    assert code == 1 and "passed" not in printed and "empty has no draw_times" in printed


def test_known_failures_are_expected(tmp_path):
    (tmp_path / "homework.py").write_text("def draw_times(rng, T, n):\n    return rng.integers(0, T, size=n)\n")
    (tmp_path / "homework.known").write_text("test_times_are_uniform_and_one_for_each_item: choice: 0-based\n")
    printed, code = trial(tmp_path / "homework.py")
    assert code == 0 and "1 xfailed" in printed and "choice: 0-based" in printed
