"""Gaussians with independent coordinates, N(μ, σ²).

The data are not Gaussian, and neither are noised data.  But q(x_t | x_{t−1}), q(x_t | x_0),
q(x_{t−1} | x_t, x_0) and p_θ(x_{t−1} | x_t) are.  This file has four things: density, draw,
entropy, and KL divergence.

The first axis of every array is the batch.  A density, an entropy or a KL of arrays of shape
(B, …) has shape (B,): one number for each item, in nats, summed over all other axes.

A NaN or an infinity raises no error here.  It changes the result of its own item only.
"""
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from .checks import check, check_generator, check_same_shape, check_variance

Array = np.ndarray
LOG_2PI = float(np.log(2 * np.pi))


class Gaussian(NamedTuple):
    """N(mean, var) with independent coordinates.

    mean: (B, …); var: the variance σ² ≥ 0, which broadcasts against the mean.  With variance 0
    every draw equals the mean, and there is no density.
    ValueError of every method: another shape than the mean's; a variance below 0.  A variance of 0
    is allowed in `sample` only.
    """

    mean: Any
    var: Any

    def log_prob(self, x: Array) -> Array:
        """log N(x; μ, σ²) = −½ Σ [log 2πσ² + (x − μ)²/σ²], (B,) nats.  x: the shape of the mean."""
        check_same_shape(mean=self.mean, x=x)
        check_variance(self.var)
        terms = LOG_2PI + anp.log(self.var) + (x - self.mean) ** 2 / self.var
        return sum_over_dimensions(-0.5 * terms)

    def sample(self, eps: Array) -> Array:
        """The reparameterised draw μ + σ·ε: all randomness is in ε ~ N(0, I) (5.1.1).

        For z = μ + σ·ε, ∂z/∂μ = 1 and ∂z/∂σ = ε: the gradient of a function of z reaches μ and σ.
        ValueError: an ε whose dtype differs from the mean's (float64 noise would promote a float32
        chain to float64).
        """
        check_same_shape(mean=self.mean, eps=eps)
        check_variance(self.var, zero_allowed=True)
        check(self.mean.dtype == eps.dtype, "dtype of eps", eps.dtype,
              f"that of the mean, {self.mean.dtype}; eps.astype(mean.dtype) converts it")
        return self.mean + anp.sqrt(self.var) * eps

    def entropy(self) -> Array:
        """E[−log N(x; μ, σ²)] = ½ Σ [log 2πσ² + 1], (B,) nats."""
        check_variance(self.var)
        terms = 0.5 * (LOG_2PI + 1 + anp.log(self.var))
        return sum_over_dimensions(terms + 0 * self.mean)  # 0·mean broadcasts to its shape

    def kl(self, other: "Gaussian") -> Array:
        """KL(self ‖ other) = E_self[log self − log other] ≥ 0, (B,) nats (1.1).

        For N(μ, σ²) and N(μ′, σ′²) each coordinate adds ½[r − 1 − log r + (μ − μ′)²/σ′²] with
        r = σ²/σ′², because E_self(x − μ′)² = σ² + (μ − μ′)².  With equal variances only the squared
        difference of the means is left.  If r ≈ 1, r − 1 and log r are nearly equal: so
        their difference is computed first, with expm1(log r) for r − 1.
        """
        check_same_shape(mean=self.mean, other_mean=other.mean)
        check_variance(self.var)
        check_variance(other.var, "other_var")
        log_r = anp.log(self.var / other.var)
        terms = anp.expm1(log_r) - log_r + (self.mean - other.mean) ** 2 / other.var
        return 0.5 * sum_over_dimensions(terms)


def sum_over_dimensions(x: Array) -> Array:
    """(B, …) → (B,): the sum over every axis but the batch."""
    return anp.sum(x, axis=tuple(range(1, x.ndim)))


def standard_gaussian(x: Array) -> Gaussian:
    """N(0, I) in the shape and dtype of x: p(x_T), the start of sampling."""
    return Gaussian(anp.zeros(x.shape, x.dtype), anp.ones((), x.dtype))


def noise_like(rng: np.random.Generator, x: Array) -> Array:
    """ε ~ N(0, I) in the shape and dtype of x.  ValueError: rng is no Generator."""
    check_generator(rng)
    return rng.standard_normal(x.shape, x.dtype)
