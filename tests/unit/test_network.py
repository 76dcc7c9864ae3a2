"""Networks: layouts, gradients against finite differences, shapes, dtypes, the embedding of t."""
import subprocess
import sys

import numpy as np
import pytest
from autograd import grad, make_vjp, value_and_grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm import conv_denoiser, cosine, mlp, simple_loss, time_embedding
from tinyddpm.network.layers import dense, dense_layout
from tinyddpm.network.mlp import residual_block
from tinyddpm.network.primitives import silu
from tinyddpm.network.unet import conv_layout, depth_to_space, space_to_depth
from tinyddpm.network.weights import (Leaf, count, expected_norm, initial_weights, leaves, pack,
                                      unpack)
from tinyddpm.training import denoiser

RNG = np.random.default_rng(0)
NETWORKS = {
    "mlp": (mlp(3, width=8, depth=2), (4, 3)),
    "mlp, variance": (mlp(3, width=8, depth=1, learn_variance=True), (4, 3)),
    "conv": (conv_denoiser(width=4), (2, 8, 8)),
    "conv, odd sizes": (conv_denoiser(width=4, outer_blocks=1), (2, 7, 9)),
    "conv, colour, variance": (
        conv_denoiser(3, width=4, outer_blocks=2, learn_variance=True), (2, 8, 4, 3))}
every_network = pytest.mark.parametrize("network, shape", NETWORKS.values(), ids=NETWORKS)


def random_vector(network):
    """All weights as one vector, away from the start, where the last layer is zero."""
    vector = pack(network.init(np.random.default_rng(0)))
    return vector + 0.1 * np.random.default_rng(1).standard_normal(vector.size, np.float32)


def random_weights(network):
    return unpack(random_vector(network), network.layout)


def outputs_of(network, weights, x, t):
    """(ε̂,), or (ε̂, log_var_fraction) where there is a variance."""
    output = network.apply(weights, x, t)
    return output if isinstance(output, tuple) else (output,)


# Weights and layouts.

def test_weights_have_the_shapes_of_the_layout_and_start_as_their_gain_says():
    """Each number is drawn from the generator in the order of the layout; biases draw nothing."""
    layout = {"a": [{"w": Leaf((3, 2), 2.0), "b": Leaf((2,))}], "c": Leaf((3, 3, 2, 5), 0.0),
              "d": Leaf((5, 4), 1.0)}
    weights, rng = initial_weights(layout, np.random.default_rng(5)), np.random.default_rng(5)
    drawn = [rng.standard_normal(n, np.float32) for n in (6, 90, 20)]
    assert weights["a"][0]["w"] == pytest.approx(2 * drawn[0].reshape(3, 2) / 3 ** 0.5)
    assert weights["a"][0]["b"].tolist() == [0, 0]
    assert weights["c"].shape == (3, 3, 2, 5) and not weights["c"].any()
    assert weights["d"] == pytest.approx(drawn[2].reshape(5, 4) / 5 ** 0.5)
    assert [leaf.dtype for leaf in leaves(weights)] == [np.float32] * 4
    assert [leaf.shape for leaf in leaves(layout)] == [(3, 2), (2,), (3, 3, 2, 5), (5, 4)]
    assert count(layout) == pack(weights).size == 118


def test_layers_start_at_the_size_they_say():
    """Statistical: fixed seed; standard deviation gain/√fan_in, and gain 0.2 where a block ends."""
    rng = np.random.default_rng(0)
    dense_weights = initial_weights(dense_layout(400, 100), rng)
    conv_weights = initial_weights(conv_layout(16, 32, k=5, gain=0.5), rng)
    assert dense_weights["w"].std() == pytest.approx(1 / 20, rel=0.05)
    assert conv_weights["w"].std() == pytest.approx(0.5 / 20, rel=0.05)
    block = conv_denoiser().init(rng)["middle"][0]
    assert block["in"]["w"].std() == pytest.approx(1 / 24, rel=0.05)  # √(9·64)
    assert block["out"]["w"].std() == pytest.approx(0.2 / 24, rel=0.05)
    for network in (mlp(), conv_denoiser()):
        norm = np.linalg.norm(pack(network.init(rng)))
        assert norm == pytest.approx(expected_norm(network.layout), rel=0.02)


def test_the_conv_denoiser_has_the_size_it_says():
    assert 0.35e6 < count(conv_denoiser().layout) < 0.45e6


def test_packing_is_undone_by_unpacking():
    weights = {"a": np.ones((2, 3)), "b": [{"c": np.zeros(4)}, np.full((1, 1), 7.0)]}
    layout = {"a": Leaf((2, 3)), "b": [{"c": Leaf((4,))}, Leaf((1, 1))]}
    back = unpack(pack(weights), layout)
    assert [leaf.tolist() for leaf in leaves(back)] == [leaf.tolist() for leaf in leaves(weights)]

    def loss(vector):
        once, again = unpack(vector, layout), unpack(vector, layout)
        return (once["b"][0]["c"] * np.arange(4)).sum() + once["a"].sum() + 2 * again["a"].sum()
    assert grad(loss)(pack(weights)).tolist() == [3] * 6 + [0, 1, 2, 3] + [0]  # two uses add up
    with pytest.raises(ValueError, match="this network has 11 weights"):
        unpack(np.zeros(12), layout)


# Blocks.

def test_gradients_of_folding_and_unfolding():
    x = RNG.standard_normal((2, 2, 2, 4))
    check_grads(lambda x: depth_to_space(space_to_depth(x) ** 2), modes=["rev"], order=1)(x)


def test_folding_is_undone_by_unfolding():
    x = RNG.standard_normal((2, 8, 4, 3))
    assert space_to_depth(x).shape == (2, 4, 2, 12)
    assert (depth_to_space(space_to_depth(x)) == x).all()


def test_a_residual_block_is_its_formula_with_autograd_and_without():
    layout, h = {"in": dense_layout(5, 6), "out": dense_layout(6, 5)}, RNG.standard_normal((4, 5))
    vector = RNG.standard_normal(count(layout))

    def block(h):
        return residual_block(unpack(vector, layout), h)

    def formula(h):
        first, second = unpack(vector, layout).values()
        return h + dense(second, silu(dense(first, silu(h))))
    backward, value = make_vjp(block, 0)(h)
    backward_of_formula, expected = make_vjp(formula, 0)(h)
    assert (value == expected).all() and (value == block(h)).all()
    assert backward(h) == pytest.approx(backward_of_formula(h))


# Networks.

@every_network
def test_networks_answer_in_the_shape_and_dtype_they_are_asked(network, shape):
    weights = network.init(np.random.default_rng(0))
    assert all(leaf.dtype == np.float32 for leaf in leaves(weights))
    for dtype in (np.float32, np.float64):
        x = RNG.standard_normal(shape).astype(dtype)
        for t in (3, np.arange(1, shape[0] + 1)):
            eps_hat, *log_var_fraction = outputs_of(network, weights, x, t)
            for part in (eps_hat, *log_var_fraction):
                assert part.shape == shape and part.dtype == dtype
            assert (eps_hat == 0).all()  # before training
            assert all((part == 0.5).all() for part in log_var_fraction)


@every_network
def test_each_item_is_told_its_own_t(network, shape):
    weights, x = random_weights(network), np.repeat(RNG.standard_normal((1, *shape[1:])), 2, 0)
    eps_hat = outputs_of(network, weights, x, np.array([3, 30]))[0]
    assert abs(eps_hat[0] - eps_hat[1]).max() > 1e-4
    for item, t in zip(eps_hat, (3, 30)):
        assert item == pytest.approx(outputs_of(network, weights, x, t)[0][0], abs=1e-6)


def test_blocks_and_folds_add_to_what_they_are_given():
    """With zero weights at the end of the blocks, or in the unfolding, the output depends on x."""
    def outs(blocks):
        return [block["out"] for block in blocks]
    unet = conv_denoiser(width=4, inner_blocks=1)
    for network, shape, zeroed in [
            (mlp(2, width=8, depth=2), (3, 2), lambda w: outs(w["blocks"])),
            (unet, (3, 8, 8), lambda w: outs(w["down"] + w["middle"] + w["up"])),
            (unet, (3, 8, 8), lambda w: w["unfold"])]:
        weights = random_weights(network)
        for leaf in leaves(zeroed(weights)):
            leaf[...] = 0
        assert network.apply(weights, RNG.standard_normal(shape), 3).std(0).min() > 1e-4


def test_odd_sizes_are_padded_at_the_far_ends():
    network = conv_denoiser(width=4)
    weights, x = random_weights(network), RNG.standard_normal((2, 7, 9))
    padded = network.apply(weights, np.pad(x, ((0, 0), (0, 1), (0, 3))), 3)
    assert network.apply(weights, x, 3) == pytest.approx(padded[:, :7, :9], abs=1e-6)


@every_network
def test_gradients_of_networks(network, shape):
    """Autograd against a finite difference along a random direction, in float64."""
    vector = random_vector(network).astype(float)
    direction = np.random.default_rng(2).standard_normal(vector.shape)
    x, eps, t = RNG.standard_normal(shape), RNG.standard_normal(shape), np.arange(1, shape[0] + 1)

    def loss(vector):
        parts = outputs_of(network, unpack(vector, network.layout), x, t)
        return sum(((part - eps) ** 2).sum() for part in parts)
    h = 1e-5
    numeric = (loss(vector + h * direction) - loss(vector - h * direction)) / (2 * h)
    assert grad(loss)(vector) @ direction == pytest.approx(numeric, rel=1e-6)


@every_network
def test_float32_is_never_promoted(network, shape):
    """Nowhere in the forward or the backward pass of a float32 step does a float64 array appear."""
    schedule, t = cosine(10), np.arange(1, shape[0] + 1)
    x, eps = RNG.standard_normal((2, *shape)).astype(np.float32)

    def loss(vector):
        of_weights = denoiser(schedule, network, unpack(vector, network.layout))
        return simple_loss(schedule, of_weights, x, t, eps)
    value, gradient = value_and_grad(loss)(pack(network.init(np.random.default_rng(0))))
    assert value.dtype == gradient.dtype == np.float32


def test_sizes_are_whole_numbers_of_one_or_more():
    for network, name in ((mlp, "width"), (mlp, "depth"), (conv_denoiser, "inner_blocks")):
        for size in (0, 1.5):
            with pytest.raises(ValueError, match=f"{name} = {size}: a whole number of 1 or more"):
                network(**{name: size})


# The embedding of t.

def test_frequencies_fall_from_one_to_a_ten_thousandth():
    angles = np.array([1, 0.01, 1e-4])
    expected = np.concatenate([np.sin(angles), np.cos(angles)])
    assert time_embedding(1, 6)[0] == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 65), st.lists(st.integers(1, 4000), min_size=1, max_size=5))
def test_time_embedding_in_float32_and_of_odd_dimensions(dim, t):
    e = time_embedding(np.array(t), dim)
    single = time_embedding(np.array(t), dim, np.float32)
    assert single.dtype == np.float32 and single == pytest.approx(e, abs=3e-7)
    assert e.shape == (len(t), dim) and np.isfinite(e).all()


# Importing.

def test_importing_changes_nothing():
    """No thread, no signal handler, no slow library, and malloc stays as it is."""
    script = """
import ctypes, signal, sys, threading, warnings
class Refused:
    def __init__(self, *arguments, **options): raise AssertionError("a C library was opened")
import numpy  # opens libraries of its own
before = [signal.getsignal(signal.SIGTERM), warnings.formatwarning, numpy.geterr()]
ctypes.CDLL = Refused
import tinyddpm
assert before == [signal.getsignal(signal.SIGTERM), warnings.formatwarning, numpy.geterr()]
assert threading.active_count() == 1
print({"scipy", "matplotlib", "threadpoolctl", "tqdm", "pooch"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
