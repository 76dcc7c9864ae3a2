"""The variance of the exact step back, from the variance of x_0 given x_t."""
import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from ..gaussian import Array
from ..reverse import log_variance_range
from ..schedule import Schedule, cast_like


def fraction_from_variance(schedule: Schedule, var_x_0: Array, t: int | Array) -> Array:
    """The log_var_fraction that gives σ_t² = β̃_t + coef_x_0²·Var(x_0 | x_t).

    That is the variance of x_{t−1} given x_t, by the law of total variance: the posterior's mean is affine in x_0,
    which is itself uncertain (Bao et al. 2022b, for each coordinate).  Var(x_0 | x_t) = 0, as for a single point,
    gives β̃_t and a fraction of 0; 1 − ᾱ_t, as for x_0 ~ N(0, I), gives β_t and a fraction of 1; more, as for
    a pixel that is black or white, a fraction above 1.  At t = 1, where σ_1² is the decoder's, it is 1.
    The fraction belongs to this schedule: a respaced chain needs a fixed variance, or a fraction of its own.
    var_x_0: Var(x_0 | x_t) ≥ 0, (B, …); t: int or (B,) in 1…T.  ValueError: t outside 1…T, a variance below 0.
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
