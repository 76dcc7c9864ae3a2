"""The forward process q: noise is added step by step until almost only noise is left.

Nothing is learned here.  Step t multiplies the signal by √α_t and adds noise of variance
β_t = 1 − α_t: data of variance 1 then keep variance 1, since α_t·1 + β_t = 1.  A sum of
independent Gaussians is a Gaussian, so t steps together are one Gaussian, too.

If x_0 is known, one step *back*, q(x_{t−1} | x_t, x_0), is also a Gaussian.  It is called the
posterior, and the reverse process approximates it.

`diffuse` returns a draw, every other function the `Gaussian` of its equation.
x_0, x_t, …: (B, …) of floats; t: int, or (B,) with one t for each item, in 1…T.
ValueError of all functions: t outside 1…T, shapes that differ.
"""
import autograd.numpy as anp
import numpy as np

from .checks import check, check_same_shape
from .gaussian import Array, Gaussian
from .schedule import Schedule, cast_like


def forward_step(schedule: Schedule, x_prev: Array, t: int | Array) -> Gaussian:
    """q(x_t | x_{t−1}) = N(√α_t·x_{t−1}, β_t): one step of noise (Ho 2).  x_prev: x_{t−1}."""
    at = schedule.coefficients_at(t, x_prev)
    scale, var = cast_like(x_prev, anp.sqrt(at.alpha), at.beta)
    return Gaussian(scale * x_prev, var)


def marginal(schedule: Schedule, x_0: Array, t: int | Array) -> Gaussian:
    """q(x_t | x_0) = N(√ᾱ_t·x_0, 1 − ᾱ_t): t steps at once (5.1.2, Ho 4, Luo 70).

    By induction: step t turns the mean √ᾱ_{t−1}·x_0 into √α_t·√ᾱ_{t−1}·x_0 = √ᾱ_t·x_0, and the
    variance 1 − ᾱ_{t−1} into α_t·(1 − ᾱ_{t−1}) + β_t = 1 − ᾱ_t.
    """
    at = schedule.coefficients_at(t, x_0)
    scale, var = cast_like(x_0, anp.sqrt(at.alpha_bar), at.one_minus_alpha_bar)
    return Gaussian(scale * x_0, var)


def diffuse(schedule: Schedule, x_0: Array, t: int | Array, eps: Array) -> Array:
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε: a reparameterised draw from q(x_t | x_0) (Ho 4, Luo 69).

    eps: ε ~ N(0, I), in the shape and dtype of x_0.
    """
    check_same_shape(x_0=x_0, eps=eps)
    return marginal(schedule, x_0, t).sample(eps)


def transition(schedule: Schedule, x_s: Array, s: int | Array, t: int | Array) -> Gaussian:
    """q(x_t | x_s) = N(√(ᾱ_t/ᾱ_s)·x_s, 1 − ᾱ_t/ᾱ_s) for 0 ≤ s < t.

    With s = t − 1 it is `forward_step`, with s = 0 `marginal`.  ValueError: unless 0 ≤ s < t ≤ T.
    """
    check(np.all(np.asarray(s) < np.asarray(t)), "s", s,
          f"smaller than t = {t}, as q(x_t | x_s) runs forward")
    log_alpha_bar_s = schedule.coefficients_at(s, x_s, lowest=0).log_alpha_bar
    log_ratio = schedule.coefficients_at(t, x_s).log_alpha_bar - log_alpha_bar_s
    scale, var = cast_like(x_s, anp.exp(log_ratio / 2), -anp.expm1(log_ratio))
    return Gaussian(scale * x_s, var)


def posterior(schedule: Schedule, x_t: Array, t: int | Array, x_0: Array) -> Gaussian:
    """q(x_{t−1} | x_t, x_0) = N(μ̃_t, β̃_t): one step back, for known x_0 (Luo 84, Ho 6–7).

    Bayes' rule: as a function of x_{t−1} it is proportional to q(x_t | x_{t−1})·q(x_{t−1} | x_0).
    For t ≥ 2 the first has its centre at x_t/√α_t and the precision (one over the variance)
    α_t/β_t, the second is at √ᾱ_{t−1}·x_0 with 1/(1 − ᾱ_{t−1}).  The precisions add up, and weigh
    the centres:
        1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1}),
        μ̃_t = β̃_t·[√α_t·x_t/β_t + √ᾱ_{t−1}·x_0/(1 − ᾱ_{t−1})].
    With α_t·(1 − ᾱ_{t−1}) + β_t = 1 − ᾱ_t this becomes
        μ̃_t = [√ᾱ_{t−1}·β_t·x_0 + √α_t·(1 − ᾱ_{t−1})·x_t]/(1 − ᾱ_t),
        β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t).
    At t = 1 all probability is at x_0.
    """
    check_same_shape(x_t=x_t, x_0=x_0)
    at = schedule.coefficients_at(t, x_t)
    coef_x_0, coef_x_t, var = cast_like(x_t, at.coef_x_0, at.coef_x_t, at.beta_tilde)
    return Gaussian(coef_x_0 * x_0 + coef_x_t * x_t, var)
