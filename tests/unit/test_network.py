"""Networks: their gradients against finite differences, shapes, dtypes, and the embedding of t."""
import numpy as np
import pytest
from autograd import grad, value_and_grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm import conv_denoiser, cosine, mlp, simple_loss, time_embedding
from tinyddpm.network.unet import depth_to_space, space_to_depth
from tinyddpm.network.layers import dense_init
from tinyddpm.network.residual import residual, residual_by_parts
from tinyddpm.network.weights import leaves, pack, unpack
from tinyddpm.training import denoiser

RNG = np.random.default_rng(0)


def test_gradients_of_folding_and_unfolding():
    x = RNG.standard_normal((2, 2, 2, 4))
    check_grads(lambda x: depth_to_space(space_to_depth(x) ** 2), modes=["rev"], order=1)(x)


def test_folding_is_undone_by_unfolding():
    x = RNG.standard_normal((2, 8, 4, 3))
    assert space_to_depth(x).shape == (2, 4, 2, 12) and (depth_to_space(space_to_depth(x)) == x).all()


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.sampled_from([np.float32, np.float64]))
def test_a_residual_block_is_its_formula(B, width, inner, dtype):
    """The primitive and the five operations it stands for: value, and the gradient in h and in every weight."""
    rng = np.random.default_rng(B + 10 * width + 100 * inner)
    block = {"in": {"w": rng.standard_normal((width, inner)), "b": rng.standard_normal(inner)},
             "out": {"w": rng.standard_normal((inner, width)), "b": rng.standard_normal(width)}}
    vector, h, weight = (a.astype(dtype) for a in (pack(block), 3 * rng.standard_normal((B, width)), rng.standard_normal((B, width))))

    def weighted(f):
        return lambda v, h: (weight * f(unpack(v, block), h)).sum()
    near = dict(rel=1e-4, abs=1e-4) if dtype is np.float32 else dict(rel=1e-12, abs=1e-12)
    for argument in (0, 1):
        (value, gradient), (expected, slow) = (value_and_grad(weighted(f), argument)(vector, h) for f in (residual, residual_by_parts))
        assert gradient.dtype == slow.dtype == dtype
        assert value == pytest.approx(expected, **near)
        assert gradient == pytest.approx(slow, **near)


NETWORKS = {"mlp": (mlp(3, width=8, depth=2), (4, 3)), "mlp, variance": (mlp(3, width=8, depth=1, learn_variance=True), (4, 3)),
            "conv": (conv_denoiser(width=4), (2, 8, 8)), "conv, odd sizes": (conv_denoiser(width=4, outer_blocks=1), (2, 7, 9)),
            "conv, colour, variance": (conv_denoiser(3, width=4, outer_blocks=2, learn_variance=True), (2, 8, 4, 3))}
every_network = pytest.mark.parametrize("network, shape", NETWORKS.values(), ids=NETWORKS)


def shaken(network):
    """Weights away from their start, where the last layer is zero and says nothing."""
    template = network.init(np.random.default_rng(0))
    vector = pack(template)
    return unpack(vector + 0.1 * np.random.default_rng(1).standard_normal(vector.size, np.float32), template)


def guess(network, weights, x, t):
    """ε̂ alone, where there is a variance too."""
    output = network.apply(weights, x, t)
    return output[0] if isinstance(output, tuple) else output


@every_network
def test_networks_answer_in_the_shape_and_dtype_they_are_asked(network, shape):
    weights = network.init(np.random.default_rng(0))
    assert all(leaf.dtype == np.float32 for leaf in leaves(weights))
    for dtype in (np.float32, np.float64):
        x = RNG.standard_normal(shape).astype(dtype)
        for t in (3, np.arange(1, shape[0] + 1)):
            output = network.apply(weights, x, t)
            for part in output if isinstance(output, tuple) else (output,):
                assert part.shape == shape and part.dtype == dtype
    assert (guess(network, weights, x, 3) == 0).all()  # an untrained network guesses no noise
    assert not isinstance(output, tuple) or (output[1] == 0.5).all()  # and a variance between the two extremes


@every_network
def test_each_item_is_told_its_own_t(network, shape):
    weights, x = shaken(network), np.repeat(RNG.standard_normal((1, *shape[1:])), 2, 0)
    both = guess(network, weights, x, np.array([3, 30]))
    assert abs(both[0] - both[1]).max() > 1e-4
    for row, t in zip(both, (3, 30)):
        assert row == pytest.approx(guess(network, weights, x, t)[0], abs=1e-6)


def test_blocks_and_folds_add_to_what_they_are_given():
    """With the last layers of the blocks at zero, or the unfolding, x still finds its way through."""
    outs = lambda blocks: [block["out"] for block in blocks]
    for network, shape, silent in [
            (mlp(2, width=8, depth=2), (3, 2), lambda w: outs(w["blocks"])),
            (conv_denoiser(width=4, inner_blocks=1), (3, 8, 8), lambda w: outs(w["down"] + w["middle"] + w["up"])),
            (conv_denoiser(width=4, inner_blocks=1), (3, 8, 8), lambda w: w["unfold"])]:
        weights = shaken(network)
        for leaf in leaves(silent(weights)):
            leaf[...] = 0
        assert network.apply(weights, RNG.standard_normal(shape), 3).std(0).min() > 1e-4


def test_odd_sizes_are_padded_at_the_far_ends():
    network = conv_denoiser(width=4)
    weights, x = shaken(network), RNG.standard_normal((2, 7, 9))
    whole = network.apply(weights, np.pad(x, ((0, 0), (0, 1), (0, 3))), 3)
    assert network.apply(weights, x, 3) == pytest.approx(whole[:, :7, :9], abs=1e-6)


def test_layers_start_at_the_size_they_say():
    """Statistical: fixed seed; standard deviation gain/√inputs, a fifth of that where a block ends."""
    rng = np.random.default_rng(0)
    assert dense_init(rng, 400, 100)["w"].std() == pytest.approx(1 / 20, rel=0.05)
    block = conv_denoiser().init(rng)["middle"][0]
    assert block["in"]["w"].std() == pytest.approx(1 / 24, rel=0.05)  # √(9·64)
    assert block["out"]["w"].std() == pytest.approx(0.2 / 24, rel=0.05)


@every_network
def test_gradients_of_networks(network, shape):
    """Autograd against a finite difference along a random direction, in float64."""
    template = network.init(np.random.default_rng(0))
    vector = pack(template).astype(float) + 0.1 * np.random.default_rng(1).standard_normal(pack(template).shape)
    x, eps, t = RNG.standard_normal(shape), RNG.standard_normal(shape), np.arange(1, shape[0] + 1)
    def loss(v):
        output = network.apply(unpack(v, template), x, t)
        return sum(((part - eps) ** 2).sum() for part in (output if isinstance(output, tuple) else (output,)))
    gradient, direction = grad(loss)(vector), np.random.default_rng(2).standard_normal(vector.shape)
    h = 1e-5
    numeric = (loss(vector + h * direction) - loss(vector - h * direction)) / (2 * h)
    assert gradient @ direction == pytest.approx(numeric, rel=1e-6)


@every_network
def test_float32_is_never_promoted(network, shape):
    """Nowhere in the forward or the backward pass of a float32 step does a float64 array appear."""
    template, schedule = network.init(np.random.default_rng(0)), cosine(10)
    x, eps = RNG.standard_normal(shape).astype(np.float32), RNG.standard_normal(shape).astype(np.float32)
    def loss(v):
        return simple_loss(schedule, denoiser(schedule, network, unpack(v, template)), x, np.arange(1, shape[0] + 1), eps)
    value, gradient = value_and_grad(loss)(pack(template))
    assert value.dtype == gradient.dtype == np.float32


def test_the_conv_denoiser_has_the_size_it_says():
    assert 0.35e6 < pack(conv_denoiser().init(np.random.default_rng(0))).size < 0.45e6


def test_packing_is_undone_by_unpacking():
    weights = {"a": np.ones((2, 3)), "b": [{"c": np.zeros(4)}, np.full((1, 1), 7.0)]}
    back = unpack(pack(weights), weights)
    assert [leaf.tolist() for leaf in leaves(back)] == [leaf.tolist() for leaf in leaves(weights)]
    def loss(v):
        once, again = unpack(v, weights), unpack(v, weights)
        return (once["b"][0]["c"] * np.arange(4)).sum() + once["a"].sum() + 2 * again["a"].sum()
    assert grad(loss)(pack(weights)).tolist() == [3] * 6 + [0, 1, 2, 3] + [0]  # what is used twice adds up
    with pytest.raises(ValueError, match="this network has 11 weights"):
        unpack(np.zeros(12), weights)


def test_frequencies_fall_from_one_to_a_ten_thousandth():
    expected = [[np.sin(1), np.sin(0.01), np.sin(1e-4), np.cos(1), np.cos(0.01), np.cos(1e-4)]]
    assert time_embedding(1, 6) == pytest.approx(np.array(expected), rel=1e-12)


@given(st.integers(1, 65), st.lists(st.integers(1, 4000), min_size=1, max_size=5))
def test_time_embedding(dim, t):
    e = time_embedding(np.array(t), dim)
    single = time_embedding(np.array(t), dim, np.float32)
    assert single.dtype == np.float32 and single == pytest.approx(e, abs=3e-7)
    assert e.shape == (len(t), dim) and np.isfinite(e).all()
    if dim % 2 == 0:
        assert (e ** 2).sum(1) == pytest.approx(dim / 2)
        later = time_embedding(np.array(t) + 17, dim)
        assert later @ later.T == pytest.approx(e @ e.T, abs=1e-9)  # ⟨e(t), e(s)⟩ knows t − s alone


def test_times_are_told_apart():
    e = time_embedding(np.arange(1, 1001), 8)
    distance = np.sqrt(np.maximum(8 - 2 * e @ e.T, 0)) + 9 * np.eye(1000)
    assert distance.min() > 0.3
    with pytest.raises(ValueError, match="dim = 0"):
        time_embedding(1, 0)
