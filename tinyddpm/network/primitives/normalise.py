"""Every item of a batch to mean 0 and variance 1."""
import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def normalise(x, eps=1e-5):
    """Each item of the batch to mean 0 and variance 1 over its pixels and channels.  x: (B, H, W, C)."""
    return normalised_and_scale(x, eps)[0].reshape(x.shape)


def normalised_and_scale(x, eps):
    """((x − mean)/√(variance + eps), 1/√(variance + eps)) of each item: (B, H·W·C), (B, 1)."""
    flat = x.reshape(len(x), -1)
    y = flat - flat.mean(1, keepdims=True)
    scale = 1 / np.sqrt(np.einsum("bi,bi->b", y, y)[:, None] / y.shape[1] + eps)
    y *= scale
    return y, scale


def through_normalise(g, y, scale):
    """The gradient of x for that of y, written over g.  All (B, H·W·C), y and scale as above.

    What would move the mean, or stretch y along itself, is undone by the normalisation.
    """
    along = np.einsum("bi,bi->b", g, y)[:, None] / y.shape[1]
    g -= g.mean(1, keepdims=True)
    g -= y * along
    g *= scale
    return g


def _normalise_vjp(ans, x, eps=1e-5):
    def vjp(g):
        y, scale = normalised_and_scale(x, eps)
        return through_normalise(g.reshape(y.shape).copy(), y, scale).reshape(x.shape)
    return vjp


defvjp(normalise, _normalise_vjp)
