"""D. Four names for one guess: ε, x_0, v, score.  Functions only: no oracle, nothing random."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, cases, column, round_off, tables

both_variances = st.sampled_from(["beta", "beta_tilde"])
moderate = cases(smallest=1e-6, largest_power=4)


def setting(ddpm, case):
    """x_t, √ᾱ_t, √(1 − ᾱ_t), and the round-off that a conversion may leave in x_0 and in ε."""
    log_ab, om, _ = tables(case.beta)
    signal, noise = (column(c[case.t], case.x_0) for c in (np.exp(log_ab / 2), np.sqrt(om)))
    x_t = signal * case.x_0 + noise * case.eps
    unit = 16 * round_off() * (abs(x_t) + abs(case.x_0) + abs(case.eps))
    return x_t, signal, noise, unit / signal, unit / noise


@given(moderate)
def test_round_trip_of_x_0(ddpm, case):
    """x_0 from ε, and ε from x_0, to 16 units of round-off (Ho 15).

    The unit is that of x_t divided by √ᾱ_t for x_0, and by √(1 − ᾱ_t) for ε.
    """
    x_t, signal, noise, on_x_0, on_eps = setting(ddpm, case)
    x_0 = ddpm.x_0_from_eps(case.beta, x_t, case.eps, case.t)
    assert_close(x_0, case.x_0, 1, on_x_0, "x_0 from ε")
    eps = ddpm.eps_from_x_0(case.beta, x_t, case.x_0, case.t)
    assert_close(eps, case.eps, 1, on_eps, "ε from x_0")


@given(moderate)
def test_round_trip_of_v(ddpm, case):
    """ε → v → ε (Salimans & Ho 2022, §4)."""
    x_t, signal, noise, on_x_0, on_eps = setting(ddpm, case)
    v = ddpm.v_from_eps(case.beta, x_t, case.eps, case.t)
    back = ddpm.eps_from_v(case.beta, x_t, v, case.t)
    assert_close(back, case.eps, 1, on_eps + on_x_0, "ε from v from ε")


@given(moderate)
def test_round_trip_of_the_score(ddpm, case):
    """ε → score → ε (Luo 151)."""
    x_t, signal, noise, on_x_0, on_eps = setting(ddpm, case)
    score = ddpm.score_from_eps(case.beta, x_t, case.eps, case.t)
    back = ddpm.eps_from_score(case.beta, x_t, score, case.t)
    assert_close(back, case.eps, 1, on_eps, "ε from the score from ε")


@given(moderate)
def test_v_is_a_rotation(ddpm, case):
    """v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0, so |x_t|² + |v|² = |x_0|² + |ε|² (Salimans & Ho 2022)."""
    x_t, signal, noise, on_x_0, _ = setting(ddpm, case)
    v = ddpm.v_from_eps(case.beta, x_t, case.eps, case.t)
    assert_close(v, signal * case.eps - noise * case.x_0, 1, on_x_0, "v")
    allowed = on_x_0 * (abs(v) + abs(x_t) + on_x_0) * 4
    assert_close(x_t ** 2 + v ** 2, case.x_0 ** 2 + case.eps ** 2, 1, allowed, "|x_t|² + |v|²")


@given(moderate)
def test_score_is_the_gradient_of_the_marginal(ddpm, case):
    """score = ∇ log q(x_t|x_0) = −(x_t − √ᾱ_t·x_0)/(1 − ᾱ_t) (Luo 133, 151).

    And so x_0 = (x_t + (1 − ᾱ_t)·score)/√ᾱ_t, Tweedie's formula.
    """
    x_t, signal, noise, on_x_0, on_eps = setting(ddpm, case)
    mean, var = ddpm.q_marginal(case.beta, case.x_0, case.t)
    score = ddpm.score_from_eps(case.beta, x_t, case.eps, case.t)
    assert_close(score, (mean - x_t) / var, 1, on_eps / noise, "score")
    assert_close((x_t + noise ** 2 * score) / signal, case.x_0, 1, on_x_0, "Tweedie's x_0")


@given(moderate, both_variances)
def test_one_mean_from_all_four(ddpm, case, variance):
    """μ_θ from ε, or from v, is the posterior's mean at the x_0 that ε implies (Ho 11, Luo 84)."""
    x_t, signal, noise, on_x_0, _ = setting(ddpm, case)
    mean = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance)[0]
    posterior = ddpm.p_mean_from_x_0(case.beta, x_t, case.x_0, case.t)
    size = on_x_0 * 4 / np.sqrt(1 - column(case.beta[case.t - 1], x_t))
    assert_close(mean, posterior, 1, size, "mean from ε and from x_0")
    v = ddpm.v_from_eps(case.beta, x_t, case.eps, case.t)
    eps = ddpm.eps_from_v(case.beta, x_t, v, case.t)
    from_v = ddpm.p_step(case.beta, x_t, case.t, eps, variance)[0]
    assert_close(from_v, mean, 4, size, "mean from v")


bounds = st.just(1.0) | st.floats(0.1, 2)


@given(cases(smallest=1e-3, largest_power=2), bounds, both_variances)
def test_clipping_comes_before_the_mean(ddpm, case, bound, variance):
    """With x̂_0 clipped to ±b the mean is the posterior's at the clipped x̂_0 (Ho §3.2)."""
    x_t, _, _, on_x_0, _ = setting(ddpm, case)
    clip = (-bound, bound)
    clipped = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance, clip=clip)[0]
    expected = ddpm.p_mean_from_x_0(case.beta, x_t, np.clip(case.x_0, *clip), case.t)
    size = 8 * on_x_0 / np.sqrt(1 - column(case.beta[case.t - 1], x_t))
    assert_close(clipped, expected, 1, size, "mean with x̂_0 clipped")


@given(cases(smallest=1e-3, largest_power=2), both_variances)
def test_a_bound_out_of_reach_changes_nothing(ddpm, case, variance):
    """x̂_0 is clipped to the given bound, and without one it is not clipped."""
    x_t, _, _, on_x_0, _ = setting(ddpm, case)
    bound = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance, clip=(-1e6, 1e6))[0]
    free = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance, clip=None)[0]
    x_0_mean = ddpm.p_mean_from_x_0(case.beta, x_t, case.x_0, case.t)
    size = 8 * on_x_0 / np.sqrt(1 - column(case.beta[case.t - 1], x_t))
    assert_close(bound, free, 1, size, "mean with a bound out of reach")
    assert_close(free, x_0_mean, 1, size, "mean without a bound")
