"""The convolution by its definition, and its three gradients.

The networks run fast/conv.py, which computes the same.
"""
import numpy as np
from autograd.extend import defvjp, primitive
from numpy import ndarray as Array

from .affine import rows


@primitive
def conv(x: Array, w: Array, b: Array) -> Array:
    """y[i, j] = b + Σ_{m,n} x[i + m − r, j + n − r] @ w[m, n], with x = 0 beyond the border.

    A tap is one position (m, n) of the kernel.  It shifts the image and multiplies every pixel, a
    row of C numbers, by the matrix w[m, n].
    x: (B, H, W, C); w: (k, k, C, C'), with k = 2r + 1 odd; b: (C') or (1, C'), or (B, C') for one
    bias for each item.  Returns (B, H, W, C').
    """
    k, _, _, channels = w.shape
    r = k // 2
    y = np.zeros((*x.shape[:3], channels), x.dtype)
    for m, n in np.ndindex(k, k):
        y += moved(x, m - r, n - r) @ w[m, n]
    return y + b.reshape(-1, 1, 1, channels)


def moved(x: Array, down: int, right: int) -> Array:
    """The images whose pixel [i, j] is x[i + down, j + right], or 0 beyond the border."""
    H, W = x.shape[1:3]
    top, left = abs(down), abs(right)
    padded = np.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
    return padded[:, top + down:top + down + H, left + right:left + right + W]


def gradient_of_x(g: Array, w: Array) -> Array:
    """∂L/∂x[i, j] = Σ_{m,n} g[i − (m − r), j − (n − r)] @ w[m, n]ᵀ.

    The tap (m, n) adds x[i, j] @ w[m, n] to y[i − (m − r), j − (n − r)].
    The sum is a convolution of g, with w turned by 180° and its two channel axes exchanged.
    """
    k, _, C, _ = w.shape
    r = k // 2
    of_x = np.zeros((*g.shape[:3], C), g.dtype)
    for m, n in np.ndindex(k, k):
        of_x += moved(g, r - m, r - n) @ w[m, n].T
    return of_x


def gradient_of_w(g: Array, x: Array, w: Array) -> Array:
    """∂L/∂w[m, n] = Σ x[i + m − r, j + n − r]ᵀ g[i, j], over all items and all pixels i, j.

    The tap is an affine map of the moved image, so this is the affine map's gradient.
    """
    k = len(w)
    r = k // 2
    of_w = np.zeros_like(w)
    for m, n in np.ndindex(k, k):
        of_w[m, n] = rows(moved(x, m - r, n - r)).T @ rows(g)
    return of_w


def gradient_of_b(g: Array, b: Array) -> Array:
    """∂L/∂b = Σ_{i,j} g[i, j], for each item if b is (B, C'), otherwise summed over the items."""
    of_each_item = g.sum((1, 2))
    if b.shape == of_each_item.shape:
        return of_each_item
    return of_each_item.sum(0).reshape(b.shape)


defvjp(conv,
       lambda y, x, w, b: lambda g: gradient_of_x(g, w),
       lambda y, x, w, b: lambda g: gradient_of_w(g, x, w),
       lambda y, x, w, b: lambda g: gradient_of_b(g, b))
