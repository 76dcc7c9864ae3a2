"""silu(normalise(x)), a few items at a time."""
import numpy as np
from autograd.extend import defvjp, primitive

from .normalise import normalise, normalised_and_scale, through_normalise
from .silu import silu, silu_slope


def silu_of_normalised_reference(x):
    """The definition."""
    return silu(normalise(x))


CHUNK = 2 ** 15  # numbers at a time: the four or five arrays of this size that are in use fit a core's own cache


def _chunks(x):
    """Slices of the batch of about this many numbers."""
    n = max(1, CHUNK // max(1, x[0].size)) if len(x) else 1
    return [slice(i, i + n) for i in range(0, len(x), n)]


@primitive
def silu_of_normalised(x, eps=1e-5):
    """silu(normalise(x)).  x: (B, H, W, C)."""
    y = np.empty(x.shape, x.dtype)
    for items in _chunks(x):
        y[items] = silu(normalised_and_scale(x[items], eps)[0]).reshape(y[items].shape)
    return y


def _vjp(ans, x, eps=1e-5):
    def vjp(g):
        gradient = np.empty(x.shape, x.dtype)
        for items in _chunks(x):
            y, scale = normalised_and_scale(x[items], eps)
            inner = silu_slope(y, ans[items].reshape(y.shape))
            inner *= g[items].reshape(y.shape)
            gradient[items] = through_normalise(inner, y, scale).reshape(x[items].shape)
        return gradient
    return vjp


defvjp(silu_of_normalised, _vjp)
