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


def check_generator(rng: Any) -> None:
    """ValueError unless rng draws noise as a NumPy Generator does; a seed does not."""
    # NumPy's older interface, np.random and RandomState, has a `seed` and draws float64 only.
    if not hasattr(rng, "standard_normal") or hasattr(rng, "seed"):
        is_seed = isinstance(rng, (int, np.integer))
        value = rng if is_seed or rng is None else f"an object of type {type(rng).__name__}"
        raise ValueError(f"rng = {value}: it must be a NumPy Generator, "
                         f"np.random.default_rng({rng if is_seed else 'seed'})")


def check_denoiser(denoiser: Any) -> None:
    """ValueError unless the denoiser can be called; a network and a run cannot."""
    check(callable(denoiser), "denoiser", f"an object of type {type(denoiser).__name__}",
          "it must be a function of (x_t, t); denoiser(schedule, network, weights) makes one of a "
          "network, and run.denoiser is that of a run")


def check_integer(name: str, value: Any, least: int = 1) -> None:
    """ValueError unless the value is an integer of `least` or more."""
    fine = isinstance(value, (int, np.integer)) and value >= least
    check(fine, name, value, f"a whole number of {least} or more")
