"""The fixture `ddpm`, the implementation that every law tries; and how a verdict is reported."""
from pathlib import Path

import implementation
import judge
import pytest
import smoke

LAWS = Path(__file__).parent
IMPLEMENTATIONS = LAWS.parent / "implementations"


def find(name):
    """The file of an implementation: a name in tests/implementations, or the path of a file."""
    return Path(name) if name.endswith(".py") else IMPLEMENTATIONS / f"{name}.py"


@pytest.fixture(scope="session")
def ddpm(request):
    name = request.config.getoption("implementation")
    try:
        module = implementation.load(find(name))
    except ModuleNotFoundError as error:
        pytest.skip(f"{name} needs a module that is not installed: {error}")
    except Exception as error:
        message = f"{name} cannot be imported: {type(error).__name__}: {error}"
        pytest.fail(message, pytrace=False)
    # tinyddpm warns of nothing in normal use
    ddpm = implementation.Implementation(module, "error" if name == "tinyddpm" else "ignore")
    ddpm.slips.update(smoke.smoke(ddpm))
    return ddpm


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Judge the law; broken is a failure, and so is round-off with --exact."""
    options = pyfuncitem.config.option
    ddpm = pyfuncitem.funcargs["ddpm"]
    verdict = judge.judge(pyfuncitem.obj, ddpm, options.examples, options.draws)
    pyfuncitem.verdict = verdict
    if verdict.kind == judge.MISSING:
        report = pytest.fail if options.strict_laws else pytest.skip
        report(f"{Path(options.implementation).stem} has no {verdict.why}")
    if verdict.kind == judge.BROKEN:
        case = judge.describe(verdict.smallest.case)
        pytest.fail(f"{verdict.why}\n{case}\n{pyfuncitem.obj.__doc__}", pytrace=False)
    if verdict.kind == judge.ROUND_OFF and options.exact:
        pytest.fail(f"holds to round-off only: {verdict.why}", pytrace=False)
    return True


def pytest_collection_modifyitems(config, items):
    """Failures listed in NAME.known beside NAME.py, one `law: reason` a line, are expected."""
    known = find(config.getoption("implementation")).with_suffix(".known")
    if not known.is_file():
        return
    lines = known.read_text(encoding="utf-8").splitlines()
    reasons = dict(line.split(": ", 1) for line in lines if ": " in line)
    for item in items:
        if item.name in reasons and item.path.parent == LAWS:
            item.add_marker(pytest.mark.xfail(reason=reasons[item.name], strict=False))
