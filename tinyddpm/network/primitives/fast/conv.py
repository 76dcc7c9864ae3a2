"""The convolution as a few matrix products; its definition and its gradients are in ../conv.py.

Every tap is a matrix product over the pixels.  BLAS is fast if the rows are long, in the cache, and
need not be copied first:
- The k horizontal taps become one: each pixel is copied beside its horizontal neighbours, for a few
  items at a time (`gathered`).  The k vertical taps read these rows from k different first rows.
- OpenBLAS multiplies small matrices where they lie and copies larger ones first, so each item is a
  product of its own, or several (`row_blocks`).
- The weights start on a cache line (`on_cache_lines`), so no vector of 64 bytes is split over two.
- The gradients of x and w read the same gathered rows of g, so one pass gives both.
"""
from collections.abc import Callable, Iterator

import numpy as np
from autograd.extend import defvjp_argnums, primitive
from numpy import ndarray as Array

from ..affine import cast_like, sum_rows

CHUNK_BYTES = 2 ** 20  # of gathered rows at a time: they fit in the cache of one core
SMALL = 10 ** 6  # multiplications: up to here OpenBLAS does not copy the matrices first


@primitive
def conv(x: Array, w: Array, b: Array) -> Array:
    """y[i, j] = b + Σ_{m,n} x[i + m − r, j + n − r] @ w[m, n], with x = 0 beyond the border.

    x: (B, H, W, C); w: (k, k, C, C'), k = 2r + 1 odd; b: (C') or (1, C'), or (B, C').
    """
    k, channels = len(w), w.shape[3]
    y = np.empty((*x.shape[:3], channels), x.dtype)
    taps = on_cache_lines(w.reshape(k, -1, channels))
    b = b.reshape(-1, 1, 1, channels)
    for items, rows in gathered(x, k):
        multiply(rows, taps, y[items])
        y[items] += b if len(b) == 1 else b[items]
    return y


def gathered(x: Array, k: int) -> Iterator[tuple[slice, Array]]:
    """Each pixel beside its horizontal neighbours, for a few items at a time.

    Yields (slice of n items, rows (n, H + 2r, W, k, C)), with zeros beyond the border.  The rows
    m … m + H of an item are one block of memory, so a vertical tap reads them without a copy.  The
    array of rows is the same each time and is filled anew.
    """
    B, H, W, C = x.shape
    r = k // 2
    n = max(1, CHUNK_BYTES // ((H + 2 * r) * W * k * C * x.itemsize))
    padded = np.zeros((min(n, B), H + 2 * r, W + 2 * r, C), x.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(padded, k, 2).swapaxes(3, 4)
    rows = np.empty(windows.shape, x.dtype)
    for first in range(0, B, n):
        items = slice(first, min(first + n, B))
        count = items.stop - first
        padded[:count, r:r + H, r:r + W] = x[items]
        rows[:count] = windows[:count]
        yield items, rows[:count]


def multiply(rows: Array, taps: Array, y: Array) -> None:
    """Writes Σ_m (rows m … m + H of the gathered ones) @ taps[m] into y.

    taps: (k, k·C, C'); y: (n, H, W, C'), one block of memory.
    """
    n, H, W, channels = y.shape
    blocks = row_blocks(H, W * taps[0].size)
    y = y.reshape(n, blocks, -1, channels)
    product = np.empty_like(y)
    for m, tap in enumerate(taps):
        seen = rows[:, m:m + H].reshape(n, blocks, -1, len(tap))
        if m == 0:
            np.matmul(seen, tap, out=y)
        else:
            np.matmul(seen, tap, out=product)
            y += product


def row_blocks(H: int, row_size: int) -> int:
    """Into how many equal blocks of rows an item is cut: as few as make each product `SMALL`.

    row_size: multiplications for one row of pixels.
    """
    for blocks in range(1, H):
        if H % blocks == 0 and H // blocks * row_size <= SMALL:
            return blocks
    return H


def on_cache_lines(a: Array) -> Array:
    """A contiguous copy whose memory starts at a multiple of 64 bytes, as a cache line does."""
    memory = np.empty(a.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start:start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def gradients_of_x_and_w(g: Array, x: Array, w: Array, want_x: bool = True,
                         want_w: bool = True) -> tuple[Array, Array]:
    """∂L/∂x and ∂L/∂w; one that is not wanted is left unfilled.

    ∂L/∂x is the convolution of g with w turned by 180° and its channel axes exchanged.  The sum for
    ∂L/∂w is turned and exchanged, too: at (m, n) it is Σ g[i + m − r, j + n − r]ᵀ x[i, j].
    """
    _, H, W, C = x.shape
    k, channels = len(w), w.shape[3]
    of_x = np.empty(x.shape, x.dtype)
    of_w = np.zeros(k * k * channels * C, w.dtype)
    turned = on_cache_lines(w[::-1, ::-1].swapaxes(2, 3).reshape(k, -1, C))
    for items, rows in gathered(g, k):
        if want_x:
            multiply(rows, turned, of_x[items])
        if want_w:
            pixels = x[items].reshape(len(rows), 1, H * W, C)
            of_each_item = seen_by_taps(rows, H).swapaxes(2, 3) @ pixels
            of_w += sum_rows(of_each_item.reshape(len(rows), -1))
    of_w = of_w.reshape(k, k, channels, C)[::-1, ::-1].swapaxes(2, 3)
    return of_x, of_w


def seen_by_taps(rows: Array, H: int) -> Array:
    """The rows m … m + H that each vertical tap m reads: a view, (n, k, H·W, k·C)."""
    n, _, W, k, C = rows.shape
    item, row, pixel, _, entry = rows.strides
    shape, strides = (n, k, H * W, k * C), (item, row, pixel, entry)
    return np.lib.stride_tricks.as_strided(rows, shape, strides, writeable=False)


def gradient_of_b(g: Array, b: Array) -> Array:
    """∂L/∂b = Σ_{i,j} g[i, j], for each item if b is (B, C'), otherwise summed over the items."""
    B, H, W, channels = g.shape
    if b.size == channels:
        return sum_rows(g).reshape(b.shape)
    return np.ones(H * W, g.dtype) @ g.reshape(B, H * W, channels)


def _vjp(argnums: tuple[int, ...], y: Array, arguments: tuple, options: dict) -> Callable:
    x, w, b = arguments

    def vjp(g: Array) -> list[Array]:
        g = cast_like(g, y)
        of_x, of_w = gradients_of_x_and_w(g, x, w, 0 in argnums, 1 in argnums)
        gradients = of_x, of_w, gradient_of_b(g, b)
        return [gradients[argnum] for argnum in argnums]
    return vjp


defvjp_argnums(conv, _vjp)
