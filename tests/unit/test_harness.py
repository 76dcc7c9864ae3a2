"""The laws take any implementation: each law says in a sentence what is wrong, and none crashes."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAWS = Path(__file__).parents[1] / "laws"
NONSENSE = """
import numpy as np

def full_of_nan(*arguments, **_):
    return np.full(np.shape(arguments[1]) if len(arguments) > 1 else 3, np.nan)

ANSWERS = [full_of_nan, lambda *_, **__: np.zeros((2, 3, 4, 5)),
           lambda *_, **__: (np.ones(7), "seven"),
           lambda *_, **__: "word", lambda *_, **__: None, lambda *_, **__: 1 / 0]

def __getattr__(name):
    if name.startswith("__") or name == "PRECISION":
        raise AttributeError(name)
    return ANSWERS[(len(name) + OFFSET) % len(ANSWERS)]
"""


def try_laws(path, *options, laws="test_i_learning.py"):
    """What pytest prints of the laws tried on a file, one line a law, and its exit code."""
    command = [sys.executable, "-m", "pytest", str(LAWS / laws), "--implementation", str(path),
               "-q", "--tb=short", "-rA", "--hypothesis-profile=quick", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment)
    return done.stdout, done.returncode


def is_one_sentence(line):
    """Whether a line of pytest's summary is a law that passed, or failed in a sentence."""
    return line.startswith("PASSED") or " - Failed: " in line


@pytest.mark.parametrize("offset", [0, 3])
def test_nonsense_fails_each_law_with_one_sentence(tmp_path, offset):
    """NaN, wrong shapes, words, nothing, errors: a different one from each function."""
    (tmp_path / "homework.py").write_text(NONSENSE.replace("OFFSET", str(offset)))
    printed, code = try_laws(tmp_path / "homework.py", laws="")
    rows = [line for line in printed.splitlines()
            if line.startswith(("FAILED", "ERROR", "PASSED"))]
    failed = [line for line in rows if line.startswith("FAILED")]
    assert code == 1 and len(failed) >= 0.9 * len(rows) > 60, printed[-3000:]
    others = [line for line in rows if not is_one_sentence(line)]
    assert not others, "\n".join(others)


def test_a_file_that_cannot_be_imported(tmp_path):
    (tmp_path / "broken.py").write_text("def alpha_bar(beta:\n")
    printed, code = try_laws(tmp_path / "broken.py")
    assert code == 1 and "broken.py cannot be imported: SyntaxError" in printed
    assert "Traceback" not in printed
    (tmp_path / "peer.py").write_text("import a_library_that_nobody_has\n")
    printed, code = try_laws(tmp_path / "peer.py")
    assert code == 0 and "needs a module that is not installed: No module named" in printed
    assert "'a_library_that_nobody_has'" in printed


def test_what_is_missing_skips_its_laws_or_fails_them(tmp_path):
    (tmp_path / "empty.py").write_text("")
    printed, code = try_laws(tmp_path / "empty.py")
    assert code == 0 and "passed" not in printed and "empty has no draw_times" in printed
    printed, code = try_laws(tmp_path / "empty.py", "--strict-laws")
    assert code == 1 and "passed" not in printed and "empty has no draw_times" in printed


def test_known_failures_are_expected(tmp_path):
    zero_based = "def draw_times(rng, T, n):\n    return rng.integers(0, T, size=n)\n"
    (tmp_path / "homework.py").write_text(zero_based)
    known = "test_times_are_uniform: choice: 0-based\ntest_each_item_has_its_own_time: the same\n"
    (tmp_path / "homework.known").write_text(known)
    printed, code = try_laws(tmp_path / "homework.py")
    assert code == 0 and "2 xfailed" in printed and "choice: 0-based" in printed
