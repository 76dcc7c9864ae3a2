"""Options of the whole suite.

Profiles of hypothesis: the default keeps the suite short, `thorough` draws twenty times as many examples.
`--implementation` puts another implementation before the laws: see tests/README.md.
"""
import os

from hypothesis import settings

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption("--implementation", default=os.environ.get("DDPM_IMPLEMENTATION", "tinyddpm"), metavar="NAME",
                     help="who stands trial before tests/laws: a name in tests/implementations, or the path of a .py file")
    parser.addoption("--strict-laws", action="store_true", help="a function that is missing fails its laws")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "error")  # no warning escapes in normal use


def pytest_report_header(config):
    return f"on trial before the laws: {config.getoption('implementation')}"
