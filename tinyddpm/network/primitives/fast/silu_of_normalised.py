"""silu(normalise(x)) as one operation, whose gradient uses the intermediate arrays of the value."""
import math

import numpy as np
from numpy import ndarray as Array

from .with_gradient import ValueAndGradient, with_gradient


@with_gradient
def silu_of_normalised(x: Array, eps: float = 1e-5) -> ValueAndGradient:
    """silu(normalise(x, eps)).  x: (B, H, W, C).

    With n = normalise(x) = scale·x, s = sigmoid(n) and y = n·s, the two plain gradients are
        g_n = ∂L/∂n = g·(s + y·(1 − s)),        ∂L/∂x = scale·(g_n − n·E[g_n·n]).
    The code computes half_n = ½n, because sigmoid(n) = ½·(1 + tanh(½n)), and gate = 2s.
    """
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    half_scale = 0.5 / np.sqrt(mean_product(flat, flat) + eps)
    half_n = flat * half_scale
    gate = np.tanh(half_n)
    gate += 1
    y = half_n * gate

    def gradient(g: Array) -> tuple[Array]:
        twice_g_n = 2 - gate
        twice_g_n *= y
        twice_g_n += gate
        twice_g_n *= g.reshape(y.shape)
        # 2g_n − n·E[2g_n·n], with n = 2·half_n.
        twice_g_n -= half_n * (4 * mean_product(twice_g_n, half_n))
        twice_g_n *= half_scale
        return (twice_g_n.reshape(x.shape),)
    return y.reshape(x.shape), gradient


def mean_product(a: Array, b: Array) -> Array:
    """The mean of each row of a·b, (B, 1)."""
    return np.einsum("bi,bi->b", a, b)[:, None] / a.shape[1]
