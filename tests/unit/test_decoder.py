"""The 256-level decoder against mpmath, and at its limits."""
import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm import Gaussian
from tinyddpm.decoder import from_levels, level_log_prob, log_normal_interval

LEVELS = from_levels(np.arange(256)).astype(float)[:, None]


def all_levels(mean, std):
    """log P_k of every level, (256,)."""
    p = Gaussian(np.full((256, 1), mean), np.full((256, 1), std ** 2))
    return level_log_prob(p, LEVELS)


@given(st.floats(-1, 1), st.floats(-4, 1).map(np.exp), st.integers(0, 255))
def test_a_level_is_the_integral_over_its_bin(mean, std, level):
    """Against Φ in 50 digits, the first and the last level too."""
    with mpmath.workdps(50):
        edges = [(mpmath.mpf(2 * level + side) / 255 - 1 - mean) / std for side in (-1, 1)]
        low = -mpmath.inf if level == 0 else edges[0]
        high = mpmath.inf if level == 255 else edges[1]
        if low + high > 0:  # in the left tail no difference cancels
            low, high = -high, -low
        expected = float(mpmath.log(mpmath.ncdf(high) - mpmath.ncdf(low)))
    assert all_levels(mean, std)[level] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("z", [-150.0, -40.0, -5.0, 5.0, 40.0, 150.0])
@pytest.mark.parametrize("dtype, precision", [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_far_tails_are_right_and_have_a_slope(dtype, precision, z):
    """To 150 standard deviations on either side."""
    low, high = np.array([z - 0.25], dtype), np.array([z + 0.25], dtype)
    with mpmath.workdps(60):  # in the left tail, where no difference cancels
        edges = (-abs(z) + 0.25, -abs(z) - 0.25)
        expected = float(mpmath.log(mpmath.ncdf(edges[0]) - mpmath.ncdf(edges[1])))

    def shifted(mean):
        return log_normal_interval(low - mean, high - mean)

    value, slope = shifted(0 * low), elementwise_grad(shifted)(0 * low)
    assert value.dtype == slope.dtype == dtype
    assert value[0] == pytest.approx(expected, rel=precision)
    assert slope[0] == pytest.approx(z, abs=1)  # about (x − μ)/σ²


def test_wide_gaussians():
    """σ → ∞ gives each end half; in between, the density times the width, and no log of zero."""
    with np.errstate(all="raise"):
        log_p = all_levels(0.0, 1e9)
    assert np.exp(log_p[[0, 255]]) == pytest.approx(0.5, rel=1e-8)
    inner = np.log(2 / 255 / 1e9 / np.sqrt(2 * np.pi))
    assert log_p[1:-1] == pytest.approx(inner, rel=1e-9)


def test_a_narrow_bin_takes_the_density_in_its_middle():
    narrow = log_normal_interval(np.array(-20.0), np.array(-20 + 1e-6))
    log_density = -0.5 * (np.log(2 * np.pi) + (20 - 5e-7) ** 2)
    assert narrow == pytest.approx(np.log(1e-6) + log_density, abs=1e-7)


@pytest.mark.parametrize("decoder", [Gaussian.log_prob, level_log_prob])
def test_decoder_gradients(decoder):
    rng = np.random.default_rng(0)
    x_0 = LEVELS[rng.integers(256, size=(3, 5)), 0]
    x_0[0, :2] = -1, 1
    mean, log_var = rng.standard_normal((2, 3, 5))

    def log_p(mean, log_var):
        return decoder(Gaussian(mean, np.exp(1.0) ** log_var), x_0)

    check_grads(log_p, (0, 1), modes=["rev"], order=1)(mean, log_var)


@pytest.mark.parametrize("x_0", [0.5, -1 - 2 / 255, 1 + 2 / 255])
def test_the_decoder_takes_the_256_levels_only(x_0):
    with pytest.raises(ValueError, match=f"holds {str(x_0)[:6]}.*256 levels"):
        level_log_prob(Gaussian(np.zeros((1, 1)), np.ones((1, 1))), np.array([[x_0]]))
