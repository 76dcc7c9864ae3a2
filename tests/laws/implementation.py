"""An implementation on trial: its functions, with arrays as results and errors in one sentence."""
import functools
import importlib.util
import inspect
import warnings
from pathlib import Path

import interface
import numpy as np
from verdict import Violation

INTERFACE = [name for name, value in vars(interface).items() if inspect.isfunction(value)]


class Missing(Exception):
    """The implementation lacks a function, or declines these arguments."""


class Lacking(Missing):
    """It lacks it whatever the arguments are: other draws would not help."""


def as_array(value):
    """Whatever a function returns, as a NumPy array; of floats, as float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


class Implementation:
    """An implementation's functions: results become arrays, and errors become one sentence.

    module    whose functions they are
    slips     {function: sentence}, what the smoke round found
    unwritten functions that raise NotImplementedError without a reason
    single    whether it computes in float32; None: not known yet (`smoke.is_single`)
    warnings  what becomes of a warning: "ignore" or "error"
    """

    def __init__(self, module, warnings="ignore"):
        self.module, self.warnings, self.slips, self.unwritten = module, warnings, {}, set()
        self.single = True if getattr(module, "PRECISION", "") == "float32" else None

    def __getattr__(self, name):
        if name not in INTERFACE:
            raise AttributeError(name)
        function = getattr(self.module, name, None)
        if function is None:
            raise Missing(name)
        if name in self.slips:
            raise Violation(self.slips[name])
        return functools.partial(self._call, name, function)

    def has(self, name):
        return hasattr(self.module, name) and name not in self.unwritten

    def _call(self, name, function, *arguments, **options):
        arguments = [taking_tensors(a) if callable(a) else a for a in arguments]
        parameters = inspect.signature(function).parameters.values()
        if options and not any(p.name in options or p.kind is p.VAR_KEYWORD for p in parameters):
            raise Lacking(f"{name} with {', '.join(options)}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(self.warnings)
                result = function(*arguments, **options)
            parts = result if isinstance(result, tuple) else (result,)
            if any("float32" in str(getattr(part, "dtype", "")) for part in parts):
                self.single = True
            parts = tuple(map(as_array, parts))
        except NotImplementedError as error:
            if not error.args:
                self.unwritten.add(name)
                raise Lacking(name) from None
            raise Missing(f"{name} {error}") from None
        except (Violation, Missing):
            raise
        except Exception as error:
            if name == "linear_beta" and isinstance(error, (ValueError, AssertionError)):
                raise ValueError(str(error)) from None
            raise Violation(f"{name} raised {type(error).__name__}: {error}") from None
        if any(part.dtype.kind not in "fiu" for part in parts):
            returned = "nothing" if result is None else repr(result)[:60]
            raise Violation(f"{name} returned {returned}, not numbers")
        return parts if isinstance(result, tuple) else parts[0]


def taking_tensors(function):
    """A denoiser of a law's, that may be called with tensors, and then returns one."""
    def called(x, t):
        result = function(as_array(x), as_array(t))
        return x.new_tensor(result) if hasattr(x, "new_tensor") else result
    return called


def load(path):
    """The module of an implementation's file."""
    spec = importlib.util.spec_from_file_location(f"{Path(path).stem} (under the laws)", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
