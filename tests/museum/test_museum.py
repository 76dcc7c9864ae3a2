"""The laws bite: each exhibit breaks the law it names, ours breaks none, and no law is decoration."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from exhibits import EXHIBITS  # noqa: E402
from loader import broken_by, implementation, laws  # noqa: E402

LAWS = laws()


@pytest.fixture(scope="module")
def ours():
    return implementation()


@pytest.mark.parametrize("name", LAWS)
def test_ours_obeys(name, ours):
    LAWS[name](ours)


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_exhibit_is_caught(exhibit):
    assert broken_by(LAWS[exhibit.law], implementation(exhibit)), f"{exhibit.law} did not see that {exhibit.wrong!r} is wrong"


def test_no_law_is_decoration():
    idle = set(LAWS) - {exhibit.law for exhibit in EXHIBITS}
    assert not idle, f"no exhibit is known to break {', '.join(sorted(idle))}"


def test_names_are_told_apart():
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS) >= 60
