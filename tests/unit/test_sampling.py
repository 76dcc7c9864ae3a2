"""Samplers: the times they visit, the noise they draw, their clipping, and what is refused."""
import numpy as np
import pytest

from tinyddpm import (
    Mixture,
    ancestral_sampling,
    cosine,
    ddim_sampling,
    ddim_step,
    final_sample,
    linear,
    log_snr_uniform,
    predict,
)
from tinyddpm.sampling import algorithm_2, sampling_times

SCHEDULE = linear(50)
DATA = Mixture([1, 2], [[-1.0, 0.5], [1.0, 0.0]], [[[0.3, 0.1], [0.1, 0.2]], 0.1 * np.eye(2)])


def test_algorithm_2_is_ancestral_sampling_without_options():
    x_T, denoiser = np.random.default_rng(1).standard_normal((5, 2)), DATA.denoiser(SCHEDULE)
    bare = algorithm_2(SCHEDULE, denoiser, x_T, np.random.default_rng(0))
    steps = ancestral_sampling(SCHEDULE, denoiser, x_T, np.random.default_rng(0))
    assert (bare == final_sample(steps)).all()


class HugeNoiseAtTheEnd:
    """A denoiser that keeps its times, and a generator whose noise at t = 1 is 1e9."""

    def __init__(self):
        self.times = []

    def denoiser(self, x_t, t):
        self.times.append(t)
        return 0 * x_t

    def standard_normal(self, shape, dtype):
        return np.full(shape, 1e9 if self.times[-1] == 1 else 1.0)


@pytest.mark.parametrize("variance", ["beta", "beta_tilde", np.full(51, 0.5)])
def test_ancestral_sampling_visits_every_t_once_and_adds_no_noise_at_the_end(variance):
    probe, x_T = HugeNoiseAtTheEnd(), np.ones((2, 2))
    steps = list(ancestral_sampling(SCHEDULE, probe.denoiser, x_T, probe, variance=variance))
    assert probe.times == list(range(50, 0, -1))
    assert [step.t for step in steps] == list(range(49, -1, -1))
    assert abs(steps[-1].x).max() < 1e4


def test_ancestral_sampling_from_t_takes_t_steps():
    probe = HugeNoiseAtTheEnd()
    list(ancestral_sampling(SCHEDULE, probe.denoiser, np.ones((2, 2)), probe, start=7))
    assert probe.times == [7, 6, 5, 4, 3, 2, 1]
    for wrong, message in [(0, "t = 0"), (51, "t = 51"), (2.5, "no integer")]:
        with pytest.raises(ValueError, match=message):
            next(ancestral_sampling(SCHEDULE, probe.denoiser, np.ones((2, 2)), probe, start=wrong))


@pytest.mark.parametrize("sampler", [ancestral_sampling, ddim_sampling])
@pytest.mark.parametrize("clip", [None, (-0.2, 0.5), (-2, 3)])
def test_samplers_clip_every_guess_to_the_range_they_are_given(sampler, clip):
    x, rng = 3 * np.random.default_rng(0).standard_normal((5, 2)), np.random.default_rng(0)
    steps = sampler(SCHEDULE, lambda x, t: 0 * x - 1, x, rng, clip=clip)
    guesses = np.stack([step.x_0 for step in steps])
    low, high = clip or (-np.inf, np.inf)
    assert low <= guesses.min() and guesses.max() <= high
    assert guesses.max() > 1 or clip == (-0.2, 0.5)


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
    errors = []
    for n in (25, 50, 100):
        x_0 = final_sample(ddim_sampling(schedule, denoiser, x, steps=n))
        errors.append(abs(x_0 - exact).mean())
    assert 1.6 < errors[0] / errors[1] < 2.6 and 1.6 < errors[1] / errors[2] < 2.6


def test_ddim_takes_any_subset_of_times():
    denoiser, x = DATA.denoiser(SCHEDULE), np.random.default_rng(0).standard_normal((4, 2))
    steps = ddim_sampling(SCHEDULE, denoiser, x, steps=[50, 3, 20])
    assert [step.t for step in steps] == [20, 3, 0]


def test_sampling_times_are_evenly_spread_and_end_at_T():
    assert sampling_times(SCHEDULE, 1) == [50]
    assert sampling_times(SCHEDULE, 50) == sampling_times(SCHEDULE) == list(range(1, 51))
    assert sampling_times(SCHEDULE, 3) == [17, 34, 50]  # rounded up
    for n in range(1, 51):
        times = sampling_times(SCHEDULE, n)
        assert len(set(times)) == n and times[-1] == 50 and times[0] >= 1


@pytest.mark.parametrize("options, message", [
    ({"steps": 0}, "steps = 0"), ({"steps": 51}, "1..T = 50"), ({"steps": []}, "at least one"),
    ({"steps": [3, 3]}, "different"), ({"steps": [0, 3]}, "t = 0"),
    ({"eta": 1.5, "rng": np.random.default_rng(0)}, "eta = 1.5"),
    ({"eta": -0.5, "rng": np.random.default_rng(0)}, "eta = -0.5"), ({"eta": 0.5}, "rng")])
def test_other_options_of_ddim_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        list(ddim_sampling(SCHEDULE, lambda x, t: 0 * x, np.ones((4, 2)), **options))


def test_samplers_keep_float32():
    def denoiser(x_t, t):
        return x_t

    x, rng = np.ones((3, 2), np.float32), np.random.default_rng(0)
    assert final_sample(ancestral_sampling(cosine(5), denoiser, x, rng)).dtype == np.float32
    ddim = ddim_sampling(cosine(5), denoiser, x, rng, eta=0.5, clip=(-1, 1))
    assert final_sample(ddim).dtype == np.float32


def test_ddim_draws_no_noise_for_eta_0_and_by_default():
    x, denoiser, rng = np.ones((3, 2)), DATA.denoiser(SCHEDULE), np.random.default_rng(0)
    state = rng.bit_generator.state
    final_sample(ddim_sampling(SCHEDULE, denoiser, x, rng, steps=5, eta=0))
    assert rng.bit_generator.state == state
    prediction = predict(SCHEDULE, denoiser, x, 30)
    assert (ddim_step(SCHEDULE, prediction, 20).var == 0).all()


def test_no_times_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        sampling_times(SCHEDULE, [])


def test_ddim_has_no_time_before_0():
    prediction = predict(SCHEDULE, DATA.denoiser(SCHEDULE), np.ones((3, 2)), 30)
    with pytest.raises(ValueError, match="t = -1 is outside 0"):
        ddim_step(SCHEDULE, prediction, -1)
