"""The sigmoid s(x) = 1/(1 + e^{−x}), and silu(x) = x·s(x)."""
import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def sigmoid(x):
    """1/(1 + e^{−x}) = ½ + ½·tanh(x/2), elementwise.

    tanh overflows nowhere, and takes three quarters of the time of e^{−x} and a quotient (float32, AVX-512).  The
    error is that of numbers near one even where the answer is near zero: 6e-8 in float32.
    """
    s = x * 0.5
    s = np.tanh(s, out=s)  # in place: at this size a fresh array costs more than the sum
    s *= 0.5
    s += 0.5
    return s


@primitive
def silu(x):
    """x·sigmoid(x), elementwise."""
    return silu_and_gate(x)[0]


def silu_and_gate(x):
    """y = silu(x) = ½x·q, and the gate q = 1 + tanh(½x) = 2·sigmoid(x) that its slope takes.

    Four passes over x; x·sigmoid(x) takes five.
    """
    y = x * 0.5
    q = np.tanh(y)
    q += 1  # in place: at this size a fresh array costs more than the sum
    y *= q
    return y, q


def silu_slope(y, q):
    """dy/dx = s + y·(1 − s) = y + ½q·(1 − y), for y and q as above and s = ½q the sigmoid."""
    slope = 1 - y
    slope *= q
    slope *= 0.5
    slope += y
    return slope


def _silu_vjp(ans, x):
    def vjp(g):
        slope = silu_slope(*silu_and_gate(x))
        slope *= g
        return slope
    return vjp


defvjp(silu, _silu_vjp)
defvjp(sigmoid, lambda ans, x: lambda g: g * ans * (1 - ans))
