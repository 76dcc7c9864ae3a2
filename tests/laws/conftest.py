"""The fixture `ddpm`, the implementation that every law tries; and what is reported of a law."""
import ast
import functools
import importlib.util
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import strategies

LAWS = Path(__file__).parent
IMPLEMENTATIONS = LAWS.parent / "implementations"
OURS = ast.parse((IMPLEMENTATIONS / "tinyddpm.py").read_text(encoding="utf-8"))
INTERFACE = {node.name for node in OURS.body if isinstance(node, ast.FunctionDef)}


def find(name):
    """The file of an implementation: a name in tests/implementations, or the path of a file."""
    return Path(name) if name.endswith(".py") else IMPLEMENTATIONS / f"{name}.py"


class Implementation:
    """An implementation's functions, with their errors reported in one sentence.

    A function that it does not have skips the law that needs it, or fails it with --strict-laws.
    NotImplementedError means that it does not take these arguments; hypothesis draws others, and if
    there are none, the function counts as missing.  Any other error fails the law, but for a
    ValueError of linear_beta, which a law allows.
    """

    def __init__(self, module, strict):
        self._module, self._strict, self._declined = module, strict, None

    def _lacks(self, what):
        """Skip, or fail, the law that needs it."""
        report = pytest.fail if self._strict else pytest.skip
        report(f"{Path(self._module.__file__).stem} has no {what}")

    def __getattr__(self, name):
        if name not in INTERFACE:  # hypothesis looks for attributes of its own in every argument
            raise AttributeError(name)
        function = getattr(self._module, name, None)
        if function is None:
            self._lacks(name)

        @functools.wraps(function)
        def called(*arguments, **options):
            try:
                result = function(*arguments, **options)
            except NotImplementedError as error:
                self._declined = f"{name} for {error}"
                if hypothesis.currently_in_test_context():
                    hypothesis.reject()
                self._lacks(self._declined)
            except Exception as error:
                if name == "linear_beta" and isinstance(error, ValueError):
                    raise
                raise AssertionError(f"{name} raised {type(error).__name__}: {error}") from None
            parts = result if isinstance(result, tuple) else [result]
            if not all(np.asarray(part).dtype.kind in "fiu" for part in parts):
                returned = "nothing" if result is None else repr(result)[:80]
                raise AssertionError(f"{name} returned {returned}, not numbers")
            return result
        return called


@pytest.fixture(scope="session")
def ddpm(request):
    path = find(request.config.getoption("implementation"))
    try:
        spec = importlib.util.spec_from_file_location(f"{path.stem} (under the laws)", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(f"{path} needs a module that is not installed: {error}")
    except Exception as error:
        message = f"{path} cannot be imported: {type(error).__name__}: {error}"
        pytest.fail(message, pytrace=False)
    precision = request.config.getoption("precision") or getattr(module, "PRECISION", "float64")
    if precision not in ("float32", "float64"):
        pytest.fail(f"{path}: PRECISION = {precision!r}: float32 or float64", pytrace=False)
    strategies.PRECISION = precision
    yield Implementation(module, request.config.getoption("strict_laws"))
    strategies.PRECISION = "float64"


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Report in one sentence what happened to a law.

    If the implementation declined all arguments that were drawn, it lacks what the law needs.
    If the law cannot compute with what was returned, an array of another shape, say, it has failed;
    for tinyddpm the traceback is kept.
    """
    ddpm = pyfuncitem.funcargs.get("ddpm")
    try:
        return (yield)
    except (LookupError, TypeError, ValueError) as error:
        if pyfuncitem.config.getoption("implementation") == "tinyddpm":
            raise
        notes = "\n".join(getattr(error, "__notes__", []))
        message = (f"the law cannot compute with what was returned: "
                   f"{type(error).__name__}: {error}\n{notes}")
        pytest.fail(message, pytrace=False)
    except (hypothesis.errors.Unsatisfiable, hypothesis.errors.FailedHealthCheck):
        if not (ddpm and ddpm._declined):
            raise
        ddpm._lacks(ddpm._declined)


def pytest_collection_modifyitems(config, items):
    """Failures listed in NAME.known beside NAME.py, one `law: reason` a line, are expected."""
    known = find(config.getoption("implementation")).with_suffix(".known")
    if not known.is_file():
        return
    lines = known.read_text(encoding="utf-8").splitlines()
    reasons = dict(line.split(": ", 1) for line in lines if ": " in line)
    for item in items:
        law = item.name.split("[")[0]
        if law in reasons and item.path.parent == LAWS:
            item.add_marker(pytest.mark.xfail(reason=reasons[law], strict=False))
