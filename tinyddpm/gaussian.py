"""Gaussians: the only distributions a diffusion model is made of.

Every distribution in the derivation, forward or reverse, is a Gaussian with independent
coordinates, N(x; μ, v).  `v` is always the *variance* here.  Asked of it are its density, a draw, its
entropy, the probability of one of 256 grey levels, and its KL divergence from another, which the ELBO adds up.

The first axis of every array is the batch, so a density, an entropy and a KL of arrays shaped
(B, ...) are (B,): one number an item, in nats, summed over all the other axes.

Numbers are finite.  Where one is not, the arithmetic here and in forward and reverse does not look for
it: it comes out again, not finite, in its own item alone.  What a caller starts with (a sampler's x, the
ledger's x_0, a data file) is looked at once.
"""
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

LOG_2PI = float(numpy.log(2 * numpy.pi))


def sum_over_dimensions(x):
    """(B, ...) → (B,): the sum over every axis but the batch."""
    return np.sum(x, axis=tuple(range(1, x.ndim)))


def check_same_shape(**arrays):
    """ValueError where two named arrays differ in shape: (B, 1) against (B,) would broadcast silently."""
    (first, a), *rest = arrays.items()
    for name, b in rest:
        if numpy.shape(a) != numpy.shape(b):
            raise ValueError(f"{name} has shape {numpy.shape(b)} and {first} has {numpy.shape(a)}: they must be the same")


def check(fine, name, value, domain):
    """ValueError, with the argument's name, value and domain, unless it is fine."""
    if not fine:
        raise ValueError(f"{name} = {value}: {domain}")


def check_finite(**arrays):
    """ValueError where a named array holds a NaN or an infinity."""
    for name, array in arrays.items():
        astray = ~numpy.isfinite(array)
        if astray.any():
            raise ValueError(f"{name} holds {numpy.asarray(array)[astray][0]}: its numbers must be finite")


def check_variance(var, name="var", point_mass=False):
    """ValueError for a variance below 0, and for one of 0 where a point mass will not do, as it has no density."""
    if numpy.asarray(var < 0 if point_mass else var <= 0).any():  # comparing opens autograd's boxes
        domain = "a variance is 0 or more" if point_mass else "a density takes a variance above 0"
        raise ValueError(f"{name} = {numpy.min(getval(getval(var)))}: {domain}")


class Gaussian(NamedTuple):
    """N(mean, var): independent coordinates.  mean: (B, …); var ≥ 0 broadcasts against it.

    With var = 0 it is a point mass, as the posterior is at t = 1: that can be drawn from, and has no density.
    Each method: ValueError for an array that has not the shape of the mean, for var < 0, and, but for `sample`, var = 0.
    """

    mean: Any
    var: Any

    def log_prob(self, x):
        """log N(x; μ, v) in nats, (B,): the decoder of real-valued data.  x: the shape of the mean."""
        check_same_shape(mean=self.mean, x=x)
        check_variance(self.var)
        return sum_over_dimensions(-0.5 * (LOG_2PI + np.log(self.var) + (x - self.mean) ** 2 / self.var))

    def sample(self, eps):
        """The reparameterised draw μ + σ·ε: the chance is all in ε ~ N(0, I).

        For z = μ + σ·ε, ∂z/∂μ = 1 and ∂z/∂σ = ε: gradients pass through the draw to the parameters (5.1.1).
        ValueError, too, for an ε of another dtype than the mean's: float64 noise would turn a float32 chain.
        """
        check_same_shape(mean=self.mean, eps=eps)
        check_variance(self.var, point_mass=True)
        check(self.mean.dtype == eps.dtype, "dtype of eps", eps.dtype, "that of the mean, as a chain keeps its precision")
        return self.mean + np.sqrt(self.var) * eps

    def entropy(self):
        """E[−log N(x; μ, v)] in nats, (B,)."""
        check_variance(self.var)
        return sum_over_dimensions(0.5 * (LOG_2PI + 1 + np.log(self.var)) + 0 * self.mean)

    def kl(self, other):
        """KL(self ‖ other) = E_self[log self − log other] ≥ 0 in nats, (B,) (1.1).

        Per coordinate ½[r − 1 − log r + (μ − μ')²/v'] with r = v/v', as E_self(x − μ')² = v + (μ − μ')².  Where both
        variances are fixed, only the squared difference of the means can be learned.  Written in d = log r,
        r − 1 − log r = expm1(d) − d keeps its digits when the two are nearly equal, where the
        textbook formula subtracts numbers that agree in all their digits.
        """
        check_same_shape(mean=self.mean, other_mean=other.mean)
        check_variance(self.var), check_variance(other.var, "other_var")
        d = np.log(self.var / other.var)
        return 0.5 * sum_over_dimensions(np.expm1(d) - d + (self.mean - other.mean) ** 2 / other.var)

    def level_log_prob(self, x_0):
        """log of the probability of each of 256 grey levels, (B,) nats: the discretised decoder (Ho 13).

        An image is not real-valued; it has 256 levels, and what it needs is a probability for each.  So
        the density is integrated over the level's bin, x_0 ± 1/255, and the bins of the first and the
        last level are open to −∞ and +∞: the 256 probabilities sum to one.
        x_0: (B, …) of levels 2k/255 − 1 in [−1, 1].  ValueError: anything else in x_0.
        """
        check_same_shape(mean=self.mean, x_0=x_0)
        check_variance(self.var)
        level, std = to_levels(x_0), np.sqrt(self.var)
        # From the level and not from x_0, so that neighbouring bins share their edge to the last bit.
        low = np.where(level == 0, -np.inf, ((2 * level - 1) / 255 - 1 - self.mean) / std)
        high = np.where(level == 255, np.inf, ((2 * level + 1) / 255 - 1 - self.mean) / std)
        return sum_over_dimensions(log_normal_interval(low, high))


def standard_normal_like(x):
    """N(0, I) in the shape and dtype of x: the end of the forward process, the start of the reverse."""
    return Gaussian(np.zeros(x.shape, x.dtype), np.ones((), x.dtype))


def standard_normal(rng, x):
    """ε ~ N(0, I) in the shape and dtype of x.  rng: numpy Generator."""
    return rng.standard_normal(x.shape, x.dtype)


def to_levels(x_0):
    """x_0 in [−1, 1] → its grey level 0…255 as floats, with x_0 = 2·level/255 − 1.

    ValueError: an entry of x_0 that is none of the 256 levels.
    """
    level = numpy.round((x_0 + 1) * 127.5)
    astray = ~((level >= 0) & (level <= 255) & (abs(level / 127.5 - 1 - x_0) < 1e-4))
    if astray.any():
        raise ValueError(f"x_0 holds {x_0[astray].flat[0]}: the discretised decoder takes the 256 levels "
                         f"2k/255 - 1, k = 0..255, and nothing between them")
    return level


@primitive
def log_normal_interval(low, high):
    """log[Φ(high) − Φ(low)] for low < high, with Φ the standard normal CDF; elementwise.

    Three things could go wrong.  In the right tail both Φ round to 1: mirror it into the left.  In the
    left tail both underflow: subtract in log space.  And a bin so narrow that the two Φ agree is its
    density at the middle times its width.
    """
    from scipy.special import log_ndtr  # here, because only images need SciPy, and it is slow to import

    mirrored = low + high > 0
    low, high = numpy.where(mirrored, -high, low), numpy.where(mirrored, -low, high)
    width, log_high = high - low, log_ndtr(high)
    narrow = width < numpy.finfo(width.dtype).eps ** (1 / 3)
    with numpy.errstate(divide="ignore", invalid="ignore"):  # in the branch not taken
        by_density = numpy.log(width) - 0.5 * (LOG_2PI + ((low + high) / 2) ** 2)
        by_difference = log_high + numpy.log(-numpy.expm1(log_ndtr(low) - log_high))
    return numpy.where(narrow, by_density, by_difference)


def _density_over_interval(z, log_interval):
    """φ(z) / [Φ(high) − Φ(low)], formed in log space: a ratio of two underflows is still a number."""
    return np.exp(-0.5 * (LOG_2PI + z ** 2) - log_interval)


defvjp(log_normal_interval,
       lambda ans, low, high: lambda g: -g * _density_over_interval(low, ans),
       lambda ans, low, high: lambda g: g * _density_over_interval(high, ans))
