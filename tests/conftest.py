"""Options of the whole suite.

Profiles of hypothesis, for tests/unit: the default keeps the suite short; `thorough` draws twenty
times as many examples; `quick` draws fewer and looks for no smaller counterexample (for mutation
testing).  The laws have options of their own: see tests/README.md.
"""
import os
import sys
from pathlib import Path

from hypothesis import Phase, settings

sys.path.insert(0, str(Path(__file__).parent / "tools"))  # tests of the long checks import them

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.register_profile("quick", max_examples=20, deadline=None, database=None,
                          phases=[Phase.explicit, Phase.generate])
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--implementation", metavar="NAME",
        default=os.environ.get("DDPM_IMPLEMENTATION", "tinyddpm"),
        help="whose DDPM the laws try: a name in tests/implementations, or the path of a .py file")
    parser.addoption(
        "--exact", action="store_true",
        help="a law that holds to round-off only fails, too")
    parser.addoption(
        "--examples", type=float, default=1.0, metavar="FACTOR",
        help="how many times as many cases the laws draw")
    parser.addoption(
        "--draws", type=int, metavar="SEED",
        help="other draws for the laws; by default they are always the same")
    parser.addoption(
        "--strict-laws", action="store_true",
        help="a function that is missing fails its laws")


def pytest_configure(config):
    if config.getoption("implementation") == "tinyddpm":  # tinyddpm warns of nothing in normal use
        config.addinivalue_line("filterwarnings", "error")


def pytest_report_header(config):
    return f"the laws try: {config.getoption('implementation')}"
