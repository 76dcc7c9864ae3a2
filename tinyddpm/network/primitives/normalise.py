"""Every item of a batch to mean 0 and variance 1."""
import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def normalise(x, eps=1e-5):
    """Each item of the batch to mean 0 and variance 1 over its pixels and channels.  x: (B, H, W, C)."""
    return _centred_and_scale(x, eps)[0]


def _centred_and_scale(x, eps):
    flat = x.reshape(len(x), -1)
    centred = flat - flat.mean(1, keepdims=True)
    scale = 1 / np.sqrt(np.einsum("bi,bi->b", centred, centred)[:, None] / flat.shape[1] + eps)
    return (centred * scale).reshape(x.shape), scale


def _normalise_vjp(ans, x, eps=1e-5):
    def vjp(g):
        # What would move the mean, or stretch ans along itself, is undone by the normalisation.
        scale, y, g = _centred_and_scale(x, eps)[1], ans.reshape(len(x), -1), g.reshape(len(x), -1)
        along = np.einsum("bi,bi->b", g, y)[:, None] / y.shape[1]
        return (scale * (g - g.mean(1, keepdims=True) - y * along)).reshape(x.shape)
    return vjp


defvjp(normalise, _normalise_vjp)
