"""Primitives: plain gradients against finite differences, and the fast files against the plain."""
from concurrent.futures import ThreadPoolExecutor

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import make_vjp
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm.network.primitives import (affine, conv, normalise, plain_conv, plain_silu, residual,
                                         sigmoid, silu, silu_of_normalised)
from tinyddpm.network.primitives.fast import conv as fast_conv

RNG = np.random.default_rng(0)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
every_dtype = st.sampled_from([np.float32, np.float64])
few = st.integers(1, 3)


def check_same(fast, plain, *arguments):
    """Both give the same value, and the same gradient of each argument, in the arguments' dtype."""
    dtype = arguments[0].dtype
    results = []
    for f in (fast, plain):
        backward, value = make_vjp(lambda arguments, f=f: f(*arguments), 0)(arguments)
        g = np.random.default_rng(1).standard_normal(value.shape).astype(dtype)
        results.append([value, *backward(g)])
    for found, expected in zip(*results):
        assert found.dtype == expected.dtype == dtype and found.shape == expected.shape
        bound = TOLERANCE[dtype.type] * max(1, abs(expected).max())
        assert abs(found - expected).max() <= bound


def conv_arguments(B, H, W, k, C, channels, dtype=np.float64, items=()):
    """Random x, w and b; items: (), (1,) or (B,), the first axis of b."""
    rng = np.random.default_rng(B + 10 * H + 100 * W)
    shapes = (B, H, W, C), (k, k, C, channels), (*items, channels)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def plain_silu_of_normalised(x, eps=1e-5):
    return plain_silu(normalise(x, eps))


def plain_residual(h, w_1, b_1, w_2, b_2):
    return h + affine(plain_silu(affine(plain_silu(h), w_1, b_1)), w_2, b_2)


# The plain files: values against formulas, gradients against finite differences.

def conv_by_pixel(x, w, b):
    """y[i, j] = b + Σ_{m,n} x[i + m − r, j + n − r] @ w[m, n], pixel by pixel."""
    B, H, W, _ = x.shape
    r = len(w) // 2
    y = np.zeros((B, H, W, w.shape[3])) + b
    for i, j, m, n in np.ndindex(H, W, *w.shape[:2]):
        if 0 <= i + m - r < H and 0 <= j + n - r < W:
            y[:, i, j] += x[:, i + m - r, j + n - r] @ w[m, n]
    return y


@given(few, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 5]), few, few)
def test_plain_conv_is_its_formula(B, H, W, k, C, channels):
    x, w, b = conv_arguments(B, H, W, k, C, channels)
    assert plain_conv(x, w, b) == pytest.approx(conv_by_pixel(x, w, b))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sigmoid_and_silu_are_their_formulas(dtype):
    x = np.linspace(-30, 30, 1001).astype(dtype)
    check_same(sigmoid, lambda x: 1 / (1 + anp.exp(-x)), x)
    check_same(plain_silu, lambda x: x / (1 + anp.exp(-x)), x)
    check_same(silu, plain_silu, x)


def rms_norm(x):
    return x / anp.sqrt(anp.mean(x ** 2, (1, 2, 3), keepdims=True) + 1e-5)


def test_normalise():
    x = 5 + 3 * RNG.standard_normal((2, 8, 8, 4))
    assert (normalise(x) ** 2).mean((1, 2, 3)) == pytest.approx(1, abs=1e-5)
    assert normalise(3 * x) == pytest.approx(normalise(x), abs=1e-5)
    check_same(normalise, rms_norm, x)
    assert not normalise(np.zeros((2, 3, 3, 1))).any()  # eps: an image of zeros divides by no zero


def test_gradients_against_finite_differences():
    x = RNG.standard_normal((2, 3, 3, 4))
    for f in (sigmoid, plain_silu, silu, normalise, silu_of_normalised):
        check_grads(f, modes=["rev"], order=1)(3 * x)
    w, b = RNG.standard_normal((4, 5)), RNG.standard_normal(5)
    check_grads(affine, (0, 1, 2), modes=["rev"], order=1)(x, w, b)
    for f in (plain_conv, conv):
        for k in (1, 3, 5):
            w = RNG.standard_normal((k, k, 4, 6))
            for shape in ((6,), (1, 6), (2, 6)):
                b = RNG.standard_normal(shape)
                check_grads(f, (0, 1, 2), modes=["rev"], order=1)(x, w, b)


def test_large_numbers():
    with np.errstate(all="raise"):
        x = np.array([-1000.0, 0.0, 1000.0])
        assert silu(x).tolist() == plain_silu(x).tolist() == [0, 0, 1000]
        assert sigmoid(x).tolist() == [0, 0.5, 1]


# The fast files against the plain.

@given(few, st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 3, 5, 7, 9]), few, few,
       every_dtype, st.sampled_from(["", "1", "B"]))
def test_conv_is_the_plain_one(B, H, W, k, C, channels, dtype, items):
    items = {"": (), "1": (1,), "B": (B,)}[items]
    check_same(conv, plain_conv, *conv_arguments(B, H, W, k, C, channels, dtype, items))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_conv_at_the_sizes_of_the_denoiser(dtype):
    check_same(conv, plain_conv, *conv_arguments(13, 14, 14, 3, 32, 32, dtype, (13,)))
    check_same(conv, plain_conv, *conv_arguments(13, 7, 7, 3, 64, 64, dtype))
    # Here the product of one item is above SMALL, and is cut into blocks of rows.
    check_same(conv, plain_conv, *conv_arguments(2, 28, 28, 3, 32, 32, dtype))


def test_conv_in_chunks_and_blocks_is_conv(monkeypatch):
    three_items = 3 * 8 * 5 * 3 * 2 * 8  # bytes of their gathered rows
    monkeypatch.setattr(fast_conv, "CHUNK_BYTES", three_items)
    for small, blocks in ((10 ** 6, 1), (2 * 5 * 3 * 2 * 4, 3), (1, 6)):
        monkeypatch.setattr(fast_conv, "SMALL", small)
        assert fast_conv.row_blocks(6, 5 * 3 * 2 * 4) == blocks
        for items in ((), (1,), (7,)):
            arguments = conv_arguments(7, 6, 5, 3, 2, 4, items=items)
            chunks = [len(rows) for _, rows in fast_conv.gathered(arguments[0], 3)]
            assert chunks == [3, 3, 1]
            check_same(conv, plain_conv, *arguments)


def test_conv_of_a_view():
    x, w, b = conv_arguments(3, 4, 5, 3, 2, 2)
    check_same(conv, plain_conv, x[::2, :, ::-1].swapaxes(1, 2), w.swapaxes(0, 1), b)


@pytest.mark.parametrize("argnum", [0, 1, 2])
def test_each_gradient_of_conv_alone(argnum):
    arguments = conv_arguments(2, 3, 4, 3, 2, 5)
    g = RNG.standard_normal((2, 3, 4, 5))
    found, expected = (make_vjp(f, argnum)(*arguments)[0](g) for f in (conv, plain_conv))
    assert found == pytest.approx(expected)


def test_conv_keeps_its_dtype_whatever_the_dtype_of_the_gradient():
    arguments = conv_arguments(2, 3, 4, 3, 2, 5, np.float32)
    backward, y = make_vjp(lambda arguments: conv(*arguments), 0)(arguments)
    assert [part.dtype for part in backward(y.astype(float))] == [np.float32] * 3


def test_weights_lie_on_cache_lines():
    for shape in ((1,), (3, 5), (3, 96, 32)):
        a = RNG.standard_normal(shape, np.float32)
        for copy in (fast_conv.on_cache_lines(a), fast_conv.on_cache_lines(a.T)):
            assert copy.ctypes.data % 64 == 0 and copy.flags.c_contiguous
        assert (copy == a.T).all()


@given(few, st.integers(1, 5), st.integers(1, 5), few, every_dtype)
def test_silu_of_normalised_is_the_plain_two(B, H, W, C, dtype):
    rng = np.random.default_rng(B + 10 * H + 100 * W)
    x = rng.standard_normal((B, H, W, C + 1)).astype(dtype)
    check_same(silu_of_normalised, plain_silu_of_normalised, 3 * x + 2)


def test_silu_of_normalised_with_another_eps():
    x = RNG.standard_normal((5, 3, 3, 4))
    check_same(lambda x: silu_of_normalised(x, 0.5), lambda x: plain_silu_of_normalised(x, 0.5), x)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), every_dtype)
def test_residual_is_its_formula(B, width, inner, dtype):
    rng = np.random.default_rng(B + 10 * width + 100 * inner)
    shapes = (B, width), (width, inner), (inner,), (inner, width), (width,)
    h, *weights = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    check_same(residual, plain_residual, 3 * h, *weights)


def test_no_items():
    for f in (silu_of_normalised, normalise, lambda x: conv(x, np.ones((3, 3, 2, 4)), np.ones(4))):
        assert f(np.ones((0, 5, 5, 2))).shape[:3] == (0, 5, 5)


def test_two_threads_give_the_bytes_of_one():
    x, w, b = conv_arguments(30, 14, 14, 3, 32, 32, np.float32)

    def layer(arguments):
        x, w = arguments
        return conv(silu_of_normalised(x), w, b)

    def value_and_gradients(x):
        backward, y = make_vjp(layer, 0)((x, w))
        return [part.tobytes() for part in (y, *backward(y))]

    with ThreadPoolExecutor(2) as two_threads:
        found = list(two_threads.map(value_and_gradients, [x, x[::-1].copy()] * 3))
    assert found == [value_and_gradients(x), value_and_gradients(x[::-1].copy())] * 3
