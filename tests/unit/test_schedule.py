"""Schedules: tables in float64 against mpmath, what T changes, and what is refused."""
import mpmath
import numpy as np
import pytest

from tinyddpm import Schedule, cosine, linear, log_snr_uniform
from tinyddpm.schedule import respace

every_schedule = pytest.mark.parametrize("schedule", [
    linear(1000), linear(50), linear(1000, scaled=False), cosine(1000), cosine(1),
    log_snr_uniform(100), log_snr_uniform(1), Schedule([1e-10] * 50)])


@every_schedule
def test_tables(schedule):
    T = schedule.T
    for table in (schedule.beta, schedule.alpha_bar, schedule.snr):
        assert len(table) == T + 1 and table.dtype == np.float64
    assert schedule.alpha_bar[0] == 1
    assert schedule.one_minus_alpha_bar[0] == schedule.beta_tilde[1] == 0
    assert (np.diff(schedule.alpha_bar) < 0).all() and (np.diff(schedule.log_snr) < 0).all()
    with mpmath.workdps(40):
        product = mpmath.mpf(1)
        for t in range(1, T + 1):
            before, product = product, product * (1 - mpmath.mpf(schedule.beta[t]))
            ratio = schedule.one_minus_alpha_bar[t] / (1 - product)
            assert float(ratio) == pytest.approx(1, abs=1e-12)
            if t > 1:
                beta_tilde = schedule.beta[t] * (1 - before) / (1 - product)
                ratio = schedule.beta_tilde[t] / beta_tilde
                assert float(ratio) == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError):
        schedule.beta[1] = 0.5  # read-only


def test_the_first_step_adds_beta_1_exactly():
    """1 − ᾱ_1 = β_1 to the last bit."""
    for beta_1 in np.random.default_rng(0).random(200):
        assert Schedule([beta_1]).one_minus_alpha_bar[1] == beta_1


def test_linear_is_scaled_with_T():
    """log ᾱ_T → −1000·(β_1 + β_T)/2 = −10.05 as T grows."""
    assert linear(10 ** 6).log_alpha_bar[-1] == pytest.approx(-10.05, abs=1e-3)
    assert linear(1000).log_alpha_bar[-1] == pytest.approx(-10.05, abs=0.1)
    assert np.diff(linear(50).beta[1:], 2) == pytest.approx(0, abs=1e-15)
    assert linear(50, scaled=False).alpha_bar[-1] == pytest.approx(0.603, abs=1e-3)
    assert linear(21).T == 21 and linear(1, scaled=False).beta[1] == 0.02
    for T in (20, 1):
        message = rf"beta_{T} = .* of T = {T}.*scaled by 1000/T = {1000 / T:g},.*larger T"
        with pytest.raises(ValueError, match=message):
            linear(T)


def test_cosine():
    """ᾱ_t = f(t/T)/f(0) up to the one clipped β, and the same curve for every T."""
    for T in (1, 2, 10, 1000):
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        schedule = cosine(T)
        assert schedule.alpha_bar[:-1] == pytest.approx(f[:-1] / f[0], rel=1e-11)
        assert (schedule.beta == 0.999).sum() == 1 == (schedule.beta[-1] == 0.999)
        assert schedule.alpha_bar[-1] == pytest.approx(schedule.alpha_bar[-2] * 0.001, rel=1e-12)
    assert cosine(1000).alpha_bar[::100][:-1] == pytest.approx(cosine(10).alpha_bar[:-1], rel=1e-11)


def test_log_snr_uniform():
    schedule = log_snr_uniform(101, 10, -10)
    assert schedule.log_snr[1:] == pytest.approx(np.linspace(10, -10, 101), abs=1e-9)


def test_defaults():
    assert linear().T == cosine().T == log_snr_uniform().T == 1000
    assert log_snr_uniform().log_snr[[1, -1]] == pytest.approx([10, -10])
    assert cosine().beta[-1] == 0.999
    assert repr(Schedule([0.1, 0.2, 0.5])) == "Schedule(T=3, beta 0.1..0.5, alpha_bar_T 0.36)"


@pytest.mark.parametrize("make, message", [
    (lambda: Schedule([]), "T >= 1"), (lambda: Schedule([0.1, 1.0]), "beta_2 = 1"),
    (lambda: Schedule([np.nan]), "beta_1 = nan"), (lambda: Schedule([[0.1]]), "shape"),
    (lambda: Schedule([0.999] * 200), "alpha_bar_T = 0"), (lambda: linear(0), "T = 0"),
    (lambda: cosine(2.5), "T = 2.5"), (lambda: log_snr_uniform(5, -1, 1), "log_snr_1 = -1"),
    (lambda: log_snr_uniform(5, 1, 1), "above log_snr_T")])
def test_bad_schedules_are_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("t, message", [
    (0, "t = 0 is outside 1..T = 10"), (11, "t = 11"), (np.array([1, 2, 12]), "t = 12"),
    (1.5, "no integer"), (np.array([1, 2]), "one for each of the 3 items"),
    (np.ones((3, 1), int), "shape")])
def test_bad_times_are_refused_in_a_sentence(t, message):
    with pytest.raises(ValueError, match=message):
        cosine(10).coefficients_at(t, np.zeros((3, 2)))


def test_integers_are_refused_in_the_place_of_floats():
    with pytest.raises(ValueError, match="int64"):
        cosine(10).coefficients_at(1, np.zeros((3, 2), np.int64))


def test_a_respaced_chain_has_the_same_signal_at_the_times_it_visits():
    whole, (short, times) = linear(50), respace(linear(50), [3, 20, 50])
    assert short.T == 3 and times.tolist() == [3, 20, 50]
    expected = whole.one_minus_alpha_bar[times]
    assert short.one_minus_alpha_bar[1:] == pytest.approx(expected, rel=1e-12)
    assert respace(whole, range(1, 51))[0].beta == pytest.approx(whole.beta, rel=1e-12)


@pytest.mark.parametrize("times, message", [
    (np.array([], int), "one time or more"), (7, "one time or more"), ([3, 3], "rising order"),
    ([20, 3], "rising order"), ([0, 3], "t = 0 is outside 1..T = 50"), ([3, 51], "t = 51"),
    ([1.5], "no integer"), ([[1, 2]], "shape")])
def test_a_respaced_chain_refuses_other_times_in_a_sentence(times, message):
    with pytest.raises(ValueError, match=message):
        respace(linear(50), times)


@pytest.mark.parametrize("make, message", [
    (lambda: Schedule([0.1, 0.0]), "beta_2 = 0 of T = 2"),
    (lambda: Schedule([0.1, -0.5, 1.5]), "beta_2 = -0.5 of T = 3"),
    (lambda: Schedule([0.1, 1.0]), "beta_2 = 1 of T = 2"),
    (lambda: Schedule([1 - 2.0 ** -53] * 21), r"alpha_bar_T = 0 .*logarithm is -771\).*T = 21"),
    (lambda: linear(10, beta_T=1.5, scaled=False), "beta_7 = 1.00003 of T = 10: .* 0 and 1$"),
    (lambda: linear(2000, beta_T=2.0), "beta_2000 = 1 of T = 2000: .* 0 and 1$"),
    (lambda: cosine(10, s=-0.5), "s = -0.5"), (lambda: cosine(10, s=np.inf), "s = inf"),
    (lambda: log_snr_uniform(10, 5.0, -np.inf), "both finite"),
    (lambda: log_snr_uniform(10, np.inf, 0.0), "both finite"),
    (lambda: linear(50).check_t(np.array([3, 60, 70])), r"t = 60 is outside 1\.\.T = 50"),
    (lambda: linear(50).check_t(np.array([1, 2, 3]), batch=2), "the 2 items"),
    (lambda: linear(50).coefficients_at(1, np.ones((1, 2), complex)), "dtype of x"),
    (lambda: Schedule(0.1), "shape of beta"),
    (lambda: respace(linear(50), np.array([[1, 2]])), "times = .* in rising order|t has shape")])
def test_what_is_refused_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_smallest_offset_of_the_cosine_is_0():
    assert cosine(10, s=0).alpha_bar[5] == pytest.approx(0.5)
