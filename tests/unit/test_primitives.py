"""Primitives: each against its plain definition, values and every gradient, in float32 and float64."""
import sys
from concurrent.futures import ThreadPoolExecutor

import autograd.numpy
import numpy as np
import pytest
from autograd import make_vjp
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm.network.primitives import affine, conv, normalise, sigmoid, silu, silu_of_normalised
from tinyddpm.network.primitives.conv import conv_reference, gathered, on_cache_lines
from tinyddpm.network.primitives.silu_of_normalised import silu_of_normalised_reference

RNG = np.random.default_rng(0)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
every_dtype = st.sampled_from([np.float32, np.float64])
few = st.integers(1, 3)


def file_of(primitive):
    """The module, which its own function hides."""
    return sys.modules[f"tinyddpm.network.primitives.{primitive.__name__}"]


def same(fast, plain, *arguments):
    """Both give the same value, and the same gradient of each argument, in the arguments' dtype."""
    dtype = arguments[0].dtype
    answers = []
    for f in (fast, plain):
        backward, value = make_vjp(lambda arguments: f(*arguments), 0)(arguments)
        answers.append([value, *backward(np.random.default_rng(1).standard_normal(value.shape).astype(dtype))])
    for ours, theirs in zip(*answers):
        assert ours.dtype == theirs.dtype == dtype and ours.shape == theirs.shape
        assert abs(ours - theirs).max() <= TOLERANCE[dtype.type] * max(1, abs(theirs).max())


def of_conv(B, H, W, k, C, channels, dtype=np.float64, offsets=()):
    rng = np.random.default_rng(B + 10 * H + 100 * W)
    shapes = (B, H, W, C), (k, k, C, channels), (*offsets, channels)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def pixel_by_pixel(x, w, b):
    """The convolution as its formula says."""
    B, H, W, _ = x.shape
    r = w.shape[0] // 2
    y = np.zeros((B, H, W, w.shape[3])) + b
    for i, j, m, n in np.ndindex(H, W, *w.shape[:2]):
        if 0 <= i + m - r < H and 0 <= j + n - r < W:
            y[:, i, j] += x[:, i + m - r, j + n - r] @ w[m, n]
    return y


@given(few, st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 3, 5, 7, 9]), few, few, every_dtype, st.sampled_from(["", "1", "B"]))
def test_conv_is_its_reference(B, H, W, k, C, channels, dtype, offsets):
    same(conv, conv_reference, *of_conv(B, H, W, k, C, channels, dtype, {"": (), "1": (1,), "B": (B,)}[offsets]))


@given(few, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 5]), few, few)
def test_the_reference_is_its_formula(B, H, W, k, C, channels):
    x, w, b = of_conv(B, H, W, k, C, channels)
    assert conv_reference(x, w, b) == pytest.approx(pixel_by_pixel(x, w, b))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_conv_at_the_sizes_of_the_denoiser(dtype):
    same(conv, conv_reference, *of_conv(13, 14, 14, 3, 32, 32, dtype, (13,)))
    same(conv, conv_reference, *of_conv(13, 7, 7, 3, 64, 64, dtype))
    same(conv, conv_reference, *of_conv(2, 28, 28, 3, 32, 32, dtype))  # an item's product is too large to be one


def test_conv_in_chunks_and_pieces_is_conv(monkeypatch):
    monkeypatch.setattr(file_of(conv), "CHUNK_BYTES", 3 * 8 * 5 * 3 * 2 * 8)  # 3 items at a time, then 1
    for small in (10 ** 6, 2 * 5 * 3 * 2 * 4, 1):  # an item whole, in three pieces, row by row
        monkeypatch.setattr(file_of(conv), "SMALL", small)
        for offsets in ((), (1,), (7,)):
            arguments = of_conv(7, 6, 5, 3, 2, 4, offsets=offsets)
            assert [len(rows) for _, rows in gathered(arguments[0], 3)] == [3, 3, 1]
            same(conv, conv_reference, *arguments)


def test_conv_of_a_view():
    x, w, b = of_conv(3, 4, 5, 3, 2, 2)
    same(conv, conv_reference, x[::2, :, ::-1].swapaxes(1, 2), w.swapaxes(0, 1), b)


@pytest.mark.parametrize("argnum", [0, 1, 2])
def test_each_gradient_of_conv_alone(argnum):
    arguments = of_conv(2, 3, 4, 3, 2, 5)
    backwards = [make_vjp(f, argnum)(*arguments)[0] for f in (conv, conv_reference)]
    g = RNG.standard_normal((2, 3, 4, 5))
    assert backwards[0](g) == pytest.approx(backwards[1](g))


def test_conv_keeps_its_dtype_whatever_the_dtype_of_the_gradient():
    arguments = of_conv(2, 3, 4, 3, 2, 5, np.float32)
    backward, y = make_vjp(lambda arguments: conv(*arguments), 0)(arguments)
    assert [part.dtype for part in backward(y.astype(float))] == [np.float32] * 3


def test_weights_lie_on_cache_lines():
    for shape in ((1,), (3, 5), (3, 96, 32)):
        a = RNG.standard_normal(shape, np.float32)
        for copy in (on_cache_lines(a), on_cache_lines(a.T)):
            assert copy.ctypes.data % 64 == 0 and copy.flags.c_contiguous
        assert (copy == a.T).all()


@given(few, st.integers(1, 5), st.integers(1, 5), few, every_dtype)
def test_silu_of_normalised_is_its_reference(B, H, W, C, dtype):
    x = np.random.default_rng(B + 10 * H + 100 * W).standard_normal((B, H, W, C + 1)).astype(dtype)
    same(silu_of_normalised, silu_of_normalised_reference, 3 * x + 2)


def test_silu_of_normalised_with_another_floor():
    x = RNG.standard_normal((5, 3, 3, 4))
    same(lambda x: silu_of_normalised(x, 0.5), lambda x: silu_of_normalised_reference(x, 0.5), x)


def test_no_items():
    for f in (silu_of_normalised, lambda x: conv(x, np.ones((3, 3, 2, 4)), np.ones(4))):
        assert f(np.ones((0, 5, 5, 2))).shape[:3] == (0, 5, 5)


def test_two_threads_give_the_bytes_of_one():
    x, w, b = of_conv(30, 14, 14, 3, 32, 32, np.float32)
    def both(x):
        backward, y = make_vjp(lambda arguments: conv(silu_of_normalised(arguments[0]), arguments[1], b), 0)((x, w))
        return [part.tobytes() for part in (y, *backward(y))]
    with ThreadPoolExecutor(2) as pool:
        threads = list(pool.map(both, [x, x[::-1].copy()] * 3))
    assert threads == [both(x), both(x[::-1].copy())] * 3


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sigmoid_and_silu_are_their_formulas(dtype):
    x = np.linspace(-30, 30, 1001).astype(dtype)
    same(sigmoid, lambda x: 1 / (1 + autograd.numpy.exp(-x)), x)
    same(silu, lambda x: x / (1 + autograd.numpy.exp(-x)), x)


def test_gradients_against_finite_differences():
    x = RNG.standard_normal((2, 3, 3, 4))
    for f in (silu, sigmoid, normalise, silu_of_normalised):
        check_grads(f, modes=["rev"], order=1)(3 * x)
    check_grads(affine, (0, 1, 2), modes=["rev"], order=1)(x, RNG.standard_normal((4, 5)), RNG.standard_normal(5))
    for b in ((6,), (2, 6)):
        check_grads(conv, (0, 1, 2), modes=["rev"], order=1)(x, RNG.standard_normal((3, 3, 4, 6)), RNG.standard_normal(b))


def test_large_numbers():
    with np.errstate(all="raise"):
        assert silu(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0, 0, 1000]
        assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0, 0.5, 1]


def test_normalise():
    x = 5 + 3 * RNG.standard_normal((2, 8, 8, 4))
    assert (normalise(x) ** 2).mean((1, 2, 3)) == pytest.approx(1, abs=1e-5) and normalise(3 * x) == pytest.approx(normalise(x), abs=1e-5)
    assert not normalise(np.zeros((2, 3, 3, 1))).any()  # an image of zeros divides by no zero
