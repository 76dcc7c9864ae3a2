"""Toys have the density that they claim, and the moments 0 and 1."""
import numpy as np
import pytest
from messages import one_sentence

from tinyddpm import toys
from tinyddpm.oracle import Mixture

every_toy = pytest.mark.parametrize("name", toys.TOYS)


@every_toy
def test_density_integrates_to_one(name):
    """By the midpoint rule over ±8, outside of which lies less than 1e-10 of the mass."""
    spacing = toys.Checkerboard.side / 20  # divides the checkerboard's squares
    axis = spacing * (np.arange(-185, 185) + 0.5)
    toy, total = toys.toy(name), 0.0
    for y in axis:
        row = np.stack([axis, np.full_like(axis, y)], 1)
        total += np.exp(toy.log_prob(row)).sum() * spacing ** 2
    assert total == pytest.approx(1, abs=1e-8)


@every_toy
def test_moments_are_zero_and_one(name):
    toy = toys.toy(name)
    assert np.allclose(toy.mean, 0, atol=1e-12)
    assert np.trace(toy.covariance) / 2 == pytest.approx(1, abs=1e-12)


@every_toy
def test_samples_have_the_moments(name):
    """Within six standard errors at a fixed seed, each estimated from the samples themselves."""
    toy, n = toys.toy(name), 20_000
    x = toy.sample(np.random.default_rng(0), n)
    assert x.shape == (n, 2) and x.dtype == np.float64
    u, v = (x - toy.mean).T
    products = np.stack([u, v, u * u, u * v, v * v], 1)
    expected = np.array([0, 0, *toy.covariance[[0, 0, 1], [0, 1, 1]]])
    assert (abs(products.mean(0) - expected) < 6 * products.std(0) / np.sqrt(n)).all()
    assert np.isfinite(toy.log_prob(x)).all()


@every_toy
def test_same_seed_same_samples(name):
    draws = [toys.toy(name).sample(np.random.default_rng(7), 20) for _ in range(2)]
    assert np.array_equal(*draws)


def test_the_components_along_a_curve_are_smooth():
    """Along a straight line of components, log p varies by at most ±2·exp(−2π²) = ±5e-9."""
    means, covariances = toys._along(lambda u: 30 * u * np.exp(0.3j), 30, width=0.1)
    string = Mixture(np.ones(30), means, covariances)
    path = means[14] + np.linspace(0, 1, 21)[:, None] * (means[16] - means[14])
    assert np.ptp(string.log_prob(path)) < 1.2e-8


def test_checkerboard_is_uniform_on_its_dark_squares():
    board = toys.checkerboard()
    x = board.sample(np.random.default_rng(0), 8000)
    assert board.entropy() == pytest.approx(np.log(6)) == pytest.approx(-board.log_prob(x).mean())
    squares, counts = np.unique(np.floor(x / board.side).astype(int), axis=0, return_counts=True)
    assert len(squares) == 8
    six_standard_errors = 6 * np.sqrt(1000 * 7 / 8)
    assert (abs(counts - 1000) < six_standard_errors).all()
    light_or_outside = np.array([[0.1, -0.1], [-0.1, 0.1], [1.8, 0.1], [0.1, -1.8], [40, 40]])
    assert (board.log_prob(light_or_outside) == -np.inf).all()


def test_unknown_toy():
    with pytest.raises(ValueError) as error:
        toys.toy("moon")
    one_sentence(error, "'moon'", *toys.TOYS)
