"""The variance of the exact step back, from the variance of x_0 given x_t."""
import numpy as np
import pytest

from tinyddpm import Schedule, cosine, linear, log_snr_uniform
from tinyddpm.images.schedule import grey_levels
from tinyddpm.images.variance import fraction_from_variance
from tinyddpm.reverse import interpolated_variance


@pytest.mark.parametrize("schedule", [linear(50), linear(1000), cosine(1000), grey_levels(1000)])
def test_a_variance_of_x_0_gives_the_variance_of_the_exact_step_back(schedule):
    """σ_t² = β̃_t + coef_x_0²·Var(x_0|x_t), for any Var(x_0|x_t).

    It is β̃_t for a point, and β_t for x_0 ~ N(0, I), where Var(x_0|x_t) = 1 − ᾱ_t.
    """
    t, om = np.arange(2, schedule.T + 1), schedule.one_minus_alpha_bar
    var_x_0 = np.random.default_rng(0).uniform(0, 3, (len(t), 4)) * om[t, None]
    var_x_0[:, 0], var_x_0[:, 1] = 0, om[t]
    fraction = fraction_from_variance(schedule, var_x_0, t)
    expected = schedule.beta_tilde[t, None] + schedule.coef_x_0[t, None] ** 2 * var_x_0
    var = interpolated_variance(schedule, var_x_0, t, fraction)
    assert var == pytest.approx(expected, rel=1e-12)
    assert (fraction[:, 0] == 0).all() and fraction[:, 1] == pytest.approx(1, rel=1e-9)


def test_the_fraction_at_the_first_step_is_one():
    var_x_0 = np.random.default_rng(0).random((3, 4))
    fraction = fraction_from_variance(linear(50), var_x_0, np.array([1, 2, 1]))
    assert fraction[[0, 2]] == pytest.approx(1)
    x, one_step = np.zeros((2, 3)), Schedule([0.3])
    fraction = fraction_from_variance(one_step, x, 1)
    assert interpolated_variance(one_step, x, 1, fraction) == pytest.approx(0.3)


def test_the_fraction_in_float32_and_where_the_two_variances_are_equal():
    var_x_0 = np.random.default_rng(0).random((3, 4))
    double = fraction_from_variance(linear(50), var_x_0, 2)
    single = fraction_from_variance(linear(50), var_x_0.astype(np.float32), 2)
    assert single == pytest.approx(double, rel=1e-6)
    noisy = log_snr_uniform(100, 10, -60)  # so much noise that β̃_t is β_t in float64
    assert fraction_from_variance(noisy, var_x_0 + 0.5, 99) == pytest.approx(1)
    assert fraction_from_variance(noisy, var_x_0[:0], 99).shape == (0, 4)
    with pytest.raises(ValueError, match="var_x_0 = -"):
        fraction_from_variance(linear(50), var_x_0 - 1, 2)
