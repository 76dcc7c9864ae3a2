"""F. The ELBO and the reverse chain against exact answers.

The telescoping law speaks of functions only; the others need an exact oracle: the optimal denoiser of
Gaussian data, ε* = √(1 − ᾱ_t)·(x_t − √ᾱ_t·m)/(ᾱ_t·s + 1 − ᾱ_t), written out here.
"""
import numpy as np
from draws import assert_close, betas, cases, log_normal, tables
from hypothesis import given
from hypothesis import strategies as st

both_variances = st.sampled_from(["beta", "beta_tilde"])


@given(cases(lengths=(1, 2, 3, 5, 8, 50), largest_power=3), both_variances, st.integers(0, 2 ** 16))
def test_telescoping_on_every_path(ddpm, case, variance, seed):
    """log p(x_{0:T}) − log q(x_{1:T}|x_0) = log p(x_T)/q(x_T|x_0) + log p(x_0|x_1) + Σ_{t≥2} log p(x_{t−1}|x_t)/q(x_{t−1}|x_t,x_0).

    No expectation: for every path and any p (Luo 48–57).  Only q is in it that is not in both sides.
    """
    rng = np.random.default_rng(seed)
    beta, T = case.beta, case.T
    path = [case.x_0]
    for t in range(1, T + 1):
        path.append(ddpm.q_step(beta, path[-1], t)[0] + 0.5 * rng.standard_normal(case.x_0.shape))
    left, right = [], []
    for t in range(1, T + 1):
        p = ddpm.p_step(beta, path[t], t, np.sin(path[t]) + case.eps, variance)
        log_p = log_normal(path[t - 1], *p)
        left += [log_p, -log_normal(path[t], *ddpm.q_step(beta, path[t - 1], t))]
        right += [log_p]
        if t > 1:
            right += [-log_normal(path[t - 1], *ddpm.q_posterior(beta, path[t], path[0], t))]
    right += [-log_normal(path[T], *ddpm.q_marginal(beta, path[0], T))]
    scale = sum(map(abs, left)) + sum(map(abs, right))
    assert_close(sum(left), sum(right), 1e-9, scale, "log p(x_{0:T}) − log q(x_{1:T} | x_0)")


def gaussian_oracle(beta, m, s):
    """ε*(x_t, t) for data N(m, diag s), (B, d)."""
    log_ab, om, _ = tables(beta)
    ab = np.exp(log_ab)
    return lambda x, t: np.sqrt(om[t]) * (x - np.sqrt(ab[t]) * m) / (ab[t] * s + om[t])


@given(betas(smallest=1e-6), both_variances, st.sampled_from([1, 2, 3]), st.integers(0, 2 ** 16))
def test_sampler_moments_are_exact(ddpm, beta, variance, d, seed):
    """Mean and covariance of the sampler's x_t at every t, for Gaussian data and its optimal denoiser.

    No Monte Carlo: a step probed with (0, 0), (e_i, 0), (0, e_i) shows its affine map, and the maps
    compose.  The right side is x_{t−1} = c_0·E[x_0|x_t] + c_t·x_t + σ_t·z (Luo 84 with x_0 guessed).
    """
    rng = np.random.default_rng(seed)
    m, s = rng.standard_normal(d), np.exp(rng.standard_normal(d))
    denoiser = gaussian_oracle(beta, m, s)
    log_ab, om, bt = tables(beta)
    ab, T = np.exp(log_ab), len(beta)
    mean, cov = np.zeros(d), np.eye(d)
    exact_mean, exact_var = np.zeros(d), np.ones(d)
    for t in range(T, 0, -1):
        x = np.concatenate([np.zeros((1, d)), np.eye(d), np.zeros((d, d))])
        z = np.concatenate([np.zeros((1 + d, d)), np.eye(d)])
        y = ddpm.sampler_step(beta, x, t, denoiser(x, t), z, variance)
        offset, gain, noise = y[0], (y[1:1 + d] - y[0]).T, (y[1 + d:] - y[0]).T
        mean, cov = gain @ mean + offset, gain @ cov @ gain.T + noise @ noise.T

        c_0, c_t = np.sqrt(ab[t - 1]) * beta[t - 1] / om[t], np.sqrt(1 - beta[t - 1]) * om[t - 1] / om[t]
        pull = np.sqrt(ab[t]) * s / (ab[t] * s + om[t])
        sigma2 = 0 if t == 1 else beta[t - 1] if variance == "beta" else bt[t]
        exact_mean = (c_0 * pull + c_t) * exact_mean + c_0 * (1 - pull * np.sqrt(ab[t])) * m
        exact_var = (c_0 * pull + c_t) ** 2 * exact_var + sigma2
        if t in (1, 2, T // 2, T):
            assert_close(mean, exact_mean, 1e-9, 1 + abs(m), f"mean of x_{t - 1}")
            assert_close(cov, np.diag(exact_var), 1e-9, 1 + exact_var.max(), f"covariance of x_{t - 1}")


def exact_elbo(ddpm, beta, denoiser, x_0, variance):
    """The ELBO of one number x_0: each expectation of a quadratic by 4 Gauss–Hermite nodes, hence exact."""
    z, weight = np.polynomial.hermite_e.hermegauss(4)
    z, weight, x_0 = z[:, None], weight / weight.sum(), np.full((4, 1), x_0)
    one, T = np.ones((4, 1)), len(beta)
    elbo = -ddpm.kl(*(a * one for a in ddpm.q_marginal(beta, x_0, T)), 0 * one, one)[0]
    for t in range(1, T + 1):
        x_t = ddpm.q_sample(beta, x_0, t, z)
        p = ddpm.p_step(beta, x_t, t, denoiser(x_t, t), variance)
        q = ddpm.q_posterior(beta, x_t, x_0, t)
        elbo += weight @ (log_normal(x_0, *p) if t == 1 else -ddpm.kl(*(a * one for a in (*q, *p))))
    return elbo


@given(betas(lengths=(1, 2, 3, 5, 8, 50), smallest=1e-6), st.floats(-4, 4))
def test_elbo_is_tight_for_standard_normal_data(ddpm, beta, x_0):
    """Data N(0, 1), σ_t² = β_t, the optimal denoiser: p_θ = N(0, 1), and ELBO = log p_θ(x_0) for every x_0 and T."""
    elbo = exact_elbo(ddpm, beta, gaussian_oracle(beta, 0.0, 1.0), x_0, "beta")
    log_p = float(log_normal(np.full((1, 1), x_0), 0.0, 1.0)[0])
    scale = 1 + x_0 ** 2 + abs(np.log(beta)).sum()  # the sum of the terms' sizes
    assert_close(elbo, log_p, 1e-13, scale, "ELBO = log p(x_0)")


@given(betas(smallest=1e-6), st.floats(-4, 4), st.integers(0, 2 ** 16))
def test_sampler_returns_a_single_point(ddpm, beta, point, seed):
    """Data that is one point, σ_t² = β̃_t, its optimal denoiser: every path ends exactly there."""
    x = np.random.default_rng(seed).standard_normal((3, 2))
    denoiser, rng = gaussian_oracle(beta, point, 0.0), np.random.default_rng(seed + 1)
    for t in range(len(beta), 0, -1):
        x = ddpm.sampler_step(beta, x, t, denoiser(x, t), rng.standard_normal(x.shape), "beta_tilde")
    assert_close(x, point, 1e-9, 1 + abs(point), "x_0")
