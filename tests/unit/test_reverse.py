"""Parameterisations and samplers: one guess under four names, and steps that go where they should."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyddpm import (
    Mixture,
    Schedule,
    ancestral_sampling,
    as_denoiser,
    cosine,
    ddim_sampling,
    ddim_step,
    diffuse,
    final_sample,
    linear,
    log_snr_uniform,
    predict,
    reverse,
)
from tinyddpm.images.schedule import grey_levels
from tinyddpm.images.variance import fraction_from_variance
from tinyddpm.reverse import (
    eps_from_score,
    eps_from_v,
    eps_from_x_0,
    interpolated_variance,
    mean_from_eps,
    mean_from_x_0,
    score_from_eps,
    v_from_eps,
    variance_table,
    x_0_from_eps,
)
from tinyddpm.sampling import algorithm_2, sampling_times

SCHEDULE = linear(50)
DATA = Mixture([1, 2], [[-1.0, 0.5], [1.0, 0.0]], [[[0.3, 0.1], [0.1, 0.2]], 0.1 * np.eye(2)])


def test_a_predictor_of_anything_becomes_the_same_denoiser():
    exact, x_t = DATA.denoiser(SCHEDULE), np.random.default_rng(0).standard_normal((5, 2))
    eps = exact(x_t, 20)
    for name, convert in [("eps", lambda s, x, t, e: e), ("x_0", x_0_from_eps), ("v", v_from_eps), ("score", score_from_eps)]:
        denoiser = as_denoiser(SCHEDULE, lambda x, t: convert(SCHEDULE, x, t, exact(x, t)), name)
        assert denoiser(x_t, 20) == pytest.approx(eps, abs=1e-12)
        pair = as_denoiser(SCHEDULE, lambda x, t: (convert(SCHEDULE, x, t, exact(x, t)), x + 7), name)(x_t, 20)
        assert pair[0] == pytest.approx(eps, abs=1e-12) and (pair[1] == x_t + 7).all()  # a learned variance is left as it is
    with pytest.raises(ValueError, match="predicts = 'noise'"):
        as_denoiser(SCHEDULE, exact, "noise")


def test_variances():
    x = np.zeros((2, 3))
    def var(t, variance, v=None):
        return reverse.reverse_step(SCHEDULE, predict(SCHEDULE, lambda x, t: x if v is None else (x, v), x, t), variance).var
    assert var(7, "beta") == SCHEDULE.beta[7] and var(7, "beta_tilde") == SCHEDULE.beta_tilde[7]
    geometric = np.sqrt(SCHEDULE.beta[7] * SCHEDULE.beta_tilde[7])
    assert var(7, "learned", np.full((2, 3), 0.5)) == pytest.approx(geometric)
    for t in (1, np.array([1, 2])):
        assert np.isfinite(np.log(var(t, "learned", x))).all() and (var(t, "beta_tilde") > 0).all()
    assert var(np.array([3, 4]), np.arange(51.0)).tolist() == [[3], [4]]
    for wrong, message in [("bata", "variance = 'bata'"), ("zeta", "variance = 'zeta'"), ("learned", "pair"),
                           (np.r_[1.0, 1, 0, np.ones(48)], r"variance\[2\] = 0"), (np.ones(50), r"\(51,\)|\(51\)"),
                           (SCHEDULE.beta_tilde, r"variance\[1\] = 0"), (np.full(51, np.nan), "nan")]:
        with pytest.raises(ValueError, match=message):
            var(7, wrong)
    with pytest.raises(ValueError, match="log_var_fraction has shape"):
        var(7, "learned", np.ones(2))


@pytest.mark.parametrize("schedule", [SCHEDULE, linear(1000), cosine(1000), grey_levels(1000)])
def test_a_variance_of_x_0_gives_the_variance_of_the_exact_step_back(schedule):
    """β̃_t + w_0²·spread for any spread; that is β̃_t for a point, and β_t for x_0 ~ N(0, I), whose spread is 1 − ᾱ_t."""
    t = np.arange(2, schedule.T + 1)
    spread = np.random.default_rng(0).uniform(0, 3, (len(t), 4)) * schedule.one_minus_alpha_bar[t, None]
    spread[:, 0], spread[:, 1] = 0, schedule.one_minus_alpha_bar[t]
    v = fraction_from_variance(schedule, spread, t)
    expected = schedule.beta_tilde[t, None] + schedule.coef_x_0[t, None] ** 2 * spread
    assert interpolated_variance(schedule, spread, t, v) == pytest.approx(expected, rel=1e-12)
    assert (v[:, 0] == 0).all() and v[:, 1] == pytest.approx(1, rel=1e-9)
    assert fraction_from_variance(schedule, spread[:3], np.array([1, 2, 1]))[[0, 2]] == pytest.approx(1)
    assert fraction_from_variance(schedule, spread[:3].astype(np.float32), 2) == pytest.approx(fraction_from_variance(schedule, spread[:3], 2), rel=1e-6)
    even = log_snr_uniform(100, 10, -60)  # so much noise that β̃_t is β_t in float64
    assert fraction_from_variance(even, spread[:3, :2] + 0.5, 99) == pytest.approx(1) and fraction_from_variance(even, spread[:0], 99).shape == (0, 4)
    with pytest.raises(ValueError, match="var_x_0 = -1"):
        fraction_from_variance(schedule, spread - 1, t)


def test_variances_at_their_ends():
    """v = 1 is β_t, v = 0 is β̃_t; at t = 1, where β̃ is zero, β̃_2 stands in for it, and β_1 for that where T = 1."""
    x, one = np.zeros((2, 3)), Schedule([0.3])
    for schedule, t, v, expected in [(SCHEDULE, 7, 1, SCHEDULE.beta[7]), (SCHEDULE, 7, 0, SCHEDULE.beta_tilde[7]),
                                     (SCHEDULE, 1, 1, SCHEDULE.beta[1]), (SCHEDULE, 1, 0, SCHEDULE.beta_tilde[2]),
                                     (one, 1, 0, 0.3), (one, 1, 1, 0.3)]:
        assert interpolated_variance(schedule, x, t, x + v) == pytest.approx(expected, rel=1e-12)
    assert interpolated_variance(SCHEDULE, x, np.array([1, 7]), x)[:, 0] == pytest.approx(SCHEDULE.beta_tilde[[2, 7]], rel=1e-12)
    assert interpolated_variance(one, x, 1, fraction_from_variance(one, x, 1)) == pytest.approx(0.3)
    assert (variance_table(SCHEDULE, "beta_tilde")[2:] == SCHEDULE.beta_tilde[2:]).all()
    assert variance_table(SCHEDULE, "beta_tilde")[1] == SCHEDULE.beta[1] and variance_table(one, "beta_tilde")[1] == 0.3


def test_a_clipped_guess_is_the_same_as_x_0_and_as_eps():
    x_t = np.array([[3.0, -0.2]])
    guess = predict(SCHEDULE, lambda x, t: np.full_like(x, -1.0), x_t, 10, clip=(-1, 1))
    assert guess.x_0.max() == 1 and guess.x_0.min() > -1
    assert diffuse(SCHEDULE, guess.x_0, 10, guess.eps) == pytest.approx(x_t)  # ε is computed again
    assert reverse.reverse_step(SCHEDULE, guess).mean == pytest.approx(mean_from_x_0(SCHEDULE, x_t, 10, guess.x_0))
    free = predict(SCHEDULE, lambda x, t: np.full_like(x, -1.0), x_t, 10)
    assert (free.eps == -1).all()


@pytest.mark.parametrize("sampler", [ancestral_sampling, ddim_sampling])
def test_samplers_clip_every_guess_to_the_range_they_are_given(sampler):
    x = 3 * np.random.default_rng(0).standard_normal((5, 2))
    for clip, (low, high) in [(None, (-np.inf, np.inf)), ((-0.2, 0.5), (-0.2, 0.5)), ((-2, 3), (-2, 3))]:
        guesses = np.stack([s.x_0 for s in sampler(SCHEDULE, lambda x, t: 0 * x - 1, x, np.random.default_rng(0), clip=clip)])
        assert low <= guesses.min() and guesses.max() <= high and (clip == (-0.2, 0.5) or guesses.max() > 1)


def test_algorithm_2_is_ancestral_sampling_without_options():
    x_T, denoiser = np.random.default_rng(1).standard_normal((5, 2)), DATA.denoiser(SCHEDULE)
    bare = algorithm_2(SCHEDULE, denoiser, x_T, np.random.default_rng(0))
    steps = ancestral_sampling(SCHEDULE, denoiser, x_T, np.random.default_rng(0))
    assert (bare == final_sample(steps)).all()


@pytest.mark.parametrize("variance", ["beta", "beta_tilde", np.full(51, 0.5)])
def test_ancestral_sampling_visits_every_t_once_and_adds_no_noise_at_the_end(variance):
    visited = []
    class Loud:
        def standard_normal(self, shape, dtype):
            return np.full(shape, 1e9 if visited[-1] == 1 else 1.0)
    def denoiser(x, t):
        visited.append(t)
        return 0 * x
    steps = list(ancestral_sampling(SCHEDULE, denoiser, np.ones((2, 2)), Loud(), variance=variance))
    assert visited == list(range(50, 0, -1)) and [s.t for s in steps] == list(range(49, -1, -1))
    assert abs(steps[-1].x).max() < 1e4
    visited.clear()
    list(ancestral_sampling(SCHEDULE, denoiser, np.ones((2, 2)), Loud(), start=7))
    assert visited == [7, 6, 5, 4, 3, 2, 1]  # noised to t, t steps back
    for wrong, message in [(0, "t = 0"), (51, "t = 51"), (2.5, "no integer")]:
        with pytest.raises(ValueError, match=message):
            next(ancestral_sampling(SCHEDULE, denoiser, np.ones((2, 2)), Loud(), start=wrong))


def test_ddim_sampling_with_eta_one_draws_the_same_noise_as_ancestral_sampling():
    denoiser, x = DATA.denoiser(SCHEDULE), np.random.default_rng(0).standard_normal((4, 2))
    ddim = ddim_sampling(SCHEDULE, denoiser, x, np.random.default_rng(1), eta=1.0)
    ancestral = ancestral_sampling(SCHEDULE, denoiser, x, np.random.default_rng(1),
                                   variance="beta_tilde")
    assert final_sample(ddim) == pytest.approx(final_sample(ancestral), abs=1e-9)


def test_ddim_without_noise_converges_as_one_over_T():
    """η = 0 integrates an ordinary differential equation: halving the steps doubles the error."""
    schedule = log_snr_uniform(1600)
    denoiser, x = DATA.denoiser(schedule), np.random.default_rng(0).standard_normal((20, 2))
    exact = final_sample(ddim_sampling(schedule, denoiser, x))
    errors = [abs(final_sample(ddim_sampling(schedule, denoiser, x, steps=n)) - exact).mean() for n in (25, 50, 100)]
    assert 1.6 < errors[0] / errors[1] < 2.6 and 1.6 < errors[1] / errors[2] < 2.6


def test_ddim_takes_any_subset_of_times():
    denoiser, x = DATA.denoiser(SCHEDULE), np.random.default_rng(0).standard_normal((4, 2))
    assert [s.t for s in ddim_sampling(SCHEDULE, denoiser, x, steps=[50, 3, 20])] == [20, 3, 0]
    assert sampling_times(SCHEDULE, 1) == [50] and sampling_times(SCHEDULE, 50) == list(range(1, 51))
    assert sampling_times(SCHEDULE, 3) == [17, 34, 50]  # rounded up
    for n in range(1, 51):
        times = sampling_times(SCHEDULE, n)
        assert len(set(times)) == n and times[-1] == 50 and times[0] >= 1
    for wrong, message in [(0, "steps = 0"), (51, "1..T = 50"), ([], "at least one"), ([3, 3], "different"), ([0, 3], "t = 0")]:
        with pytest.raises(ValueError, match=message):
            list(ddim_sampling(SCHEDULE, denoiser, x, steps=wrong))
    for eta in (1.5, -0.5):
        with pytest.raises(ValueError, match=f"eta = {eta}"):
            list(ddim_sampling(SCHEDULE, denoiser, x, np.random.default_rng(0), eta=eta))
    with pytest.raises(ValueError, match="rng"):
        list(ddim_sampling(SCHEDULE, denoiser, x, eta=0.5))


def test_a_denoiser_of_the_wrong_shape_is_told():
    with pytest.raises(ValueError, match=r"eps has shape \(4,\) and x_t has \(4, 2\)"):
        predict(SCHEDULE, lambda x, t: x[:, 0], np.ones((4, 2)), 3)


def test_samplers_keep_float32():
    x, rng = np.ones((3, 2), np.float32), np.random.default_rng(0)
    assert final_sample(ancestral_sampling(cosine(5), lambda x, t: x, x, rng)).dtype == np.float32
    assert final_sample(ddim_sampling(cosine(5), lambda x, t: x, x, rng, eta=0.5, clip=(-1, 1))).dtype == np.float32
