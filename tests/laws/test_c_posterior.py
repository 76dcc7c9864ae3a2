"""C. The posterior q(x_{t−1} | x_t, x_0).  Functions only: no oracle, nothing random."""
import numpy as np
from exact import at, log_normal, noised
from hypothesis import strategies as st
from strategies import a_schedule_and_t, cases, for_all, seeds
from verdict import assert_at_most, assert_close, everyday, require

later = (2, 3, 5, 8, 50, 1000)


@for_all(drawn=a_schedule_and_t(later, first_t=2))
def test_posterior_weights(ddpm, drawn):
    """Three identities of the coefficients of μ̃_t = c_0·x_0 + c_t·x_t, and of β̃_t (Luo 84).

    c_0 + c_t·√ᾱ_t = √ᾱ_{t−1};  1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1});
    c_t²·(1 − ᾱ_t) + β̃_t = 1 − ᾱ_{t−1}.
    """
    beta, t = drawn
    c = at(beta, t, 0.0)
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    c_0, var = (float(np.squeeze(a)) for a in ddpm.q_posterior(beta, zero, one, t))
    c_t = float(np.squeeze(ddpm.q_posterior(beta, one, zero, t)[0]))
    assert_close(c_0 + c_t * c.root_ab, np.sqrt(c.ab_prev), 1e-12, 1,
                 "c_0 + c_t·√ᾱ_t = √ᾱ_{t-1}", c.lost)
    precision = (1 - beta[t - 1]) / beta[t - 1] + 1 / c.om_prev
    assert_close(1 / var, precision, 1e-12, precision, "1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t-1})", c.lost)
    noise = c_t ** 2 * c.om + var
    assert_close(noise, c.om_prev, 1e-12, c.om_prev, "c_t²·(1 − ᾱ_t) + β̃_t = 1 − ᾱ_{t-1}", c.lost)


@for_all(case=cases(lengths=later, first_t=2), seed=seeds)
def test_posterior_is_bayes_rule(ddpm, case, seed):
    """Bayes' rule for q(x_{t−1}|x_t, x_0), at any x_{t−1}, each item with its own t (Luo 71–84).

    log q(x_{t−1}|x_t, x_0) = log q(x_t|x_{t−1}) + log q(x_{t−1}|x_0) − log q(x_t|x_0).
    """
    size = 1 + abs(case.x_0).max()
    x_prev = size * np.random.default_rng(seed).standard_normal(case.x_0.shape)
    x_0, x_t, c = case.x_0, noised(case), at(case.beta, case.t, case.x_0)
    posterior = log_normal(x_prev, *ddpm.q_posterior(case.beta, x_t, x_0, case.t))
    terms = [log_normal(x_t, np.sqrt(c.alpha) * x_prev, c.beta),
             log_normal(x_prev, np.sqrt(c.ab_prev) * x_0, c.om_prev),
             -log_normal(x_t, c.root_ab * x_0, c.om)]
    scale, lost = 1 + sum(map(abs, terms)), c.lost.reshape(-1)
    assert_close(posterior, sum(terms), 1e-9, scale, "log q(x_{t-1} | x_t, x_0)", 4 * lost)


@for_all(case=cases(), x_1=st.sampled_from([1.0, 1e30, -1e30]))
def test_posterior_at_the_first_step_is_x_0(ddpm, case, x_1):
    """At t = 1 exactly: c_0 = 1, c_t = 0, β̃_1 = 0, wherever x_1 is (Ho 6–7 with ᾱ_0 = 1)."""
    anywhere, t = np.full_like(case.x_0, x_1), np.ones_like(case.t)
    mean, var = ddpm.q_posterior(case.beta, anywhere, case.x_0, t)
    lost, why = 2 / case.beta[0], "β_1/(1 − ᾱ_1) is 1 only in exact arithmetic"
    scale = abs(case.x_0) + abs(anywhere) * case.beta[0]
    assert_close(mean, case.x_0, 0, scale, "mean of q(x_0 | x_1, x_0)", lost, why)
    assert_close(var, 0, 0, case.beta[0], "its variance", lost, why)


@for_all(case=cases())
def test_posterior_mean_in_terms_of_the_noise(ddpm, case):
    """μ̃_t = (x_t − β_t/√(1 − ᾱ_t)·ε)/√α_t (5.1, Luo 116–124)."""
    x_t, c = noised(case), at(case.beta, case.t, case.x_0)
    share = c.beta / c.root_om * case.eps
    right = (x_t - share) / np.sqrt(c.alpha)
    size = (abs(x_t) + abs(share)) / np.sqrt(c.alpha) + abs(case.x_0)
    mean = ddpm.q_posterior(case.beta, x_t, case.x_0, case.t)[0]
    assert_close(mean, right, 1e-11, size, "μ̃_t", c.lost)


@for_all(drawn=a_schedule_and_t(later, first_t=2))
def test_posterior_variance_is_below_the_step_s(ddpm, drawn):
    """0 < β̃_t < β_t for t ≥ 2: who knows x_0 is less uncertain of x_{t−1} (Ho 7)."""
    beta, t = drawn
    var = float(np.squeeze(ddpm.q_posterior(beta, np.zeros((1, 1)), np.zeros((1, 1)), t)[1]))
    require(var > 0, f"β̃_{t} = {var}, β_{t} = {beta[t - 1]}")
    lost = at(beta, t, 0.0).lost
    assert_at_most(var, beta[t - 1], beta[t - 1], "β̃_t ≤ β_t", lost)


@for_all(small=st.sampled_from([1e-10, 1e-8, 1e-4]), near_one=st.booleans(),
         first=st.floats(0.01, 0.9))
def test_posterior_at_the_ends_of_beta(ddpm, small, near_one, first):
    """The limits of c_0, c_t and β̃_t (Ho 6–7).

    β_t → 0: c_0 → 0, c_t → 1, β̃_t/β_t → 1.  β_t → 1: c_0 → √ᾱ_{t−1}, c_t → 0, β̃_t → 1 − ᾱ_{t−1}.
    """
    small = 1e-4 if everyday() else small
    beta = np.array([first, 1 - small if near_one else small])
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    c_0, var = (float(np.squeeze(a)) for a in ddpm.q_posterior(beta, zero, one, 2))
    c_t = float(np.squeeze(ddpm.q_posterior(beta, one, zero, 2)[0]))
    limits = (np.sqrt(1 - first), 0, first) if near_one else (0, 1, small)
    near = 2 * np.sqrt(small) if near_one else 200 * small
    lost = 3 / min(small, first)
    assert_close(c_0, limits[0], near, 1, "c_0", lost)
    assert_close(c_t, limits[1], near, 1, "c_t", lost)
    assert_close(var / limits[2], 1, near, 1, "β̃_t", lost)


@for_all(case=cases(smallest=1e-3, largest_power=0), power=st.integers(-20, 20))
def test_posterior_has_no_origin_of_scale(ddpm, case, power):
    """μ̃(c·x_t, c·x_0) = c·μ̃(x_t, x_0), bit for bit for c = 2^k (Ho 7)."""
    x_t, x_0, factor = case.eps, case.x_0, 2.0 ** power
    mean = ddpm.q_posterior(case.beta, x_t, x_0, case.t)[0]
    scaled = ddpm.q_posterior(case.beta, factor * x_t, factor * x_0, case.t)[0]
    size = factor * (abs(x_t) + abs(x_0))
    assert_close(scaled, factor * mean, 0, size, f"μ̃(2^{power}·x)", forgive=True)


@for_all(case=cases(smallest=1e-3, largest_power=0), angle=st.floats(-3, 3))
def test_posterior_has_no_direction(ddpm, case, angle):
    """If x_t and x_0 are rotated, so is μ̃ (Ho 7)."""
    x_t, x_0 = case.eps, case.x_0
    turn = np.eye(x_0.shape[-1])
    if len(turn) > 1:
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    mean = ddpm.q_posterior(case.beta, x_t, x_0, case.t)[0]
    turned = ddpm.q_posterior(case.beta, x_t @ turn, x_0 @ turn, case.t)[0]
    size = abs(x_t).sum(-1, keepdims=True) + abs(x_0).sum(-1, keepdims=True)
    assert_close(turned, mean @ turn, 1e-13, size, "μ̃ of rotated arguments", forgive=True)


@for_all(case=cases(first_t=2, lengths=later))
def test_posterior_of_each_item(ddpm, case):
    """μ̃_t = c_0·x_0 + c_t·x_t and β̃_t, each item with its own t (Ho 7).

    c_0 = √ᾱ_{t−1}·β_t/(1 − ᾱ_t), c_t = √α_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), and
    β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t).
    """
    x_t, c = noised(case), at(case.beta, case.t, case.x_0)
    mean, var = ddpm.q_posterior(case.beta, x_t, case.x_0, case.t)
    terms = c.c_0 * case.x_0, c.c_t * x_t
    assert_close(mean, sum(terms), 1e-11, sum(map(abs, terms)), "μ̃_t", c.lost)
    assert_close(var, c.beta_tilde + 0 * x_t, 1e-11, c.beta_tilde, "β̃_t", c.lost)
