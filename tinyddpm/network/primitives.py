"""Operations that autograd is taught: each a function, then the vector–Jacobian product beside it.

Autograd differentiates NumPy.  A convolution is not in NumPy, and written in NumPy it would record
many small operations; as a primitive it is one, whose gradient we derive by hand.  All keep the dtype
of their input, so a float32 network stays float32.
"""
import numpy as np
from autograd.extend import defvjp, primitive

# glibc hands large arrays back to the system at once, and every fresh one costs a page fault each 4 kB: more
# than the arithmetic on it.  Freeing one array of this size makes it keep those below (elsewhere: nothing).
np.empty(31 * 2 ** 20, np.uint8)


@primitive
def affine(x, w, b):
    """x @ w + b over the last axis.  x: (..., C); w: (C, C'); b: (C')."""
    y = x @ w
    y += b
    return y


def _rows(x):
    return x.reshape(-1, x.shape[-1])


def sum_rows(g):
    """The sum over all axes but the last, as a matrix product: the fastest sum there is."""
    return np.ones(g.size // g.shape[-1], g.dtype) @ _rows(g)


def _like(y, g):
    """g in the dtype of y: with NumPy 2 the gradient of autograd's mean is float64, whatever it is the mean of."""
    return g.astype(y.dtype, copy=False)


defvjp(affine,
       lambda ans, x, w, b: lambda g: _like(ans, g) @ w.T,
       lambda ans, x, w, b: lambda g: _rows(x).T @ _rows(_like(ans, g)),
       lambda ans, x, w, b: lambda g: sum_rows(_like(ans, g)))


@primitive
def silu(x):
    """x·sigmoid(x), elementwise."""
    return silu_and_gate(x)[0]


def silu_and_gate(x):
    """y = silu(x) = ½x·q, and the gate q = 1 + tanh(½x) = 2·sigmoid(x) that its slope takes.

    Through tanh it is four passes over x, and nothing overflows; through exp, five, and 1.6 times the time.
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


@primitive
def sigmoid(x):
    """1/(1 + e^{−x}), elementwise."""
    s = np.negative(x)
    with np.errstate(over="ignore", under="ignore"):  # e^{−x} = ∞ is as good as any large number
        np.exp(s, out=s)
    s += 1  # in place: at this size a fresh array costs more than the sum
    return np.divide(1, s, out=s)


def _silu_vjp(ans, x):
    def vjp(g):
        slope = silu_slope(*silu_and_gate(x))
        slope *= g
        return slope
    return vjp


defvjp(silu, _silu_vjp)
defvjp(sigmoid, lambda ans, x: lambda g: g * ans * (1 - ans))


CHUNK_BYTES = 2 ** 21  # of gathered rows at a time: about what the caches hold while they are multiplied


def gather_rows(x, k, out=None):
    """Each pixel beside its horizontal neighbours: (B, H, W, C) → (H + 2r, B, W, k, C), k = 2r + 1.

    Zeros beyond the border.  The rows of the image come first, so that rows m … m + H are one block of
    memory: each vertical tap of a convolution is then a matrix product that copies nothing.
    out: an array that this function returned before, to be filled again.
    """
    B, H, W, C = x.shape
    r = k // 2
    if out is None or out.shape[1] != B:
        out = np.zeros((H + 2 * r, B, W, k, C), x.dtype)
    x = x.transpose(1, 0, 2, 3)
    for n in range(k):  # tap n looks n − r pixels to the right
        left, right = max(0, r - n), W - max(0, n - r)
        out[r:r + H, :, left:right, n] = x[:, :, left + n - r:right + n - r]
    return out


def _chunks(x, k):
    """Slices of the batch whose gathered rows fit the cache."""
    n = max(1, CHUNK_BYTES // (k * x[0].nbytes))
    return [slice(i, i + n) for i in range(0, len(x), n)]


@primitive
def conv(x, w, b):
    """y[i, j] = b + Σ_{m,n} x[i + m − r, j + n − r] @ w[m, n]: "same" convolution, channels last.

    x: (B, H, W, C); w: (k, k, C, C'), k = 2r + 1 odd; b: (C'); zeros beyond the border.  k matrix
    products, one for each row of w.
    """
    H, W, k, out_channels = *x.shape[1:3], w.shape[0], w.shape[3]
    y = np.empty(x.shape[:3] + (out_channels,), x.dtype)
    taps = w.reshape(k, -1, out_channels)
    rows = None
    for items in _chunks(x, k):
        rows = gather_rows(x[items], k, rows)
        total = rows[:H].reshape(-1, taps.shape[1]) @ taps[0]
        for m in range(1, k):
            total += rows[m:m + H].reshape(-1, taps.shape[1]) @ taps[m]
        total += b
        y[items] = total.reshape(H, -1, W, out_channels).transpose(1, 0, 2, 3)
    return y


def conv_weight_gradient(x, g, k):
    """Σ_{b,i,j} x[b, i + m − r, j + n − r]ᵀ·g[b, i, j] for each tap m, n: (k, k, C, C')."""
    H, channels, out_channels = x.shape[1], x.shape[3], g.shape[3]
    total = np.zeros((k, k * channels, out_channels), x.dtype)
    rows = None
    for items in _chunks(x, k):
        rows = gather_rows(x[items], k, rows)
        g_rows = g[items].transpose(1, 0, 2, 3).reshape(-1, out_channels)
        for m in range(k):
            total[m] += rows[m:m + H].reshape(-1, k * channels).T @ g_rows
    return total.reshape(k, k, channels, out_channels)


# Each input pixel reached its neighbours through w[m, n]; their gradients come back the opposite way:
# a convolution again, with w turned by 180° and its channels exchanged.
defvjp(conv,
       lambda ans, x, w, b: lambda g: conv(g, w[::-1, ::-1].swapaxes(2, 3), np.zeros(w.shape[2], w.dtype)),
       lambda ans, x, w, b: lambda g: conv_weight_gradient(x, g, w.shape[0]),
       lambda ans, x, w, b: lambda g: sum_rows(g))


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
