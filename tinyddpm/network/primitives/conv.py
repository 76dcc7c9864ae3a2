"""The convolution: what it is, and how a few matrix products do it fast.

Every tap is a matrix product over the pixels, and BLAS is good at those.  What is left to us is to bring it long
rows that are in the cache, in products that it need not copy first:
- The k horizontal taps become one: each pixel is put beside its neighbours, some items at a time (`gathered`).  The k
  vertical taps need no such copy, only another first row.
- OpenBLAS multiplies small matrices from where they lie and copies larger ones together first.  So each item is a
  product of its own, or several: 1.7 times the speed of one for the chunk in the weights' gradient, 1.3 times for an
  image of (28, 28, 32), whose items are cut.
- The taps start where a line of the cache does (`on_cache_lines`): 1.2 times at 64 channels.
- Both gradients gather the same rows, so one backward pass gives all of them.
Together 1.4 times the speed of `conv_reference` at (64, 14, 14, 32), and 6.6 times with all gradients, where autograd
would add up nine padded images.  (float32, one core of an AVX-512 machine with 2 MB of cache of its own.)
"""
import autograd.numpy
import numpy as np
from autograd.extend import defvjp_argnums, primitive

from .affine import sum_rows


def conv_reference(x, w, b):
    """The definition: y[i, j] = b + Σ_{m,n} x[i + m − r, j + n − r] @ w[m, n], zeros beyond the border.  Read this first.

    x: (B, H, W, C); w: (k, k, C, C'), k = 2r + 1 odd; b: (C') or (1, C'), or (B, C') where each item has its own.
    For each tap m, n the image is shifted, and every pixel's C numbers go through the tap's matrix.
    """
    (_, H, W, _), k = x.shape, len(w)
    r = k // 2
    padded = autograd.numpy.pad(x, ((0, 0), (r, r), (r, r), (0, 0)), "constant")
    taps = sum(padded[:, m:m + H, n:n + W] @ w[m, n] for m in range(k) for n in range(k))
    return taps + autograd.numpy.reshape(b, (-1, 1, 1, w.shape[3]))


CHUNK_BYTES = 2 ** 20  # of gathered rows at a time: they fit a core's own cache; smaller, two threads meet at Python's lock too often
SMALL = 10 ** 6  # multiplications: what OpenBLAS still calls a small product


def gathered(x, k):
    """Each pixel beside its horizontal neighbours, some items at a time: yields slice, (n, H + 2r, W, k, C).

    Zeros beyond the border.  Rows m … m + H of an item are one block of memory: each vertical tap of a
    convolution is then a matrix product that copies nothing.  The array is the same each time, filled again.
    """
    B, H, W, C = x.shape
    r = k // 2
    n = max(1, CHUNK_BYTES // ((H + 2 * r) * W * k * C * x.itemsize))
    padded = np.zeros((min(n, B), H + 2 * r, W + 2 * r, C), x.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(padded, k, 2).swapaxes(3, 4)
    rows = np.empty(windows.shape, x.dtype)
    for i in range(0, B, n):
        count = min(n, B - i)
        padded[:count, r:r + H, r:r + W] = x[i:i + count]
        rows[:count] = windows[:count]
        yield slice(i, i + count), rows[:count]


def seen_by_taps(rows, H):
    """(n, k, H·W, k·C): the rows m … m + H that the vertical tap m sees, views into the memory of the gathered rows."""
    n, _, W, k, C = rows.shape
    item, row, pixel, _, entry = rows.strides
    return np.lib.stride_tricks.as_strided(rows, (n, k, H * W, k * C), (item, row, pixel, entry), writeable=False)


def multiply(rows, taps, y):
    """Writes Σ_m (rows m … m + H of the gathered ones) @ taps[m] into y.

    taps: (k, k·C, C'); y: (n, H, W, C'), one block of memory.
    """
    n, H, W, channels = y.shape
    pieces = next(p for p in range(1, H + 1) if H % p == 0 and (p == H or H // p * W * taps[0].size <= SMALL))
    y = y.reshape(n, pieces, -1, channels)
    product = np.empty_like(y)
    for m, tap in enumerate(taps):
        seen = rows[:, m:m + H].reshape(n, pieces, -1, len(tap))
        np.matmul(seen, tap, out=product if m else y)
        if m:
            y += product


def on_cache_lines(a):
    """A contiguous copy that starts where a line of the cache does: no vector of 64 bytes then straddles two."""
    memory = np.empty(a.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start:start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


@primitive
def conv(x, w, b):
    """The same as `conv_reference`."""
    k, channels = len(w), w.shape[3]
    y = np.empty(x.shape[:3] + (channels,), x.dtype)
    taps, b = on_cache_lines(w.reshape(k, -1, channels)), b.reshape(-1, 1, 1, channels)
    for items, rows in gathered(x, k):
        multiply(rows, taps, y[items])
        y[items] += b if len(b) == 1 else b[items]
    return y


def _vjp(argnums, ans, args, kwargs):
    """The gradients of those of x, w, b that are asked for.

    Each pixel of x reached its neighbours through w[m, n]; their gradients come back the opposite way: a convolution
    again, with w turned by 180° and its channels exchanged.  And w[m, n] has been multiplied with every pixel whose
    product went to the neighbour at −(m − r), −(n − r), so its gradient is the sum of their products, turned too.
    """
    x, w, b = args
    k, _, C, channels = w.shape
    H, W = x.shape[1:3]

    def vjp(g):
        g = g.astype(ans.dtype, copy=False)  # where a loss is a number, autograd starts its gradient in float64
        of_x, of_w = np.empty(x.shape, x.dtype), np.zeros((k, k * channels * C), w.dtype)
        turned = on_cache_lines(w[::-1, ::-1].swapaxes(2, 3).reshape(k, -1, C))
        for items, rows in gathered(g, k):
            if 0 in argnums:
                multiply(rows, turned, of_x[items])
            if 1 in argnums:
                pixels = x[items].reshape(len(rows), 1, -1, C)
                of_w += sum_rows((seen_by_taps(rows, H).swapaxes(2, 3) @ pixels).reshape(len(rows), -1)).reshape(of_w.shape)
        of_w = of_w.reshape(k, k, channels, C)[::-1, ::-1].swapaxes(2, 3)
        shared = b.size == channels
        of_b = sum_rows(g).reshape(b.shape) if shared else np.ones(H * W, g.dtype) @ g.reshape(len(g), H * W, channels)
        return [(of_x, of_w, of_b)[i] for i in argnums]
    return vjp


defvjp_argnums(conv, _vjp)
