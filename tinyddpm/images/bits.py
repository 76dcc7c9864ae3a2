"""The loss for `pixels`: −ELBO, with the noise of its gradient reduced."""
from typing import Any, Callable

import autograd.numpy as anp
import numpy as np

from ..elbo import simple_weights
from ..forward import diffuse
from ..gaussian import Array
from ..reverse import Denoiser
from ..schedule import Schedule, cast_like


def unexplained(schedule: Schedule, table: Any) -> Array:
    """SNR_t·E(z − D)², (T + 1,): the error of the guess D as a squared error of ε, per pixel.

    table: `pixels.Table`.  Entry 0 is unused.  At least a hundredth of the largest entry: `bits_loss` divides by it,
    and D can be nearly exact.
    """
    error = np.interp(schedule.log_snr[:0:-1], table.log_snr, table.error)[::-1]
    left = schedule.snr[1:] * error
    return np.append(0.0, np.maximum(left, 0.01 * left.max()))


def bits_loss(left: Array) -> Callable:
    """The loss E[‖ε − ε_θ‖²/left_t], which for D alone is 1 at every t.  left: from `unexplained`.

    With t drawn by `bit_share`, its gradient is, up to a factor, that of −ELBO with σ_t² = β̃_t.
    """
    def loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: Array, eps: Array) -> Any:
        eps_hat = denoiser(diffuse(schedule, x_0, t, eps), t)
        divisor = cast_like(x_0, left[t].reshape((-1,) + (1,) * (x_0.ndim - 1)))
        return anp.mean((eps - eps_hat) ** 2 / divisor)
    return loss


def bit_share(schedule: Schedule, left: Array, uniform: float = 0.1) -> Array:
    """How often to draw each t, (T + 1,), with sum one: in proportion to the bits that D leaves at t.

    uniform: the share that is spread evenly over all t instead.
    """
    bits = simple_weights(schedule, "beta_tilde") * left
    return np.append(0.0, (1 - uniform) * bits[1:] / bits[1:].sum() + uniform / schedule.T)


def draw_times_by(share: Array) -> Callable:
    """A `draw_times` for `train` that draws t with probability share[t].

    The probabilities are cut into n slices of equal size, and one t is drawn from each, in random order: each t
    by itself has the right probability, and the batch as a whole covers all t evenly.
    share: (T + 1,), with sum one, entry 0 zero.
    """
    edges = np.cumsum(share)

    def draw_times(rng: np.random.Generator, T: int, n: int) -> Array:
        points = edges[-1] * (np.arange(n) + rng.random(n)) / n
        t = np.searchsorted(edges, points, side="right")
        return rng.permutation(np.clip(t, 1, T))
    return draw_times
