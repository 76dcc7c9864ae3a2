"""The reverse chain as a linear recursion: its moments, its likelihood, and the gap below it.

If a denoiser is affine in x_t, so is the mean of every reverse step.  Then each x_t of the reverse
chain is Gaussian, and its mean and variance follow from those of x_{t+1}.  So log p_θ(x_0), the
ELBO and the KL between them (2.1) are closed forms.  The exact denoiser of Gaussian data is affine.
"""
from typing import Any, NamedTuple

import numpy as np

from .checks import check
from .gaussian import LOG_2PI, Array
from .oracle import Mixture, terms_from_error
from .reverse import Denoiser, evaluate, fixed_variance, mean_from_eps
from .schedule import Schedule


def _one_component(data: Mixture) -> tuple:
    """Mean and variances of a Gaussian in its own axes, and the axes."""
    if len(data.weights) != 1:
        raise ValueError(f"data has {len(data.weights)} components: "
                         f"the chain is Gaussian only for one")
    return data.means[0] @ data.axes[0], data.variances[0], data.axes[0]


def gaussian_chain(schedule: Schedule, data: Mixture,
                   variance: Any = "beta") -> tuple[Array, Array]:
    """Mean (T + 1, D) and covariance (T + 1, D, D) of Algorithm 2's x_t, t = 0…T.

    For Gaussian data and their exact denoiser.  data: a `Mixture` of one component.  x_T ~ N(0,
    I); the last step adds no noise.
    ValueError: more than one component.
    """
    mean, var, axes = _chain_in_axes(schedule, data, variance)
    return mean @ axes.T, np.einsum("id,td,jd->tij", axes, var, axes)


def _chain_in_axes(schedule: Schedule, data: Mixture, variance: Any) -> tuple[Array, Array, Array]:
    m, s, axes = _one_component(data)
    sigma2 = fixed_variance(schedule, variance)
    mean, var = np.zeros((schedule.T + 1, len(m))), np.ones((schedule.T + 1, len(m)))
    for t in range(schedule.T, 0, -1):
        # Ho 11 with ε* = √(1 − ᾱ)·(x − √ᾱ·m)/(ᾱ·s + 1 − ᾱ).
        alpha_bar, one_minus = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
        share = schedule.beta[t] / (alpha_bar * s + one_minus)
        gain = (1 - share) / np.sqrt(schedule.alpha[t])
        mean[t - 1] = gain * mean[t] + share * np.sqrt(alpha_bar / schedule.alpha[t]) * m
        var[t - 1] = gain ** 2 * var[t] + (sigma2[t] if t > 1 else 0)
    return mean, var, axes


def gaussian_log_likelihood(schedule: Schedule, data: Mixture, x_0: Array,
                            variance: Any = "beta") -> Array:
    """log p_θ(x_0), which the ELBO bounds (2.1): (B,) nats.

    For Gaussian data and their exact denoiser.  x_0: (B, D).  ValueError: more than one component.
    """
    mean, var, axes = _chain_in_axes(schedule, data, variance)
    var_0 = var[0] + fixed_variance(schedule, variance)[1]  # the decoder adds σ_1²
    return -0.5 * (LOG_2PI + np.log(var_0) + (x_0 @ axes - mean[0]) ** 2 / var_0).sum(1)


def gaussian_terms(schedule: Schedule, data: Mixture, x_0: Array, variance: Any = "beta") -> Array:
    """The exact terms for each x_0, averaged over the noise: (B, T + 1) nats, L_0…L_T.

    For Gaussian data and their exact denoiser.  Given x_0, the error x̂_0 − x_0 is Gaussian; in
    each axis its mean is (1 − ᾱ)(m − x_0)/(ᾱ·s + 1 − ᾱ).
    x_0: (B, D).  ValueError: more than one component.
    """
    m, s, axes = _one_component(data)
    alpha_bar, one_minus = schedule.alpha_bar[:, None], schedule.one_minus_alpha_bar[:, None]
    with np.errstate(invalid="ignore"):  # t = 0 is unused
        total = alpha_bar * s + one_minus
        gain, var = one_minus / total, alpha_bar * one_minus * (s / total) ** 2
    error = ((gain * (m - x_0 @ axes)[:, None]) ** 2 + var).sum(-1)
    return terms_from_error(schedule, error, (x_0 ** 2).sum(1), data.dimensions, variance)


def path_kl(schedule: Schedule, denoiser: Denoiser, x_0: Array, variance: Any = "beta") -> Array:
    """KL(q(x_{1:T} | x_0) ‖ p_θ(x_{1:T} | x_0)) = log p_θ(x_0) − ELBO, step by step (2.1).

    Returns (B, T + 1) nats: the sum of a row is the KL.  Column t is the share of step t,
        E KL(q(x_t | x_{t−1}) ‖ p_θ(x_t | x_{t−1})), averaged over x_{t−1} ~ q(x_{t−1} | x_0),
    and column 0 is zero.  The model's step *forward* follows from Bayes' rule,
        p_θ(x_t | x_{t−1}) = p_θ(x_{t−1} | x_t)·p_θ(x_t)/p_θ(x_{t−1}),
    with the marginals p_θ(x_t) of the reverse chain.  Given x_{t−1}, x_t does not depend on
    earlier x.  So the product of these steps is p_θ(x_{1:T} | x_0), as that of q's steps is
    q(x_{1:T} | x_0).
    denoiser: affine in each coordinate, ε̂ = a_t·x_t + c_t.  Then all of these are Gaussians.
    x_0: (B, D); the decoder is a density.
    ValueError: a denoiser that is not affine in each coordinate; a learned variance.
    """
    steps = _affine_steps(schedule, denoiser, x_0.shape[1], variance)
    mean, var = _marginals(steps)
    mean_prev, var_prev, mean, var = mean[:-1], var[:-1], mean[1:], var[1:]
    forward_gain = steps.gain[1:] * var / var_prev
    forward_offset = mean - forward_gain * mean_prev
    forward_var = steps.var[1:] * var / var_prev

    signal_prev = np.sqrt(schedule.alpha_bar[:-1, None])
    noise_prev = schedule.one_minus_alpha_bar[:-1, None]
    r = schedule.beta[1:, None] / forward_var
    difference = np.sqrt(schedule.alpha[1:, None]) - forward_gain  # of the two steps' gains
    bias = difference * signal_prev * x_0[:, None] - forward_offset
    square = difference ** 2 * noise_prev + bias ** 2
    terms = 0.5 * (np.expm1(np.log(r)) - np.log(r) + square / forward_var).sum(-1)
    return np.concatenate([np.zeros((len(x_0), 1)), terms], axis=1)


class AffineSteps(NamedTuple):
    """p_θ(x_{t−1} | x_t) = N(gain·x_t + offset, var), each (T + 1, D), entry 0 unused."""

    gain: Any
    offset: Any
    var: Any


def _affine_steps(schedule: Schedule, denoiser: Denoiser, dimensions: int,
                  variance: Any) -> AffineSteps:
    """The steps of a denoiser, from its values at 0, and at 1 and −2 on each axis."""
    unit = np.eye(dimensions)
    probes = np.concatenate([np.zeros((1, dimensions)), unit, -2 * unit])
    gain, offset = np.zeros((2, schedule.T + 1, dimensions))
    for t in range(1, schedule.T + 1):
        eps, _ = evaluate(denoiser, probes, t)
        mean = mean_from_eps(schedule, probes, t, eps)
        at_1, at_minus_2 = mean[1:dimensions + 1] - mean[0], mean[dimensions + 1:] - mean[0]
        gain[t], offset[t] = np.diag(at_1), mean[0]
        is_affine = np.allclose(at_1, np.diag(gain[t])) and np.allclose(at_minus_2, -2 * at_1)
        check(is_affine, "denoiser at t", t, "affine in each coordinate: eps = a·x_t + c")
    var = np.repeat(fixed_variance(schedule, variance)[:, None], dimensions, axis=1)
    return AffineSteps(gain, offset, var)


def _marginals(steps: AffineSteps) -> tuple[Array, Array]:
    """Mean and variance of p_θ(x_t), (T + 1, D): x_T ~ N(0, I), and x_0 with the decoder's σ_1²."""
    mean, var = np.zeros_like(steps.gain), np.ones_like(steps.gain)
    for t in range(len(mean) - 1, 0, -1):
        mean[t - 1] = steps.gain[t] * mean[t] + steps.offset[t]
        var[t - 1] = steps.gain[t] ** 2 * var[t] + steps.var[t]
    return mean, var
