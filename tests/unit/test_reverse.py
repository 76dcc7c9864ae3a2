"""The reverse step: a guess under any name, its variance, its clipping, and what is refused."""
import numpy as np
import pytest

from tinyddpm import Gaussian, Mixture, Schedule, as_denoiser, diffuse, linear, predict
from tinyddpm.reverse import (
    interpolated_variance,
    log_variance_range,
    mean_from_x_0,
    reverse_step,
    score_from_eps,
    v_from_eps,
    variance_table,
    x_0_from_eps,
)

SCHEDULE = linear(50)
DATA = Mixture([1, 2], [[-1.0, 0.5], [1.0, 0.0]], [[[0.3, 0.1], [0.1, 0.2]], 0.1 * np.eye(2)])
FROM_EPS = {"eps": lambda schedule, x_t, t, eps: eps, "x_0": x_0_from_eps, "v": v_from_eps,
            "score": score_from_eps}


@pytest.mark.parametrize("name", FROM_EPS)
def test_a_predictor_of_anything_becomes_the_same_denoiser(name):
    exact, x_t = DATA.denoiser(SCHEDULE), np.random.default_rng(0).standard_normal((5, 2))
    eps = exact(x_t, 20)

    def predictor(x_t, t):
        return FROM_EPS[name](SCHEDULE, x_t, t, exact(x_t, t))

    def with_variance(x_t, t):
        return predictor(x_t, t), x_t + 7

    assert as_denoiser(SCHEDULE, predictor, name)(x_t, 20) == pytest.approx(eps, abs=1e-12)
    pair = as_denoiser(SCHEDULE, with_variance, name)(x_t, 20)
    assert pair[0] == pytest.approx(eps, abs=1e-12)
    assert (pair[1] == x_t + 7).all()  # the learned variance is not converted


def test_a_predictor_of_something_else_is_refused():
    with pytest.raises(ValueError, match="predicts = 'noise'"):
        as_denoiser(SCHEDULE, DATA.denoiser(SCHEDULE), "noise")


def var_of_the_step(t, variance, log_var_fraction=None):
    """The variance of the step from x_t = 0, (2, 3), for a denoiser that guesses 0."""
    def denoiser(x_t, t):
        return x_t if log_var_fraction is None else (x_t, log_var_fraction)

    prediction = predict(SCHEDULE, denoiser, np.zeros((2, 3)), t)
    return reverse_step(SCHEDULE, prediction, variance).var


def test_variances():
    assert var_of_the_step(7, "beta") == SCHEDULE.beta[7]
    assert var_of_the_step(7, "beta_tilde") == SCHEDULE.beta_tilde[7]
    geometric = np.sqrt(SCHEDULE.beta[7] * SCHEDULE.beta_tilde[7])
    learned = var_of_the_step(7, "learned", np.full((2, 3), 0.5))
    assert learned == pytest.approx(geometric)
    for t in (1, np.array([1, 2])):
        learned = var_of_the_step(t, "learned", np.zeros((2, 3)))
        assert np.isfinite(np.log(learned)).all()
        assert (var_of_the_step(t, "beta_tilde") > 0).all()
    given = var_of_the_step(np.array([3, 4]), np.arange(51.0))
    assert given.tolist() == [[3], [4]]


@pytest.mark.parametrize("variance, message", [
    ("bata", "variance = 'bata'"), ("zeta", "variance = 'zeta'"), ("learned", "pair"),
    (np.array([1.0, 1, 0, *np.ones(48)]), r"variance\[2\] = 0"),
    (np.ones(50), r"\(51,\)|\(51\)"),
    (SCHEDULE.beta_tilde, r"variance\[1\] = 0"), (np.full(51, np.nan), "nan")])
def test_other_variances_are_refused(variance, message):
    with pytest.raises(ValueError, match=message):
        var_of_the_step(7, variance)


def test_a_log_var_fraction_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="log_var_fraction has shape"):
        var_of_the_step(7, "learned", np.ones(2))


def test_variances_at_their_ends():
    """A fraction of 1 is β_t and 0 is β̃_t; at t = 1 β̃_2 replaces β̃_1 = 0 (β_1 if T = 1)."""
    x, one_step = np.zeros((2, 3)), Schedule([0.3])
    for schedule, t, fraction, expected in [
            (SCHEDULE, 7, 1, SCHEDULE.beta[7]), (SCHEDULE, 7, 0, SCHEDULE.beta_tilde[7]),
            (SCHEDULE, 1, 1, SCHEDULE.beta[1]), (SCHEDULE, 1, 0, SCHEDULE.beta_tilde[2]),
            (one_step, 1, 0, 0.3), (one_step, 1, 1, 0.3)]:
        var = interpolated_variance(schedule, x, t, x + fraction)
        assert var == pytest.approx(expected, rel=1e-12)
    var = interpolated_variance(SCHEDULE, x, np.array([1, 7]), x)
    assert var[:, 0] == pytest.approx(SCHEDULE.beta_tilde[[2, 7]], rel=1e-12)
    table = variance_table(SCHEDULE, "beta_tilde")
    assert (table[2:] == SCHEDULE.beta_tilde[2:]).all() and table[1] == SCHEDULE.beta[1]
    assert variance_table(one_step, "beta_tilde")[1] == 0.3


def test_a_clipped_guess_is_the_same_as_x_0_and_as_eps():
    def minus_one(x_t, t):
        return np.full_like(x_t, -1.0)

    x_t = np.array([[3.0, -0.2]])
    guess = predict(SCHEDULE, minus_one, x_t, 10, clip=(-1, 1))
    assert guess.x_0.max() == 1 and guess.x_0.min() > -1
    assert diffuse(SCHEDULE, guess.x_0, 10, guess.eps) == pytest.approx(x_t)
    mean = mean_from_x_0(SCHEDULE, x_t, 10, guess.x_0)
    assert reverse_step(SCHEDULE, guess).mean == pytest.approx(mean)
    free = predict(SCHEDULE, minus_one, x_t, 10)
    assert (free.eps == -1).all()


def test_a_denoiser_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"eps has shape \(4,\) and x_t has \(4, 2\)"):
        predict(SCHEDULE, lambda x, t: x[:, 0], np.ones((4, 2)), 3)


@pytest.mark.parametrize("clip", [(1.0, 1.0), (1.0, -1.0), (1.0,)])
def test_bounds_that_do_not_rise_are_refused(clip):
    schedule, x = linear(50), np.zeros((1, 2))
    with pytest.raises(ValueError, match="clip"):
        predict(schedule, lambda x_t, t: x_t, x, 3, clip)


@pytest.mark.parametrize("table, message", [
    (np.full(52, 0.1), "shape of variance"), (np.append(0.1, np.full(50, -0.1)), r"variance\[1\]")])
def test_a_wrong_table_of_variances_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        variance_table(linear(50), table)


def test_the_range_of_a_learned_variance_at_the_last_step():
    """log β̃_2 stands for log β̃_1 = −∞; T = 1 has β_1 alone."""
    schedule, x = Schedule([0.1, 0.2]), np.zeros((1, 2))
    assert log_variance_range(schedule, x, 1)[1] == np.log(schedule.beta_tilde[2])
    assert log_variance_range(Schedule([0.1]), x, 1)[1] == np.log(0.1)


@pytest.mark.parametrize("x_dtype, eps_dtype", [("f4", "f8"), ("f8", "f4")])
def test_a_guess_of_another_dtype_is_refused(x_dtype, eps_dtype):
    eps = np.zeros((1, 2), eps_dtype)
    with pytest.raises(ValueError, match="dtype of eps"):
        predict(linear(50), lambda x_t, t: eps, np.zeros((1, 2), x_dtype), 3)
    with pytest.raises(ValueError, match="dtype of eps"):
        Gaussian(np.zeros((1, 2), x_dtype), np.ones((1, 2), x_dtype)).sample(eps)
