"""The variance of the exact step back, from the variance of x_0 given x_t."""
import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from ..gaussian import Array
from ..reverse import log_variance_range
from ..schedule import Schedule, cast_like


def fraction_from_variance(schedule: Schedule, var_x_0: Array, t: int | Array) -> Array:
    """The log_var_fraction that gives σ_t² = β̃_t + coef_x_0²·Var(x_0 | x_t).

    That is the variance of x_{t−1} given x_t, by the law of total variance.  q(x_{t−1} | x_t, x_0)
    has the variance β̃_t, and its mean contains coef_x_0·x_0; the second term is the variance of
    coef_x_0·x_0 given x_t.  Bao et al. 2022b (arXiv 2206.07309) derive it for each coordinate;
    theorem 1 of Bao et al. 2022 (arXiv 2201.06503) has one σ_t² for all coordinates and all x_t.

    Var(x_0 | x_t) = 0, as for a single point x_0, gives β̃_t, the fraction 0.
    Var(x_0 | x_t) = 1 − ᾱ_t, as for x_0 ~ N(0, I), gives β_t, the fraction 1.  A larger variance,
    as for a pixel that is either black or white, gives a fraction above 1.  At t = 1, where σ_1² is
    the decoder's, the fraction is 1.
    The fraction belongs to this schedule: a respaced chain takes a fixed variance instead.
    var_x_0: Var(x_0 | x_t) ≥ 0, (B, …); t: int or (B,) in 1…T.
    ValueError: t outside 1…T; a variance below 0.
    """
    if (getval(var_x_0) < 0).any():
        raise ValueError(f"var_x_0 = {np.min(getval(var_x_0))}: a variance of x_0 is 0 or more")
    log_largest, log_smallest = log_variance_range(schedule, var_x_0, t)
    is_first = np.reshape(np.equal(t, 1), np.shape(log_largest))
    fixed = is_first | (log_largest == log_smallest)
    gain = schedule.coefficients_at(t, var_x_0).coef_x_0 ** 2 / np.exp(log_smallest)
    log_ratio = np.where(fixed, 1, log_largest - log_smallest)
    gain, log_ratio = cast_like(var_x_0, gain, log_ratio)
    return anp.where(fixed, 1, anp.log1p(gain * var_x_0) / log_ratio)
