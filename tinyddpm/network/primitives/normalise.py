"""RMSNorm without a gain: each item of a batch is scaled to a mean square of 1.

Zhang & Sennrich 2019, eq 4, normalise the features of one layer and have a learned gain.
"""
import math

import numpy as np
from autograd.extend import defvjp, primitive
from numpy import ndarray as Array


@primitive
def normalise(x: Array, eps: float = 1e-5) -> Array:
    """x/√(E[x²] + eps), the mean E over the pixels and channels of an item.  x: (B, H, W, C)."""
    return x * scale(x, eps)


def scale(x: Array, eps: float) -> Array:
    """s = 1/√(E[x²] + eps), (B, 1, 1, 1)."""
    return 1 / np.sqrt(mean_product(x, x) + eps)


def mean_product(a: Array, b: Array) -> Array:
    """E[a·b] of each item, (B, 1, 1, 1)."""
    total = np.einsum("bhwc,bhwc->b", a, b)
    return (total / math.prod(a.shape[1:])).reshape(-1, 1, 1, 1)


def gradient(g: Array, y: Array, x: Array, eps: float) -> Array:
    """∂L/∂x = s·(g − y·E[g·y]).

    y = s·x depends on x in two ways.  The factor x gives s·g.  The factor s, with its derivative
    ∂s/∂x_i = −s³·x_i/N for the N numbers of an item, gives −s³·x·E[g·x] = −s·y·E[g·y].
    """
    return scale(x, eps) * (g - y * mean_product(g, y))


defvjp(normalise, lambda y, x, eps=1e-5: lambda g: gradient(g, y, x, eps))
