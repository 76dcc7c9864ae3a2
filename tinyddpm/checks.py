"""Argument checks: a ValueError names the argument, its value and what is allowed."""
from typing import Any

import numpy as np
from autograd.tracer import getval


def check(fine: Any, name: str, value: Any, allowed: str) -> None:
    """ValueError "name = value: allowed", unless `fine`."""
    if not fine:
        raise ValueError(f"{name} = {value}: {allowed}")


def check_same_shape(**arrays: Any) -> None:
    """ValueError where named arrays differ in shape: (B, 1) and (B,) would broadcast silently."""
    (first, reference), *rest = arrays.items()
    for name, array in rest:
        if np.shape(reference) != np.shape(array):
            raise ValueError(f"{name} has shape {np.shape(array)} and {first} has "
                             f"{np.shape(reference)}: they must be the same")


def check_finite(**arrays: Any) -> None:
    """ValueError where a named array holds a NaN or an infinity."""
    for name, array in arrays.items():
        not_finite = ~np.isfinite(array)
        if not_finite.any():
            value = np.asarray(array)[not_finite][0]
            raise ValueError(f"{name} holds {value}: its numbers must be finite")


def check_variance(var: Any, name: str = "var", zero_allowed: bool = False) -> None:
    """ValueError for a variance below 0; for 0 too, unless allowed: it has no density."""
    outside = var < 0 if zero_allowed else var <= 0
    if np.asarray(outside).any():
        allowed = "a variance is 0 or more" if zero_allowed else "a density needs one above 0"
        raise ValueError(f"{name} = {np.min(getval(getval(var)))}: {allowed}")


def check_integer(name: str, value: Any, least: int = 1) -> None:
    """ValueError unless the value is an integer of `least` or more."""
    fine = isinstance(value, (int, np.integer)) and value >= least
    check(fine, name, value, f"a whole number of {least} or more")
