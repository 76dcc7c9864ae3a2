"""A loss with the gradient of −ELBO and less noise, for `pixels`.

If σ_t² = β̃_t and the decoder is a density, −ELBO is Σ_t w_t·E‖ε − ε_θ‖² plus a constant, with the
weights w_t of `elbo.simple_weights`.  (With the 256-level decoder L_0 is another function of ε_θ;
on the schedule `grey_levels` L_0 is nearly 0.)  Training estimates the sum from one random t for
each item.  If t is drawn with probability q_t ∝ w_t·e_t, and its squared error is divided by e_t,
then
    Σ_t q_t·E‖ε − ε_θ‖²/e_t ∝ Σ_t w_t·E‖ε − ε_θ‖²
for every choice of e_t > 0.  This is importance sampling.  The estimate has little noise if the
terms ‖ε − ε_θ‖²/e_t are of similar size.  So e_t is the squared error of D, the guess that needs no
network.
"""
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from ..elbo import simple_weights
from ..forward import diffuse
from ..gaussian import Array
from ..reverse import Denoiser, evaluate
from ..schedule import Schedule, cast_like


def loss_and_times(schedule: Schedule, table: Any) -> tuple[Callable, Callable]:
    """The `loss` and the `draw_times` for `train`.  table: `pixels.Table`."""
    error = unexplained(schedule, table)
    return bits_loss(error), draw_times_by(bit_share(schedule, error))


def unexplained(schedule: Schedule, table: Any) -> Array:
    """e_t = SNR_t·E[(z − D)²], (T + 1,): squared error of ε̂ per pixel, if D is the guess of x_0.

    `bits_loss` divides by e_t, which can be nearly 0; so e_t is at least 1/100 of the largest.
    table: `pixels.Table`.  Entry 0 is unused.
    """
    rising_log_snr = schedule.log_snr[:0:-1]  # t = T…1, as np.interp needs rising values
    error_of_x_0 = np.interp(rising_log_snr, table.log_snr, table.error)[::-1]
    error = schedule.snr[1:] * error_of_x_0
    return np.append(0.0, np.maximum(error, 0.01 * error.max()))


def bits_loss(error: Array) -> Callable:
    """The loss ‖ε − ε_θ‖²/e_t, averaged over items and dimensions.  error: e_t, by `unexplained`.

    If D is the guess, its expectation is about 1, or less where e_t was raised (`unexplained`).
    """
    def loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: Array, eps: Array) -> Any:
        eps_hat, _ = evaluate(denoiser, diffuse(schedule, x_0, t, eps), t)
        divisor = cast_like(x_0, error[t].reshape((-1,) + (1,) * (x_0.ndim - 1)))
        return anp.mean((eps - eps_hat) ** 2 / divisor)
    return loss


def bit_share(schedule: Schedule, error: Array, uniform: float = 0.1) -> Array:
    """The probability of t: q_t ∝ w_t·e_t, its share of the −ELBO of the guess D.  (T + 1,)

    uniform: with this probability t is drawn uniformly from 1…T instead, so that no t is rare.  If
    it is 0, the expected `bits_loss` has the gradient of −ELBO, up to a factor; if not,
    approximately.
    """
    bits = simple_weights(schedule, "beta_tilde") * error
    return np.append(0.0, (1 - uniform) * bits[1:] / bits[1:].sum() + uniform / schedule.T)


def draw_times_by(share: Array) -> Callable:
    """A `draw_times` for `train` that draws t with probability share[t].

    The interval [0, 1] is cut into n equal slices; a uniform point in each gives one t.  The order
    is random.  Each t by itself has the right probability, and the batch covers all t evenly.
    share: (T + 1,), with sum one, entry 0 zero.
    """
    edges = np.cumsum(share)

    def draw_times(rng: np.random.Generator, T: int, n: int) -> Array:
        points = edges[-1] * (np.arange(n) + rng.random(n)) / n
        t = np.searchsorted(edges, points, side="right")
        return rng.permutation(np.clip(t, 1, T))
    return draw_times
