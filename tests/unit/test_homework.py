"""The course's homework: empty, it is not written yet; solved, everything holds, and it trains."""
import importlib.util
import sys
import types
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HOMEWORK = TESTS.parent / "demos" / "course" / "homework.py"
sys.path[:0] = [str(TESTS / "laws"), str(TESTS / "museum")]
import judge  # noqa: E402
import smoke  # noqa: E402
from exhibits import EXHIBITS  # noqa: E402
from implementation import Implementation, load  # noqa: E402
from loader import PLAIN, implementation  # noqa: E402
from report import Museum, exercises  # noqa: E402

LAWS = judge.all_laws()


def solved(source):
    """The homework with the functions of another module in its holes."""
    module = load(HOMEWORK)
    for name in module.EXERCISES:
        setattr(module, name, getattr(source, name))
    return module


def verdicts(module):
    ddpm = Implementation(module)
    assert smoke.smoke(ddpm) == {}
    return {name: judge.judge(law, ddpm, shrink=False) for name, law in LAWS.items()}


def test_the_empty_homework_is_not_written_yet():
    found = verdicts(load(HOMEWORK))
    assert {v.kind for n, v in found.items() if judge.needs(LAWS[n])} == {judge.MISSING}
    assert {kind for _, _, kind in exercises(load(HOMEWORK), LAWS, found)} == {"not written yet"}


@pytest.mark.parametrize("file, round_off", [
    ("implementations/tinyddpm.py", False), ("museum/plain.py", True),
    ("museum/plain_torch.py", True)])
def test_a_solution_holds(file, round_off):
    """The package's own functions, the textbook's, and PyTorch's."""
    if "torch" in file and importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    module = solved(load(TESTS / file))
    found = verdicts(module)
    kinds = {kind for _, _, kind in exercises(module, LAWS, found)}
    assert kinds <= {judge.HOLDS} | ({judge.ROUND_OFF} if round_off else set())
    assert judge.BROKEN not in {verdict.kind for verdict in found.values()}


def test_a_solution_learns_moons(tmp_path, monkeypatch, capsys):
    module = solved(load(TESTS / "implementations" / "tinyddpm.py"))
    loss = module.main(steps=60, T=25, out=tmp_path / "homework.png")
    assert loss < 0.9 and (tmp_path / "homework.png").stat().st_size > 10_000
    assert "the last loss is" in capsys.readouterr().out


IN_A_HOLE = [exhibit for exhibit in EXHIBITS
             if exhibit.file == PLAIN and exhibit.inside in load(HOMEWORK).EXERCISES
             and judge.needs(LAWS[exhibit.law])]


@pytest.mark.parametrize("exhibit", IN_A_HOLE, ids=lambda exhibit: exhibit.name)
def test_a_bug_of_the_museum_is_named(exhibit):
    """A homework with this bug: its law is broken, and the hint is this bug, or one like it."""
    wrong = implementation(exhibit).module
    module = solved(wrong)
    verdict = judge.judge(LAWS[exhibit.law], Implementation(module))
    assert verdict.kind == exhibit.verdict
    entry = types.SimpleNamespace(name=exhibit.law, law=LAWS[exhibit.law], verdict=verdict)
    hint = Museum([entry]).same(entry)
    assert hint is not None and hint.law == exhibit.law
