"""Who is on trial: `ddpm` is the implementation that every law speaks about."""
import ast
import functools
import importlib.util
from pathlib import Path

import strategies
import hypothesis
import numpy as np
import pytest

IMPLEMENTATIONS = Path(__file__).parent.parent / "implementations"
OURS = ast.parse((IMPLEMENTATIONS / "tinyddpm.py").read_text(encoding="utf-8"))
INTERFACE = {node.name for node in OURS.body if isinstance(node, ast.FunctionDef)}  # what laws may ask for


def find(name):
    """The file of an implementation: a name in tests/implementations, or a path of your own."""
    return Path(name) if name.endswith(".py") else IMPLEMENTATIONS / f"{name}.py"


class OnTrial:
    """An implementation's functions; one it lacks skips the law that asks for it, or fails it with --strict-laws.

    What a function raises is told in a sentence, but for a ValueError of linear_beta, which a law allows, and a
    NotImplementedError: arguments that this implementation does not offer, which are drawn no further.
    """

    def __init__(self, module, strict):
        self._module, self._strict, self._declined = module, strict, None

    def _lacks(self, what):
        (pytest.fail if self._strict else pytest.skip)(f"{Path(self._module.__file__).stem} has no {what}")

    def __getattr__(self, name):
        if name not in INTERFACE:  # hypothesis asks every argument for names of its own
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
                hypothesis.reject() if hypothesis.currently_in_test_context() else self._lacks(self._declined)
            except Exception as error:
                if name == "linear_beta" and isinstance(error, ValueError):
                    raise
                raise AssertionError(f"{name} raised {type(error).__name__}: {error}") from None
            if not all(np.asarray(part).dtype.kind in "fiu" for part in (result if isinstance(result, tuple) else [result])):
                raise AssertionError(f"{name} returned {'nothing' if result is None else repr(result)[:80]}: numbers are asked for")
            return result
        return called


@pytest.fixture(scope="session")
def ddpm(request):
    path = find(request.config.getoption("implementation"))
    try:
        spec = importlib.util.spec_from_file_location(path.stem + " (on trial)", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(f"{path} needs what is not installed here: {error}")
    except Exception as error:
        pytest.fail(f"{path} cannot be imported: {type(error).__name__}: {error}", pytrace=False)
    strategies.PRECISION = request.config.getoption("precision") or getattr(module, "PRECISION", "float64")
    if strategies.PRECISION not in ("float32", "float64"):
        pytest.fail(f"{path}: PRECISION = {strategies.PRECISION!r}: float32 or float64", pytrace=False)
    yield OnTrial(module, request.config.getoption("strict_laws"))
    strategies.PRECISION = "float64"


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """What became of a law, told in a sentence.

    One of which no example is left, since the implementation offers none, is one that it lacks.  One that cannot
    reckon with what it was given, an array of another shape, say, has failed; of ours we want to see where.
    """
    on_trial = pyfuncitem.funcargs.get("ddpm")
    try:
        return (yield)
    except (LookupError, TypeError, ValueError) as error:
        if pyfuncitem.config.getoption("implementation") == "tinyddpm":
            raise
        notes = "\n".join(getattr(error, "__notes__", []))
        pytest.fail(f"the law cannot reckon with what was returned: {type(error).__name__}: {error}\n{notes}", pytrace=False)
    except (hypothesis.errors.Unsatisfiable, hypothesis.errors.FailedHealthCheck):
        if not (on_trial and on_trial._declined):
            raise
        on_trial._lacks(on_trial._declined)


def pytest_collection_modifyitems(config, items):
    """Known failures, `law: reason` a line in NAME.known beside NAME.py, are expected, and it is told if they pass."""
    known = find(config.getoption("implementation")).with_suffix(".known")
    if known.is_file():
        reasons = dict(line.split(": ", 1) for line in known.read_text(encoding="utf-8").splitlines() if ": " in line)
        for item in items:
            if item.name.split("[")[0] in reasons and item.path.parent == Path(__file__).parent:
                item.add_marker(pytest.mark.xfail(reason=reasons[item.name.split("[")[0]], strict=False))
