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
    s = sigmoid(x)
    s *= x
    return s


def _silu_vjp(ans, x):
    def vjp(g):
        # d/dx x·s(x) = s + x·s·(1 − s) = s·(1 + x − y), with y = x·s the answer.
        slope = x - ans
        slope += 1
        slope *= sigmoid(x)
        slope *= g
        return slope
    return vjp


defvjp(silu, _silu_vjp)
defvjp(sigmoid, lambda ans, x: lambda g: g * ans * (1 - ans))
