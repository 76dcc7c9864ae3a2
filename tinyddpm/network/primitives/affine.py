"""The affine map of the last axis, y = x @ w + b."""
import numpy as np
from autograd.extend import defvjp, primitive
from numpy import ndarray as Array


@primitive
def affine(x: Array, w: Array, b: Array) -> Array:
    """x @ w + b over the last axis.  x: (…, C); w: (C, C'); b: (C')."""
    y = x @ w
    y += b
    return y


def gradient_of_x(g: Array, w: Array) -> Array:
    """∂L/∂x = g @ wᵀ, because ∂y_j/∂x_i = w_ij."""
    return g @ w.T


def gradient_of_w(g: Array, x: Array) -> Array:
    """∂L/∂w = Σ xᵀg over all rows, because ∂y_j/∂w_ij = x_i."""
    return rows(x).T @ rows(g)


def sum_rows(g: Array) -> Array:
    """∂L/∂b: the sum of g over all axes but the last, (C').

    Computed as ones @ g, which is faster than np.sum.
    """
    ones = np.ones(g.size // g.shape[-1], g.dtype)
    return ones @ rows(g)


def rows(x: Array) -> Array:
    """(…, C) → (N, C)."""
    return x.reshape(-1, x.shape[-1])


def cast_like(g: Array, y: Array) -> Array:
    """g in the dtype of y: with NumPy 2, autograd's gradient of a float32 mean is float64."""
    return g.astype(y.dtype, copy=False)


defvjp(affine,
       lambda y, x, w, b: lambda g: gradient_of_x(cast_like(g, y), w),
       lambda y, x, w, b: lambda g: gradient_of_w(cast_like(g, y), x),
       lambda y, x, w, b: lambda g: sum_rows(cast_like(g, y)))
