"""The pixel's posterior against sums over 256 levels, written out; its bits against the entropy of the histogram."""
import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads

from tinyddpm import Gaussian, Network, as_denoiser, conv_denoiser, ledger, log_snr_uniform, simple_weights, step_term
from tinyddpm.decoder import level_log_prob
from tinyddpm.app import run as runs
from tinyddpm.images import bits, pixels
from tinyddpm.network.weights import pack, unpack
from tinyddpm.reverse import interpolated_variance
from tinyddpm.images.schedule import grey_levels
from tinyddpm.images.bits import draw_times_by

RNG = np.random.default_rng(0)
GRID = grey_levels(60)


def histograms(kinds=2, black=0.6):
    levels = RNG.dirichlet(np.full(256, 0.3), kinds) + 1e-4
    levels[:, 0] = black * levels.sum(1) / (1 - black)
    return pixels.Histograms(np.full(kinds, 1 / kinds), levels / levels.sum(1, keepdims=True))


HISTOGRAMS = histograms()
TABLE = pixels.Table(HISTOGRAMS, GRID)


def slow_posterior(prior, y, snr):
    """(E[z | y], log evidence, Var(z | y)) of one pixel in the simplest way, with its largest exponent taken out."""
    exponents = [-0.5 * snr * (y - z) ** 2 for z in pixels.LEVELS]
    weights = [p * np.exp(e - max(exponents)) for p, e in zip(prior, exponents)]
    mean = sum(w * z for w, z in zip(weights, pixels.LEVELS)) / sum(weights)
    variance = sum(w * (z - mean) ** 2 for w, z in zip(weights, pixels.LEVELS)) / sum(weights)
    return mean, np.log(sum(weights)) + max(exponents), variance


@pytest.mark.parametrize("row", [0, 20, 50, 75, -1])
def test_the_table_is_the_sum_over_levels(row):
    """At its entries to the round-off of float32; between them, near what a straight line makes of it."""
    log_snr, prior = TABLE.log_snr[row], np.array(HISTOGRAMS.levels[1])
    prior[0] = 0  # the most frequent
    reach = 1 + 4 * np.exp(-log_snr / 2)
    for column in (0, 1, 700, 1400, 2046, 2047):
        expected = slow_posterior(prior, (2 * column / 2047 - 1) * reach, np.exp(log_snr))
        assert TABLE.values[:, 1, row, column] == pytest.approx(expected, rel=2e-7, abs=1e-7)
    if 0 < row < 75:
        for y in RNG.uniform(-1, 1, 20):
            found = [of_kinds[1, 0] for of_kinds in TABLE(np.array([y]), np.array([log_snr + 0.03]), spread=True)]
            assert found == pytest.approx(slow_posterior(prior, y, np.exp(log_snr + 0.03)), abs=2e-3, rel=2e-3)


def test_a_nan_stays_one_and_troubles_no_other_pixel():
    y = np.array([0.3, np.nan, np.inf, -0.2], np.float32)
    mean, _ = TABLE(y, np.full(4, -0.5, np.float32))
    assert np.isfinite(mean).all(0).tolist() == [True, False, True, True]  # beyond the table as at its edge


@pytest.mark.parametrize("t", [20, 40, 55])
def test_guess_and_spread_are_bayes_rule_over_kinds_levels_and_what_the_network_says(t):
    noise = GRID.one_minus_alpha_bar[t] ** 0.5 * RNG.standard_normal((3, 4, 4))
    x = GRID.alpha_bar[t] ** 0.5 * RNG.choice(pixels.LEVELS, (3, 4, 4)) + noise
    says = RNG.standard_normal((3, 4, 4, 3))
    inner = Network(None, lambda weights, sights, t: says)
    weights = {"first": {"w": np.zeros(1)}}
    guess, v = pixels.pixel_network(GRID, TABLE, inner, learn_variance=True).apply(weights, x, t)
    assert (pixels.pixel_network(GRID, TABLE, inner).apply(weights, x, t) == guess).all()
    spread = (interpolated_variance(GRID, x, t, v) - GRID.beta_tilde[t]) / GRID.coef_x_0[t] ** 2
    y, snr = x / GRID.alpha_bar[t] ** 0.5, GRID.snr[t]
    m, tau, c = says[..., 0], np.exp(2 * says[..., 1] - 4), 4 * says[..., 2]
    for b in range(3):
        evidence = [sum(slow_posterior(prior, value, snr)[1] for value in y[b].flat) for prior in HISTOGRAMS.levels]
        kinds = np.exp(evidence - np.max(evidence))
        kinds /= kinds.sum()
        for i, j in np.ndindex(4, 4):
            mean, square = 0, 0
            for kind, prior in zip(kinds, HISTOGRAMS.levels):
                tilt = np.exp(-0.5 * tau[b, i, j] * (m[b, i, j] - pixels.LEVELS) ** 2)
                tilt[0] = np.exp(c[b, i, j])
                of_kind, _, variance = slow_posterior(prior * tilt, y[b, i, j], snr)
                mean, square = mean + kind * of_kind, square + kind * (variance + of_kind ** 2)
            assert guess[b, i, j] == pytest.approx(mean, abs=3e-3)
            assert spread[b, i, j] == pytest.approx(square - mean ** 2, abs=3e-3)


def test_the_bits_of_the_pixel_alone_are_the_entropy_of_its_histogram():
    """½∫ E(z − D)²·dSNR = H(z): by the table's own errors, on a fine grid of log SNR."""
    wide = pixels.Table(HISTOGRAMS, log_snr_uniform(10, 14.5, -12))
    nats = 0.5 * (np.exp(wide.log_snr) * wide.error).sum() * wide.step
    entropy = HISTOGRAMS.share @ -(HISTOGRAMS.levels * np.log(HISTOGRAMS.levels)).sum(1)
    assert nats == pytest.approx(entropy, rel=2e-3)


def independent_pixels(n):
    kinds = RNG.integers(2, size=n)
    return np.stack([RNG.choice(256, (12, 12), p=HISTOGRAMS.levels[kind]) for kind in kinds]).astype(np.uint8)


def test_the_ledger_of_a_network_that_says_nothing():
    """Statistical, 6 standard errors: of independent pixels, the code length of their histogram, but for the steps of the grid."""
    images, grid = independent_pixels(60), grey_levels(400)
    table = pixels.Table(HISTOGRAMS, grid)
    silent = Network(None, lambda weights, sights, t: np.stack([0 * x for x in 3 * [sights[..., 0]]], -1) - [0, 9, 0])
    network = pixels.pixel_network(grid, table, silent)
    alone = as_denoiser(grid, lambda x, t: network.apply({"first": {"w": np.zeros(1)}}, x, t), "x_0")
    x_0 = images / 127.5 - 1
    found = ledger(grid, alone, x_0, np.random.default_rng(0), "beta_tilde", level_log_prob)
    per_kind = np.log(HISTOGRAMS.share) + np.stack([np.log(p)[images].sum((1, 2)) for p in HISTOGRAMS.levels], 1)
    exact = -np.logaddexp(*per_kind.T)
    difference = found.terms.sum(1) - exact
    assert abs(difference.mean() - 0.025 * exact.mean()) < 0.015 * exact.mean() + 6 * difference.std() / 60 ** 0.5
    # A term of the ledger is what it was: the weighted error of x̂_0, whoever guessed it.
    eps, t = RNG.standard_normal(x_0.shape), 200
    x_t = np.sqrt(grid.alpha_bar[t]) * x_0 + np.sqrt(grid.one_minus_alpha_bar[t]) * eps
    error = ((network.apply({"first": {"w": np.zeros(1)}}, x_t, t) - x_0) ** 2).sum((1, 2))
    assert step_term(grid, alone, x_0, t, eps, "beta_tilde") == pytest.approx(grid.coef_x_0[t] ** 2 * error / (2 * grid.beta_tilde[t]))


def test_kinds_are_found():
    """Statistical, fixed seed: images of two histograms are told apart, and a level never seen is not impossible."""
    images = independent_pixels(80)
    found = pixels.fit_histograms(images, 2)
    distance = [abs(p - HISTOGRAMS.levels[k]).sum() for p in found.levels for k in (0, 1)]
    assert min(distance[0] + distance[3], distance[1] + distance[2]) < 0.3 < max(distance)
    assert found.share.sum() == pytest.approx(1) and found.levels.sum(1) == pytest.approx(1) and (found.levels > 0).all()
    assert pixels.fit_histograms(images[:1], 6).levels.shape == (6, 256)


def test_the_loss_is_the_bound_and_one_for_the_pixel_alone():
    """Over t as often as `bit_share` says, the loss has the ELBO's weights; and D leaves the same at every t."""
    left = bits.unexplained(GRID, TABLE)
    share, weights = bits.bit_share(GRID, left, uniform=0), simple_weights(GRID, "beta_tilde")
    assert (share[1:] / left[1:] / weights[1:]).std() < 1e-9 * (share[1:] / left[1:] / weights[1:]).mean()
    assert bits.bit_share(GRID, left).sum() == pytest.approx(1) and bits.bit_share(GRID, left)[1:].min() > 0.1 / 61
    x_0, t = (independent_pixels(400) / 127.5 - 1), RNG.integers(1, 45, 400)
    alone = as_denoiser(GRID, lambda x, t: pixels.pixels_alone(TABLE, *y_and_log_snr(x, t))[1], "x_0")
    assert bits.bits_loss(left)(GRID, alone, x_0, t, RNG.standard_normal(x_0.shape)) == pytest.approx(1, abs=0.05)


def y_and_log_snr(x, t):
    at = GRID.coefficients_at(t, x)
    return x / np.sqrt(at.alpha_bar), np.broadcast_to(at.log_snr, x.shape)


def test_times_by_share():
    share = np.array([0, 0.5, 0.25, 0.25])
    t = draw_times_by(share)(np.random.default_rng(0), 3, 400)
    assert np.bincount(t).tolist() == [0, 200, 100, 100]  # in slices: no luck in it
    assert t.tolist() != sorted(t)
    counts = sum(np.bincount(draw_times_by(share)(np.random.default_rng(i), 3, 3), minlength=4) for i in range(400))
    assert counts / 1200 == pytest.approx(share, abs=0.03)  # and each alone has its share: statistical, fixed seeds


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 7, 5, 3)])
def test_gradients(shape):
    """Along a random direction in float64, for images with and without channels; in float32 nothing is promoted."""
    channels = 1 if len(shape) == 3 else 3
    network = pixels.pixel_network(GRID, TABLE, conv_denoiser(2 * channels, width=4, inner_blocks=1, outputs=3 * channels))
    template = network.init(np.random.default_rng(0))
    x, t = RNG.standard_normal(shape), np.array([30, 50])
    vector = pack(template) + 0.1 * np.random.default_rng(1).standard_normal(pack(template).shape)
    loss = lambda v: (network.apply(unpack(v, template), x, t) ** 2).sum()
    direction = np.random.default_rng(2).standard_normal(vector.shape)
    numeric = (loss(vector + 1e-6 * direction) - loss(vector - 1e-6 * direction)) / 2e-6
    assert grad(loss)(vector) @ direction == pytest.approx(numeric, rel=1e-3)
    small = x.astype(np.float32)
    assert grad(lambda v: (network.apply(unpack(v, template), small, t) ** 2).sum())(pack(template)).dtype == np.float32
    assert network.apply(template, small, t).dtype == np.float32 and network.apply(template, x, t).dtype == np.float64
    assert network.apply(template, x, t).shape == shape


def test_interpolation_is_linear_and_its_gradient_is_the_slope():
    values = RNG.standard_normal((2, 4, 5))
    interpolate = lambda r, c: pixels._interpolate([values], r, c)[0]
    row, column = np.array([0.3, 2.5]), np.array([3.2, 1.9])
    check_grads(interpolate, (0, 1), modes=["rev"], order=1)(row, column)
    assert interpolate(np.array([1.0]), np.array([2.0]))[:, 0] == pytest.approx(values[:, 1, 2])
    middle = values[:, 1:3, 2:4].mean((1, 2))
    assert interpolate(np.array([1.5]), np.array([2.5]))[:, 0] == pytest.approx(middle)


def test_the_histograms_travel_with_the_run(tmp_path):
    np.save(tmp_path / "images.npy", independent_pixels(30))
    dataset = runs.open_data(str(tmp_path / "images.npy"))
    run, rng = runs.start(dataset, T=6, steps=3, batch=4, network=dict(width=4, outer_blocks=1, inner_blocks=1))
    run = runs.fit(run, dataset, rng, tmp_path / "run")
    back, _ = runs.load(tmp_path / "run")
    x = RNG.standard_normal((2, 12, 12))
    assert np.array_equal(back.denoiser(x, 3), run.denoiser(x, 3)) and back.settings["predicts"] == "prior"
    with np.load(tmp_path / "run" / "checkpoint.npz") as file:
        arrays = dict(file)
    for damage in ({"levels": arrays["levels"][:, :9]}, {"levels": -arrays["levels"]}, {"share": arrays["share"] * np.nan}):
        np.savez(tmp_path / "run" / "checkpoint.npz", **{**arrays, **damage})
        with pytest.raises(ValueError, match="share"):
            runs.load(tmp_path / "run")
