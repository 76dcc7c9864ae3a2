"""`pixels` against sums over 256 levels written out, and its bits against the entropy."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads

from tinyddpm import (
    Network,
    as_denoiser,
    conv_denoiser,
    ledger,
    log_snr_uniform,
    simple_weights,
    step_term,
)
from tinyddpm.app import run as runs
from tinyddpm.decoder import level_log_prob
from tinyddpm.gaussian import Array
from tinyddpm.images import bits, pixels
from tinyddpm.images.histograms import Histograms, fit_histograms
from tinyddpm.images.schedule import grey_levels
from tinyddpm.network.weights import pack, unpack
from tinyddpm.reverse import interpolated_variance

RNG = np.random.default_rng(0)
GRID = grey_levels(60)
NO_WEIGHTS = {"first": {"w": np.zeros(1)}}


def random_histograms(kinds: int = 2, black: float = 0.6) -> Histograms:
    """Random histograms in which level 0 has the share `black`."""
    levels = RNG.dirichlet(np.full(256, 0.3), kinds) + 1e-4
    levels[:, 0] = black * levels.sum(1) / (1 - black)
    return Histograms(np.full(kinds, 1 / kinds), levels / levels.sum(1, keepdims=True))


HISTOGRAMS = random_histograms()
TABLE = pixels.Table(HISTOGRAMS, GRID)


def independent_pixels(n: int) -> Array:
    """n images of 12×12 independent pixels, each image from one of the two histograms."""
    kinds = RNG.integers(2, size=n)
    images = [RNG.choice(256, (12, 12), p=HISTOGRAMS.levels[kind]) for kind in kinds]
    return np.stack(images).astype(np.uint8)


def y_and_log_snr(x: Array, t: int | Array) -> tuple[Array, Array]:
    at = GRID.coefficients_at(t, x)
    return x / np.sqrt(at.alpha_bar), np.broadcast_to(at.log_snr, x.shape)


# The histograms.

def test_kinds_are_found() -> None:
    """Statistical, fixed seed: images of two histograms are told apart."""
    found = fit_histograms(independent_pixels(80), 2)
    distance = [abs(p - HISTOGRAMS.levels[k]).sum() for p in found.levels for k in (0, 1)]
    assert min(distance[0] + distance[3], distance[1] + distance[2]) < 0.3 < max(distance)
    assert found.share.sum() == pytest.approx(1)
    assert found.levels.sum(1) == pytest.approx(1)


def test_a_level_that_no_image_has_is_not_impossible() -> None:
    for kinds, n in ((2, 80), (6, 1)):
        found = fit_histograms(independent_pixels(n), kinds)
        assert found.levels.shape == (kinds, 256) and (found.levels > 0).all()


@pytest.mark.parametrize("share, levels", [
    (np.ones(2) / 2, np.full((2, 9), 1 / 9)), (np.ones((2, 1)) / 2, np.full((2, 256), 1 / 256)),
    (np.ones(2) / 2, np.full((2, 256), -1 / 256)), (np.ones(2), np.full((2, 256), 1 / 256)),
    (np.ones(2) / 2, np.eye(2, 256)), (np.full(2, np.nan), np.full((2, 256), 1 / 256))])
def test_probabilities_that_are_none_are_refused(share: Array, levels: Array) -> None:
    with pytest.raises(ValueError, match="shapes of share and levels = "):
        pixels.Table((share, levels), GRID)


# The table.

def posterior_by_hand(prior: Array, y: float, snr: float) -> tuple[float, float, float]:
    """Mean, log of the sum and variance for one pixel, level by level.

    The largest exponent is taken out of the sum, so that nothing underflows.
    """
    exponents = [-0.5 * snr * (y - z) ** 2 for z in pixels.LEVELS]
    weights = [p * np.exp(e - max(exponents)) for p, e in zip(prior, exponents)]
    mean = sum(w * z for w, z in zip(weights, pixels.LEVELS)) / sum(weights)
    variance = sum(w * (z - mean) ** 2 for w, z in zip(weights, pixels.LEVELS)) / sum(weights)
    return mean, np.log(sum(weights)) + max(exponents), variance


@pytest.mark.parametrize("row", [0, 20, 50, 75, -1])
def test_the_table_is_the_sum_over_levels(row: int) -> None:
    """At its entries to the round-off of float32, between them to the error of interpolation."""
    log_snr, prior = TABLE.log_snr[row], np.array(HISTOGRAMS.levels[1])
    prior[0] = 0  # the most frequent
    largest_y = 1 + 4 * np.exp(-log_snr / 2)
    for column in (0, 1, 700, 1400, 2046, 2047):
        y = (2 * column / 2047 - 1) * largest_y
        expected = posterior_by_hand(prior, y, np.exp(log_snr))
        assert TABLE.values[:, 1, row, column] == pytest.approx(expected, rel=2e-7, abs=1e-7)
    if 0 < row < 75:
        for y in RNG.uniform(-1, 1, 20):
            found = TABLE.look_up(np.array([y]), np.array([log_snr + 0.03]), with_variance=True)
            found_1 = [of_kinds[1, 0] for of_kinds in found]
            expected = posterior_by_hand(prior, y, np.exp(log_snr + 0.03))
            assert found_1 == pytest.approx(expected, abs=2e-3, rel=2e-3)


def test_a_nan_stays_in_its_pixel_and_infinity_is_at_the_edge() -> None:
    y = np.array([0.3, np.nan, np.inf, -0.2], np.float32)
    mean, log_sum, variance = TABLE.look_up(y, np.full(4, -0.5, np.float32))
    assert np.isfinite(mean).all(0).tolist() == [True, False, True, True]
    assert np.isfinite(log_sum).all(0).tolist() == [True, False, True, True]
    assert variance is None


def test_interpolation_is_linear_and_its_gradient_is_the_slope() -> None:
    values = RNG.standard_normal((2, 4, 5))

    def interpolate(row: Array, column: Array) -> Any:
        return pixels.interpolate([values], row, column)[0]

    row, column = np.array([0.3, 2.5]), np.array([3.2, 1.9])
    check_grads(interpolate, (0, 1), modes=["rev"], order=1)(row, column)
    at_entry = interpolate(np.array([1.0]), np.array([2.0]))[:, 0]
    assert at_entry == pytest.approx(values[:, 1, 2])
    between = interpolate(np.array([1.5]), np.array([2.5]))[:, 0]
    assert between == pytest.approx(values[:, 1:3, 2:4].mean((1, 2)))


# The network.

@pytest.mark.parametrize("t", [20, 40, 55])
def test_mean_and_variance_are_bayes_rule_over_kinds_and_levels(t: int) -> None:
    """With random m, log τ and c; against the sums written out, to the error of interpolation."""
    noise = GRID.one_minus_alpha_bar[t] ** 0.5 * RNG.standard_normal((3, 4, 4))
    x = GRID.alpha_bar[t] ** 0.5 * RNG.choice(pixels.LEVELS, (3, 4, 4)) + noise
    output = RNG.standard_normal((3, 4, 4, 3))
    inner = Network(None, lambda weights, x_and_guess, t: output)
    network = pixels.pixel_network(GRID, TABLE, inner, learn_variance=True)
    x_0, fraction = network.apply(NO_WEIGHTS, x, t)
    variance = interpolated_variance(GRID, x, t, fraction)
    var_x_0 = (variance - GRID.beta_tilde[t]) / GRID.coef_x_0[t] ** 2

    y, snr = x / GRID.alpha_bar[t] ** 0.5, GRID.snr[t]
    m, tau, c = output[..., 0], np.exp(2 * output[..., 1] - 4), 4 * output[..., 2]
    for b in range(3):
        log_evidence = [sum(posterior_by_hand(prior, value, snr)[1] for value in y[b].flat)
                        for prior in HISTOGRAMS.levels]
        p_kind = np.exp(log_evidence - np.max(log_evidence))
        p_kind /= p_kind.sum()
        for i, j in np.ndindex(4, 4):
            mean, mean_square = 0, 0
            for p, prior in zip(p_kind, HISTOGRAMS.levels):
                factor = np.exp(-0.5 * tau[b, i, j] * (m[b, i, j] - pixels.LEVELS) ** 2)
                factor[0] = np.exp(c[b, i, j])
                of_kind, _, var_of_kind = posterior_by_hand(prior * factor, y[b, i, j], snr)
                mean += p * of_kind
                mean_square += p * (var_of_kind + of_kind ** 2)
            assert x_0[b, i, j] == pytest.approx(mean, abs=3e-3)
            assert var_x_0[b, i, j] == pytest.approx(mean_square - mean ** 2, abs=3e-3)


def test_without_its_variance_a_network_has_the_same_mean() -> None:
    x, output = RNG.standard_normal((3, 4, 4)), RNG.standard_normal((3, 4, 4, 3))
    inner = Network(None, lambda weights, x_and_guess, t: output)
    full = pixels.pixel_network(GRID, TABLE, inner, learn_variance=True)
    mean, _ = full.apply(NO_WEIGHTS, x, 40)
    for network in (pixels.pixel_network(GRID, TABLE, inner), pixels.mean_only(full)):
        assert (network.apply(NO_WEIGHTS, x, 40) == mean).all()


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 7, 5, 3)])
def test_gradients(shape: tuple[int, ...]) -> None:
    """Along a random direction in float64, with and without channels; float32 stays float32."""
    channels = 1 if len(shape) == 3 else 3
    inner = conv_denoiser(2 * channels, width=4, inner_blocks=1, outputs=3 * channels)
    network = pixels.pixel_network(GRID, TABLE, inner)
    weights = network.init(np.random.default_rng(0))
    start = pack(weights)
    vector = start + 0.1 * np.random.default_rng(1).standard_normal(start.shape)
    direction = np.random.default_rng(2).standard_normal(vector.shape)
    x, t = RNG.standard_normal(shape), np.array([30, 50])

    def loss(vector: Array, x: Array) -> Any:
        return (network.apply(unpack(vector, network.layout), x, t) ** 2).sum()

    ahead, behind = loss(vector + 1e-6 * direction, x), loss(vector - 1e-6 * direction, x)
    assert grad(loss)(vector, x) @ direction == pytest.approx((ahead - behind) / 2e-6, rel=1e-3)
    single = x.astype(np.float32)
    assert grad(loss)(start, single).dtype == np.float32
    assert network.apply(weights, single, t).dtype == np.float32
    assert network.apply(weights, x, t).dtype == np.float64
    assert network.apply(weights, x, t).shape == shape


# The bits.

def test_the_bits_of_the_pixel_alone_are_the_entropy_of_its_histogram() -> None:
    """½·∫E[(z − D)²] dSNR = H(z), by the table's errors, on a fine grid of log SNR."""
    wide = pixels.Table(HISTOGRAMS, log_snr_uniform(10, 14.5, -12))
    nats = 0.5 * (np.exp(wide.log_snr) * wide.error).sum() * wide.spacing
    entropy = HISTOGRAMS.share @ -(HISTOGRAMS.levels * np.log(HISTOGRAMS.levels)).sum(1)
    assert nats == pytest.approx(entropy, rel=2e-3)


def test_the_ledger_of_independent_pixels_is_their_code_length() -> None:
    """With τ = e^−22 the network adds nothing, and −ELBO is −log p(image) by the histograms.

    Statistical, 6 standard errors; the steps of the grid cost about 2.5 % more.
    """
    images, grid = independent_pixels(60), grey_levels(400)
    x_0 = images / 127.5 - 1

    def adds_nothing(weights: Any, x_and_guess: Array, t: int | Array) -> Array:
        return np.zeros((*x_and_guess.shape[:-1], 3)) - [0, 9, 0]

    table = pixels.Table(HISTOGRAMS, grid)
    network = pixels.pixel_network(grid, table, Network(None, adds_nothing))
    alone = as_denoiser(grid, lambda x, t: network.apply(NO_WEIGHTS, x, t), "x_0")
    found = ledger(grid, alone, x_0, np.random.default_rng(0), "beta_tilde", level_log_prob)
    log_p = np.stack([np.log(levels)[images].sum((1, 2)) for levels in HISTOGRAMS.levels])
    exact = -np.logaddexp(*(np.log(HISTOGRAMS.share)[:, None] + log_p))
    difference = found.terms.sum(1) - exact
    tolerance = 0.015 * exact.mean() + 6 * difference.std() / 60 ** 0.5
    assert abs(difference.mean() - 0.025 * exact.mean()) < tolerance

    # A term of the ledger is the weighted error of x̂_0.
    eps, t = RNG.standard_normal(x_0.shape), 200
    x_t = np.sqrt(grid.alpha_bar[t]) * x_0 + np.sqrt(grid.one_minus_alpha_bar[t]) * eps
    error = ((network.apply(NO_WEIGHTS, x_t, t) - x_0) ** 2).sum((1, 2))
    expected = grid.coef_x_0[t] ** 2 * error / (2 * grid.beta_tilde[t])
    assert step_term(grid, alone, x_0, t, eps, "beta_tilde") == pytest.approx(expected)


def test_loss_and_times_give_the_weights_of_the_elbo() -> None:
    """Probability of t over e_t is proportional to the weight of ‖ε − ε_θ‖² in −ELBO."""
    error = bits.unexplained(GRID, TABLE)
    share, weights = bits.bit_share(GRID, error, uniform=0), simple_weights(GRID, "beta_tilde")
    ratio = share[1:] / error[1:] / weights[1:]
    assert ratio.std() < 1e-9 * ratio.mean()
    mixed = bits.bit_share(GRID, error)
    assert mixed.sum() == pytest.approx(1) and mixed[1:].min() > 0.1 / 61


def test_the_loss_of_the_guess_without_network_is_one() -> None:
    """Statistical: 0.05 is 4 standard errors or more; with t uniform, and as training draws it."""
    loss, draw_times = bits.loss_and_times(GRID, TABLE)
    x_0 = independent_pixels(1600) / 127.5 - 1

    def guess(x: Array, t: int | Array) -> Array:
        return pixels.guess_without_network(TABLE, *y_and_log_snr(x, t))[1]

    alone = as_denoiser(GRID, guess, "x_0")
    eps = RNG.standard_normal(x_0.shape)
    for t in (RNG.integers(1, 45, 1600), draw_times(np.random.default_rng(0), GRID.T, 1600)):
        assert loss(GRID, alone, x_0, t, eps) == pytest.approx(1, abs=0.05)


def test_times_by_share() -> None:
    """A batch has each t in proportion; each time alone, too: statistical, fixed seeds."""
    share = np.array([0, 0.5, 0.25, 0.25])
    draw_times = bits.draw_times_by(share)
    t = draw_times(np.random.default_rng(0), 3, 400)
    assert np.bincount(t).tolist() == [0, 200, 100, 100]
    assert t.tolist() != sorted(t)
    batches = [draw_times(np.random.default_rng(seed), 3, 3) for seed in range(400)]
    counts = np.bincount(np.concatenate(batches), minlength=4)
    assert counts / 1200 == pytest.approx(share, abs=0.03)


# A run.

def test_the_histograms_travel_with_the_run(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", independent_pixels(30))
    dataset = runs.open_data(str(tmp_path / "images.npy"))
    sizes = dict(width=4, outer_blocks=1, inner_blocks=1)
    run, rng = runs.start(dataset, T=6, steps=3, batch=4, network=sizes)
    run = runs.fit(run, dataset, rng, tmp_path / "run")
    back, _ = runs.load(tmp_path / "run")
    x = RNG.standard_normal((2, 12, 12))
    assert np.array_equal(back.denoiser(x, 3), run.denoiser(x, 3))
    assert back.settings["predicts"] == "prior"
    with np.load(tmp_path / "run" / "checkpoint.npz") as file:
        arrays = dict(file)
    levels, share = arrays["levels"], arrays["share"]
    for damage in ({"levels": levels[:, :9]}, {"levels": -levels}, {"share": share * np.nan}):
        np.savez(tmp_path / "run" / "checkpoint.npz", **{**arrays, **damage})
        with pytest.raises(ValueError, match="share"):
            runs.load(tmp_path / "run")
