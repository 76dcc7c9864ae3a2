"""The decoder p_θ(x_0 | x_1) for images: a probability for each of 256 grey levels (Ho 13).

A pixel has one of 256 levels; level k is the number x_0 = 2k/255 − 1.  The probability of a level
is the integral of the Gaussian p_θ(x_0 | x_1) over its bin, x_0 ± 1/255.  The bins of the first
and the last level extend to −∞ and +∞, so the 256 probabilities sum to one.

(The decoder of real-valued data is the Gaussian's density, `Gaussian.log_prob`.)
"""
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from .checks import check_same_shape, check_variance
from .gaussian import LOG_2PI, Array, Gaussian, sum_over_dimensions

HALF_RANGE = 127.5  # of the levels 0…255: level k stands at x_0 = k/127.5 − 1


def from_levels(images: Array) -> Array:
    """Grey levels 0…255, integers → x_0 in [−1, 1], float32.  ValueError: images of floats."""
    if np.asarray(images).dtype.kind not in "ui":
        raise ValueError(f"images of {np.asarray(images).dtype}: "
                         f"grey levels are whole numbers, 0..255; convert to that range first")
    return images.astype(np.float32) / np.float32(HALF_RANGE) - 1


def to_images(x: Array) -> Array:
    """x in [−1, 1] → the nearest grey levels, uint8; numbers outside become black or white.

    ValueError: a NaN in x.
    """
    levels = np.clip(np.round((np.asarray(x) + 1) * HALF_RANGE), 0, 255)
    if np.isnan(levels).any():
        raise ValueError("x holds a NaN: it must hold numbers")
    return levels.astype(np.uint8)


def to_levels(x_0: Array) -> Array:
    """x_0 → its grey level 0…255, as floats.  ValueError: an entry of x_0 between two levels."""
    level = np.round((x_0 + 1) * HALF_RANGE)
    nearest = level / HALF_RANGE - 1
    fine = (level >= 0) & (level <= 255) & (abs(nearest - x_0) < 1e-4)
    if not fine.all():
        raise ValueError(f"x_0 holds {x_0[~fine].flat[0]}: the discretised decoder takes the 256 "
                         f"levels 2k/255 - 1, k = 0..255, and nothing between them")
    return level


def level_log_prob(p: Gaussian, x_0: Array) -> Array:
    """log of the probability that p gives to each pixel's level, summed, (B,) nats (Ho 13).

    p: p_θ(x_0 | x_1); x_0: the shape of its mean.  ValueError: an x_0 between two levels, shapes
    that differ, a variance that is not positive.
    """
    check_same_shape(mean=p.mean, x_0=x_0)
    check_variance(p.var)
    level, std = to_levels(x_0), anp.sqrt(p.var)
    # Edges are computed from the level, so that neighbouring bins share an edge to the last bit.
    low_edge = (2 * level - 1) / 255 - 1
    high_edge = (2 * level + 1) / 255 - 1
    low = anp.where(level == 0, -np.inf, (low_edge - p.mean) / std)
    high = anp.where(level == 255, np.inf, (high_edge - p.mean) / std)
    return sum_over_dimensions(log_normal_interval(low, high))


@primitive
def log_normal_interval(low: Any, high: Any) -> Any:
    """log[Φ(high) − Φ(low)] for low < high, elementwise; Φ is the standard normal CDF.

    Computed as written, the difference loses all its digits in three cases.  In the right tail both
    Φ round to 1: by symmetry the interval is mirrored into the left tail.  In the left tail both
    underflow: there log(e^a − e^b) = a + log(1 − e^{b−a}), with a = log Φ(high) and b = log Φ(low).
    In a very narrow bin both Φ round to the same number: there the probability is computed as the
    density in the middle of the bin times the width.
    """
    from scipy.special import log_ndtr  # imported here, because only images need SciPy

    in_right_tail = low + high > 0
    low, high = np.where(in_right_tail, -high, low), np.where(in_right_tail, -low, high)
    width, log_high = high - low, log_ndtr(high)
    narrow = width < np.finfo(width.dtype).eps ** (1 / 3)
    with np.errstate(divide="ignore", invalid="ignore"):  # where() below selects one of the two
        by_density = np.log(width) - 0.5 * (LOG_2PI + ((low + high) / 2) ** 2)
        by_difference = log_high + np.log(-np.expm1(log_ndtr(low) - log_high))
    return np.where(narrow, by_density, by_difference)


def _density_over_interval(z: Any, log_interval: Any) -> Any:
    """φ(z)/[Φ(high) − Φ(low)], from logarithms, because φ and the difference could underflow."""
    return anp.exp(-0.5 * (LOG_2PI + z ** 2) - log_interval)


# d/d high log[Φ(high) − Φ(low)] = φ(high)/[Φ(high) − Φ(low)]; d/d low has the opposite sign.
defvjp(log_normal_interval,
       lambda ans, low, high: lambda g: -g * _density_over_interval(low, ans),
       lambda ans, low, high: lambda g: g * _density_over_interval(high, ans))
