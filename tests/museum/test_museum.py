"""Every exhibit breaks the law it names, and every law catches an exhibit."""
import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from exhibits import EXHIBITS
from loader import Exhibit, implementation, judge, source_of, spoil, verdict_on

LAWS = judge.all_laws()


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_exhibit_is_caught(exhibit):
    verdict = verdict_on(LAWS[exhibit.law], implementation(exhibit))
    assert verdict == exhibit.verdict, f"{exhibit.law} is {verdict} by {exhibit.wrong!r}"


def test_every_law_catches_an_exhibit():
    idle = set(LAWS) - {exhibit.law for exhibit in EXHIBITS}
    assert not idle, f"no exhibit is known to break {', '.join(sorted(idle))}"


def test_every_exhibit_has_a_name_of_its_own():
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS) >= 160


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_an_exhibit_survives_a_reformatting(exhibit):
    """The wrong code finds its place in the same file without comments, with other line breaks."""
    source = source_of(exhibit.file)
    reformatted = ast.unparse(ast.parse(source))
    assert ast.dump(spoil(exhibit, source)) == ast.dump(spoil(exhibit, reformatted))
    assert ast.dump(spoil(exhibit, source)) != ast.dump(ast.parse(source))


SOURCE = """
def f(x):
    y = 2 * (x + 1)
    return y

def g(x):
    y = 2 * (x + 1)  # the same
    return y - 1
"""


def exhibit_of(right, wrong, inside=""):
    return Exhibit("example", "file.py", right, wrong, "a law", "ours", "a lesson", inside)


@pytest.mark.parametrize("right, wrong, inside, spoiled", [
    ("x + 1", "x", "f", "y = 2 * x\n    return y\n"),
    ("y = (2 *\n (x + 1))\nreturn y", "return x", "", "return x\n"),
    ("return y", "y += 1\nreturn y", "", "y = 2 * (x + 1)\n    y += 1\n    return y\n")])
def test_an_expression_or_statements_are_replaced(right, wrong, inside, spoiled):
    tree = spoil(exhibit_of(right, wrong, inside), SOURCE)
    assert ast.unparse(tree).startswith(f"def f(x):\n    {spoiled}\ndef g")


@pytest.mark.parametrize("right, inside, times", [
    ("x + 2", "", 0), ("x + 1", "", 2), ("x + 1", "h", 0), ("return y - 1", "f", 0)])
def test_what_does_not_stand_there_once_is_refused(right, inside, times):
    message = rf"^example: .* stands {times} times in .*file.py, not once"
    with pytest.raises(ValueError, match=message):
        spoil(exhibit_of(right, "x", inside), SOURCE)
