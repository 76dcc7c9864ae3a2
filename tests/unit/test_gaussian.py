"""Gaussians and the 256-level decoder, against mpmath and at their limits."""
import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm import Gaussian, bits_per_dim
from tinyddpm.decoder import from_levels, level_log_prob, log_normal_interval
from tinyddpm.gaussian import noise_like, standard_gaussian

LEVELS = from_levels(np.arange(256)).astype(float)[:, None]


def all_levels(mean, std):
    """log P_k of every level, (256,)."""
    p = Gaussian(np.full((256, 1), mean), np.full((256, 1), std ** 2))
    return level_log_prob(p, LEVELS)


@given(st.floats(-1, 1), st.floats(-4, 1).map(np.exp), st.integers(0, 255))
def test_a_level_is_the_integral_over_its_bin(mean, std, level):
    """Against Φ in 50 digits, tails too: no tanh in its place, no floor under it."""
    with mpmath.workdps(50):
        side = -1 if level / 127.5 - 1 > mean else 1  # in the left tail no difference cancels
        edges = [side * ((mpmath.mpf(2 * level) + step) / 255 - 1 - mean) / std for step in (side, -side)]
        if level in (0, 255):
            edges[0 if (level == 255) == (side == 1) else 1] = side * mpmath.inf * (1 if level == 255 else -1)
        expected = float(mpmath.log(mpmath.ncdf(edges[0]) - mpmath.ncdf(edges[1])))
    assert all_levels(mean, std)[level] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dtype, precision", [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_far_tails_are_right_and_have_a_slope(dtype, precision):
    """To 150 standard deviations on either side."""
    for z in (-150.0, -40.0, -5.0, 5.0, 40.0, 150.0):
        low, high = np.array([z - 0.25], dtype), np.array([z + 0.25], dtype)
        with mpmath.workdps(60):  # in the left tail, where no difference cancels
            expected = float(mpmath.log(mpmath.ncdf(-abs(z) + 0.25) - mpmath.ncdf(-abs(z) - 0.25)))
        value, slope = log_normal_interval(low, high), elementwise_grad(lambda m: log_normal_interval(low - m, high - m))(0 * low)
        assert value.dtype == slope.dtype == dtype
        assert value[0] == pytest.approx(expected, rel=precision)
        assert slope[0] == pytest.approx(z, abs=1)  # about (x − μ)/σ²


def test_narrow_bins_and_wide_gaussians():
    """σ → ∞ leaves half to either open end; between them the density times the width, and no log of zero."""
    with np.errstate(all="raise"):
        log_p = all_levels(0.0, 1e9)
    assert np.exp(log_p[[0, 255]]) == pytest.approx(0.5, rel=1e-8)
    assert log_p[1:-1] == pytest.approx(np.log(2 / 255 / 1e9 / np.sqrt(2 * np.pi)), rel=1e-9)
    narrow = log_normal_interval(np.array(-20.0), np.array(-20 + 1e-6))  # the density at the middle, not at an end
    assert narrow == pytest.approx(np.log(1e-6) - 0.5 * (np.log(2 * np.pi) + (20 - 5e-7) ** 2), abs=1e-7)


@pytest.mark.parametrize("decoder", [Gaussian.log_prob, level_log_prob])
def test_decoder_gradients(decoder):
    rng = np.random.default_rng(0)
    x_0, mean, log_var = LEVELS[rng.integers(256, size=(3, 5)), 0], rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    x_0[0, :2] = -1, 1
    check_grads(lambda m, v: decoder(Gaussian(m, np.exp(1.0) ** v), x_0), (0, 1), modes=["rev"], order=1)(mean, log_var)


@pytest.mark.parametrize("x_0", [0.5, -1 - 2 / 255, 1 + 2 / 255])
def test_the_decoder_takes_the_256_levels_only(x_0):
    with pytest.raises(ValueError, match=f"holds {str(x_0)[:6]}.*256 levels"):
        level_log_prob(Gaussian(np.zeros((1, 1)), np.ones((1, 1))), np.array([[x_0]]))


def test_density_integrates_to_one_and_entropy_is_its_mean_log():
    gaussian = Gaussian(np.full((20001, 1), 0.7), np.array([[0.3]]))
    x = np.linspace(-9, 9, 20001)[:, None]
    density = np.exp(gaussian.log_prob(x))
    assert density.sum() * 18 / 20000 == pytest.approx(1, abs=1e-12)
    assert -(density * np.log(np.maximum(density, 1e-300))).sum() * 18 / 20000 == pytest.approx(gaussian.entropy()[0], abs=1e-12)
    assert Gaussian(np.zeros((1, 3)), np.ones(())).entropy() == pytest.approx(1.5 * (1 + np.log(2 * np.pi)))


def test_shapes_that_differ_are_refused_whichever_is_larger():
    for a, b in [((2, 1), (2,)), ((2,), (2, 1)), ((2, 3), (2, 1))]:
        with pytest.raises(ValueError, match="must be the same"):
            Gaussian(np.zeros(a), np.ones(())).log_prob(np.zeros(b))


def test_reparameterised_draw_passes_gradients():
    """∂z/∂μ = 1 and ∂z/∂σ = ε (5.1.1)."""
    eps = np.array([[0.5, -2.0]])
    by_std = elementwise_grad(lambda std: Gaussian(np.ones((1, 2)), std ** 2).sample(eps))
    by_mean = elementwise_grad(lambda mean: Gaussian(mean, np.full((1, 2), 4.0)).sample(eps))
    assert by_std(np.full((1, 2), 2.0)) == pytest.approx(eps) and by_mean(np.zeros((1, 2))) == pytest.approx(1)


def test_gradients_of_kl():
    rng = np.random.default_rng(1)
    m, v, n, w = rng.standard_normal((2, 3)), rng.random((2, 3)) + 0.1, rng.standard_normal((2, 3)), rng.random((2, 3)) + 0.1
    check_grads(lambda *p: Gaussian(*p[:2]).kl(Gaussian(*p[2:])), (0, 1, 2, 3), modes=["rev"], order=2)(m, v, n, w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_normals_have_the_shape_and_dtype_they_are_like(dtype):
    x = np.ones((3, 2), dtype)
    gaussian, eps = standard_gaussian(x), noise_like(np.random.default_rng(0), x)
    assert gaussian.mean.dtype == gaussian.var.dtype == eps.dtype == dtype and gaussian.mean.shape == eps.shape == (3, 2)
    assert (gaussian.mean == 0).all() and (gaussian.var == 1).all()
