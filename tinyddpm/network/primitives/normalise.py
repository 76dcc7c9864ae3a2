"""Every item of a batch to a mean square of 1 (RMSNorm, Zhang & Sennrich 2019, eq 4)."""
import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def normalise(x, eps=1e-5):
    """x/√(E[x²] + eps), the mean over each item's pixels and channels.  x: (B, H, W, C)."""
    return x * _scale(x, eps)


def _scale(x, eps):
    return 1 / np.sqrt(_mean_product(x, x) + eps)


def _mean_product(a, b):
    """E[a·b] of each item, (B, 1, 1, 1)."""
    n = a[0].size if len(a) else 1
    return (np.einsum("bhwc,bhwc->b", a, b) / n).reshape(-1, 1, 1, 1)


def _normalise_vjp(y, x, eps=1e-5):
    # What would stretch y along itself is undone by the normalisation.
    return lambda g: _scale(x, eps) * (g - y * _mean_product(g, y))


defvjp(normalise, _normalise_vjp)
