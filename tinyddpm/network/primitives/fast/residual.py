"""The MLP's residual block as one operation: autograd records one node for five."""
from numpy import ndarray as Array

from ..affine import affine, sum_rows
from .silu import silu_and_gate, silu_slope
from .with_gradient import ValueAndGradient, with_gradient


@with_gradient
def residual(h: Array, w_1: Array, b_1: Array, w_2: Array, b_2: Array) -> ValueAndGradient:
    """h + silu(silu(h) @ w_1 + b_1) @ w_2 + b_2.  h: (B, C)."""
    a, gate_a = silu_and_gate(h)
    c, gate_c = silu_and_gate(affine(a, w_1, b_1))
    y = affine(c, w_2, b_2)
    y += h

    def gradient(g: Array) -> tuple[Array, ...]:
        g_inner = g @ w_2.T  # ∂L/∂c, and after the next line ∂L/∂(a @ w_1 + b_1)
        g_inner *= silu_slope(c, gate_c)
        g_h = g_inner @ w_1.T
        g_h *= silu_slope(a, gate_a)
        g_h += g
        return g_h, a.T @ g_inner, sum_rows(g_inner), c.T @ g, sum_rows(g)
    return y, gradient
