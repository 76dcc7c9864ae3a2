"""C. The posterior q(x_{t−1} | x_t, x_0).  Functions only: no oracle, nothing random."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, betas, cases, column, log_normal, tables


@given(cases(lengths=(2, 3, 5, 8, 50, 1000), first_t=2), st.integers(0, 2 ** 16))
def test_posterior_is_bayes_rule(ddpm, case, seed):
    """Bayes' rule for q(x_{t−1}|x_t, x_0), at any x_{t−1} (Luo 71–84).

    log q(x_{t−1}|x_t, x_0) = log q(x_t|x_{t−1}) + log q(x_{t−1}|x_0) − log q(x_t|x_0).
    """
    size = 1 + abs(case.x_0).max()
    x_prev = size * np.random.default_rng(seed).standard_normal(case.x_0.shape)
    x_t = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    posterior = log_normal(x_prev, *ddpm.q_posterior(case.beta, x_t, case.x_0, case.t))
    terms = [log_normal(x_t, *ddpm.q_step(case.beta, x_prev, case.t)),
             log_normal(x_prev, *ddpm.q_marginal(case.beta, case.x_0, case.t - 1)),
             -log_normal(x_t, *ddpm.q_marginal(case.beta, case.x_0, case.t))]
    scale = abs(posterior) + sum(map(abs, terms))
    assert_close(posterior, sum(terms), 1e-9, scale, "log q(x_{t-1} | x_t, x_0)")


@given(betas(lengths=(2, 3, 5, 8, 50, 1000)), st.data())
def test_posterior_weights(ddpm, beta, data):
    """Three identities of the coefficients of μ̃_t = c_0·x_0 + c_t·x_t, and of β̃_t (Luo 84).

    c_0 + c_t·√ᾱ_t = √ᾱ_{t−1};  1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1});
    c_t²·(1 − ᾱ_t) + β̃_t = 1 − ᾱ_{t−1}.
    """
    T = len(beta)
    t = data.draw(st.sampled_from([2, 3, T // 2, T]).filter(lambda t: 2 <= t <= T))
    log_ab, om, _ = tables(beta)
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    c_0, var = (float(np.squeeze(a)) for a in ddpm.q_posterior(beta, zero, one, t))
    c_t = float(np.squeeze(ddpm.q_posterior(beta, one, zero, t)[0]))
    root = np.exp(log_ab / 2)
    assert_close(c_0 + c_t * root[t], root[t - 1], 1e-12, root[t - 1], "c_0 + c_t·√ᾱ_t = √ᾱ_{t-1}")
    precision = (1 - beta[t - 1]) / beta[t - 1] + 1 / om[t - 1]
    assert_close(1 / var, precision, 1e-12, precision, "1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t-1})")
    noise = c_t ** 2 * om[t] + var
    assert_close(noise, om[t - 1], 1e-12, om[t - 1], "c_t²·(1 − ᾱ_t) + β̃_t = 1 − ᾱ_{t-1}")


@given(cases(), st.sampled_from([1.0, 1e30, -1e30]))
def test_posterior_at_the_first_step_is_x_0(ddpm, case, x_1):
    """At t = 1 exactly: c_0 = 1, c_t = 0, β̃_1 = 0, wherever x_1 is (Ho 6–7 with ᾱ_0 = 1)."""
    anywhere, t = np.full_like(case.x_0, x_1), np.ones_like(case.t)
    mean, var = ddpm.q_posterior(case.beta, anywhere, case.x_0, t)
    assert_close(mean, case.x_0, 0, law="mean of q(x_0 | x_1, x_0)")
    assert_close(var, 0, 0, law="its variance")


@given(cases())
def test_posterior_mean_in_terms_of_the_noise(ddpm, case):
    """μ̃_t = (x_t − β_t/√(1 − ᾱ_t)·ε)/√α_t (5.1, Luo 116–124)."""
    _, om, _ = tables(case.beta)
    x_t = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    beta = column(case.beta[case.t - 1], x_t)
    share = beta / np.sqrt(column(om[case.t], x_t)) * case.eps
    right = (x_t - share) / np.sqrt(1 - beta)
    size = (abs(x_t) + abs(share)) / np.sqrt(1 - beta) + abs(case.x_0)
    assert_close(ddpm.q_posterior(case.beta, x_t, case.x_0, case.t)[0], right, 1e-11, size, "μ̃_t")


@given(betas(lengths=(2, 3, 5, 8, 50, 1000)), st.data())
def test_posterior_variance_is_below_the_step_s(ddpm, beta, data):
    """0 < β̃_t < β_t for t ≥ 2: who knows x_0 is less uncertain of x_{t−1}."""
    t = data.draw(st.integers(2, len(beta)))
    var = float(np.squeeze(ddpm.q_posterior(beta, np.zeros((1, 1)), np.zeros((1, 1)), t)[1]))
    assert 0 < var <= beta[t - 1], f"β̃_{t} = {var}, β_{t} = {beta[t - 1]}"


@given(st.sampled_from([1e-10, 1e-8, 1 - 1e-8, 1 - 1e-10]), st.floats(0.01, 0.9))
def test_posterior_at_the_ends_of_beta(ddpm, small, first):
    """The limits of c_0, c_t and β̃_t.

    β_t → 0: c_0 → 0, c_t → 1, β̃_t/β_t → 1.  β_t → 1: c_0 → √ᾱ_{t−1}, c_t → 0, β̃_t → 1 − ᾱ_{t−1}.
    """
    beta, zero, one = np.array([first, small]), np.zeros((1, 1)), np.ones((1, 1))
    c_0, var = (float(np.squeeze(a)) for a in ddpm.q_posterior(beta, zero, one, 2))
    c_t = float(np.squeeze(ddpm.q_posterior(beta, one, zero, 2)[0]))
    expected = (0, 1, small) if small < 0.5 else (np.sqrt(1 - first), 0, first)
    near = np.sqrt(min(small, 1 - small)) * 100
    assert_close(c_0, expected[0], near, law="c_0")
    assert_close(c_t, expected[1], near, law="c_t")
    assert_close(var / expected[2], 1, near, law="β̃_t")


@given(cases(largest_power=0), st.integers(-20, 20), st.floats(-3, 3))
def test_posterior_has_no_origin_of_scale_or_direction(ddpm, case, power, angle):
    """μ̃(c·x) = c·μ̃(x), bit for bit for c = 2^k; if the arguments are rotated, so is μ̃."""
    x_t, x_0 = case.eps, case.x_0
    mean = ddpm.q_posterior(case.beta, x_t, x_0, case.t)[0]
    scaled = ddpm.q_posterior(case.beta, 2.0 ** power * x_t, 2.0 ** power * x_0, case.t)[0]
    expected = 2.0 ** power * mean
    assert (scaled == expected).all(), f"μ̃(2^{power}·x) = {scaled}, 2^{power}·μ̃(x) = {expected}"
    if x_0.shape[-1] > 1:
        turn = np.eye(x_0.shape[-1])
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        size = abs(x_t).sum(-1, keepdims=True) + abs(x_0).sum(-1, keepdims=True)
        turned = ddpm.q_posterior(case.beta, x_t @ turn, x_0 @ turn, case.t)[0]
        assert_close(turned, mean @ turn, 1e-14, 10 * size, "μ̃ of rotated arguments")
