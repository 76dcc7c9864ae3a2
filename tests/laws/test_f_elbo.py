"""F. The ELBO and the reverse chain against exact answers.

The telescoping law speaks of functions only; the others need an exact oracle: the optimal denoiser of
Gaussian data, ε* = √(1 − ᾱ_t)·(x_t − √ᾱ_t·m)/(ᾱ_t·s + 1 − ᾱ_t), written out here.
"""
import numpy as np
import pytest
from strategies import assert_close, betas, cases, log_normal, tables
from hypothesis import given
from hypothesis import strategies as st

both_variances = st.sampled_from(["beta", "beta_tilde"])


@given(cases(lengths=(1, 2, 3, 5, 8, 50), largest_power=3), both_variances, st.integers(0, 2 ** 16))
def test_telescoping_on_every_path(ddpm, case, variance, seed):
    """log p(x_{0:T}) − log q(x_{1:T}|x_0) = log p(x_T)/q(x_T|x_0) + log p(x_0|x_1) + Σ_{t≥2} log p(x_{t−1}|x_t)/q(x_{t−1}|x_t,x_0).

    No expectation: for every path and any p (2.2, Luo 48–57).  Only q is in it that is not in both sides.
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


def exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=4):
    """The ELBO of x_0, a number or (1, D): each expectation by Gauss–Hermite nodes, 4 of which are exact for a quadratic.

    Every dimension takes the same node at a time, which is right where the terms add over dimensions.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    x_0 = np.tile(x_0, (nodes, 1))
    z, weight, one, T = z[:, None] + 0 * x_0, weight / weight.sum(), np.ones_like(x_0), len(beta)
    def kl(q, p):
        values = np.asarray(ddpm.kl(*(a * one for a in (*q, *p))))
        assert values.shape == (nodes,), f"kl returned shape {values.shape}: one number for each of the {nodes} items"
        return values
    elbo = -kl(ddpm.q_marginal(beta, x_0, T), (0 * one, one))[0]
    for t in range(1, T + 1):
        x_t = ddpm.q_sample(beta, x_0, t, z)
        p = ddpm.p_step(beta, x_t, t, denoiser(x_t, t), variance)
        q = ddpm.q_posterior(beta, x_t, x_0, t)
        elbo += weight @ (log_normal(x_0, *p) if t == 1 else -kl(q, p))
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


@given(cases(smallest=1e-8, largest_power=3))
def test_prior_term(ddpm, case):
    """L_T = ½[ᾱ_T·|x_0|² − d·(ᾱ_T + log(1 − ᾱ_T))] (Ho 5)."""
    log_ab, om, _ = tables(case.beta)
    ab, square = np.exp(log_ab[-1]), (case.x_0 ** 2).reshape(len(case.x_0), -1)
    expected = 0.5 * (ab * square.sum(1) - square.shape[1] * (ab + np.log(om[-1])))
    assert_close(ddpm.prior_term(case.beta, case.x_0), expected, 1e-9, 1 + abs(expected), "L_T")


@given(cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-5, first_t=2, largest_power=1), both_variances, st.floats(-2, 2))
def test_denoising_term_is_a_weighted_error(ddpm, case, variance, error):
    """L_{t−1} = β²/(2σ²·α(1−ᾱ))·‖ε − ε̂‖² + d/2·(r − 1 − log r), r = β̃/σ² (Ho 12, Luo 130); for β̃ = ½(SNR_{t−1} − SNR_t)·|x_0 − x̂_0|²."""
    log_ab, om, bt = tables(case.beta)
    t, d = case.t, case.x_0[0].size
    eps_hat = case.eps + error
    term = ddpm.step_term(case.beta, case.x_0, t, case.eps, eps_hat, variance)
    beta, square = case.beta[t - 1], d * error ** 2
    sigma2 = beta if variance == "beta" else bt[t]
    r = bt[t] / sigma2
    weight = beta ** 2 / (2 * sigma2 * (1 - beta) * om[t])
    expected = weight * square + d / 2 * (r - 1 - np.log(r))
    rounding = 1e-15 * d * (1 + abs(case.x_0).max() + abs(case.eps).max() + abs(error)) ** 2 / (sigma2 * (1 - beta))
    assert_close(term, expected, 1, 1e-8 * expected + 10 * rounding + 1e-9, "L_{t-1}")
    assert_close(ddpm.simple_weights(case.beta, variance)[t - 1], weight, 1e-9, weight, "the weight L_simple drops")
    if variance == "beta_tilde":
        snr = np.exp(log_ab) / np.append(1.0, om[1:])
        by_x_0 = 0.5 * (snr[t - 1] - snr[t]) * om[t] / np.exp(log_ab[t]) * square
        assert_close(expected, by_x_0, 1e-6, by_x_0 + snr[t - 1] * 1e-8 * square, "½(SNR_{t-1} − SNR_t)·|x_0 − x̂_0|²")


class Affine:
    """The model p_θ(x_{t−1}|x_t) = N(M_t·x_t + k_t, S_t) of an implementation whose ε̂ is a·x_t + c, in one dimension."""

    def __init__(self, ddpm, beta, variance, a, c):
        self.denoiser = lambda x, t: a * x + c
        probe = np.array([[0.0], [1.0]])
        self.gain, self.offset, self.var = (np.full(len(beta) + 1, np.nan) for _ in range(3))
        for t in range(1, len(beta) + 1):
            mean, var = ddpm.p_step(beta, probe, t, self.denoiser(probe, t), variance)
            self.offset[t], self.gain[t], self.var[t] = mean[0, 0], mean[1, 0] - mean[0, 0], np.ravel(var)[0]


def expected_log_normal(mean, spread, var):
    """E[log N(y; 0, var)] for y of this mean and variance `spread`."""
    return -0.5 * (np.log(2 * np.pi * var) + (spread + mean ** 2) / var)


@given(betas(lengths=(2, 3, 5, 8), smallest=1e-2), both_variances, st.floats(-2, 2), st.floats(0.1, 1), st.floats(-1, 1))
def test_first_form_is_the_second_and_the_kl_form_is_not(ddpm, beta, variance, x_0, a, c):
    """Luo 44 = Luo 58 for affine p.  Luo 45, which writes the consistency terms as KLs, is off by Σ_{t<T} √α_{t+1}·β_t·M_{t+1}/S_{t+1}.

    Under q, x_t is not independent of x_{t+1} given x_{t−1}: their covariance √α_{t+1}·β_t is what it leaves out.
    """
    log_ab, om, _ = tables(beta)
    T, mu = len(beta), np.exp(log_ab / 2) * x_0
    beta_, alpha = np.append(0.0, beta), 1 - np.append(0.0, beta)
    p = Affine(ddpm, beta, variance, a, c)
    def residual(t):  # mean and variance of x_{t−1} − M_t·x_t − k_t under q(·|x_0)
        covariance = np.sqrt(alpha[t]) * om[t - 1]
        return mu[t - 1] - p.gain[t] * mu[t] - p.offset[t], om[t - 1] + p.gain[t] ** 2 * om[t] - 2 * p.gain[t] * covariance
    log_q = -0.5 * (np.log(2 * np.pi * beta) + 1)
    first = sum(expected_log_normal(*residual(t), p.var[t]) for t in range(1, T + 1)) - log_q.sum() + expected_log_normal(mu[T], om[T], 1.0)
    second = exact_elbo(ddpm, beta, p.denoiser, x_0, variance)
    scale = 1 + abs(first) + sum((residual(t)[1] + residual(t)[0] ** 2) / p.var[t] for t in range(1, T + 1))
    assert_close(first, second, 1e-9, scale, "Luo 44 = Luo 58")

    by_kl, gap = first, 0.0
    for t in range(1, T):
        m, s = residual(t + 1)
        independent = s + 2 * p.gain[t + 1] * np.sqrt(alpha[t + 1]) * beta_[t]  # x_t drawn anew from q(x_t|x_{t−1})
        by_kl += expected_log_normal(m, independent, p.var[t + 1]) - expected_log_normal(m, s, p.var[t + 1])
        gap += np.sqrt(alpha[t + 1]) * beta_[t] * p.gain[t + 1] / p.var[t + 1]
    assert_close(second - by_kl, gap, 1e-9, scale + abs(gap), "Luo 58 − Luo 45")


@given(betas(lengths=(1, 2, 3, 5, 8), smallest=1e-2), both_variances, st.floats(-2, 2), st.floats(0.1, 1), st.floats(-1, 1))
def test_elbo_is_below_the_likelihood(ddpm, beta, variance, x_0, a, c):
    """ELBO ≤ log p_θ(x_0), which for affine p is an exact recursion of mean and variance (2.1)."""
    p, mean, var = Affine(ddpm, beta, variance, a, c), 0.0, 1.0
    for t in range(len(beta), 0, -1):
        mean, var = p.gain[t] * mean + p.offset[t], p.gain[t] ** 2 * var + p.var[t]
    log_p = expected_log_normal(x_0 - mean, 0.0, var)
    elbo = exact_elbo(ddpm, beta, p.denoiser, x_0, variance)
    assert elbo <= log_p + 1e-9 * (1 + abs(log_p) + abs(elbo)), f"ELBO {elbo} > log p(x_0) {log_p}"


@given(betas(lengths=(1, 2, 3, 5, 8), smallest=1e-2), both_variances, st.floats(0.05, 0.5), st.floats(0.1, 0.9))
def test_no_bound_beats_the_entropy(ddpm, beta, variance, s, share):
    """Data of two Gaussians, ε* = −√(1 − ᾱ_t)·∇log q_t(x_t): E[ELBO] ≤ E[log p_data] (1.2, 2.2).

    Both expectations by Gauss–Hermite nodes, hence 1e-3.
    """
    centres, shares = np.array([-1.0, 1.0]), np.array([1 - share, share])
    z, weight = np.polynomial.hermite_e.hermegauss(12)
    def log_q(x, ab, om):  # of each component, (B, 2)
        v = ab * s + om
        return np.log(shares) - 0.5 * (np.log(2 * np.pi * v) + (x - np.sqrt(ab) * centres) ** 2 / v)
    log_ab, om, _ = tables(beta)
    def denoiser(x, t):
        ab = np.exp(log_ab[t])
        parts = log_q(x, ab, om[t])
        each = np.exp(parts - np.logaddexp(*parts.T)[:, None])
        score = -(each * (x - np.sqrt(ab) * centres)).sum(1, keepdims=True) / (ab * s + om[t])
        return -np.sqrt(om[t]) * score
    data = [(p * w, m + np.sqrt(s) * node) for m, p in zip(centres, shares) for node, w in zip(z, weight / weight.sum())]
    elbo = sum(w * exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=16) for w, x_0 in data)
    entropy = -sum(w * np.logaddexp(*log_q(np.array([[x_0]]), 1.0, 0.0)[0]) for w, x_0 in data)
    assert elbo <= -entropy + 1e-3 * (1 + abs(elbo)), f"E[ELBO] = {elbo} is above the negative entropy {-entropy}"


def test_beta_tilde_costs_half_of_eulers_constant(ddpm):
    """Data N(0, 1), cosine, the optimal denoiser: with σ² = β̃ the gap to log p tends to γ/2 as T grows; with β it is nothing."""
    def gap(T, variance):
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
        log_ab, om, bt = tables(beta)
        ab, sigma2 = np.exp(log_ab), beta if variance == "beta" else bt[1:]
        errors = (ddpm.simple_weights(beta, variance) * ab[1:])[1:].sum()  # E(ε − ε*)² = ᾱ_t
        r = bt[2:] / sigma2[1:]
        two_variances = 0.5 * (r - 1 - np.log(r)).sum()
        L_0 = 0.5 * np.log(2 * np.pi * beta[0]) + 0.5  # decoded with σ_1² = β_1, which is Var(x_0|x_1)
        L_T = -0.5 * np.log(om[-1])
        return errors + two_variances + L_0 + L_T - 0.5 * np.log(2 * np.pi * np.e)
    assert_close(gap(2000, "beta"), 0, 1e-6, law="gap with β")
    distances = [gap(T, "beta_tilde") - np.euler_gamma / 2 for T in (1000, 10_000, 100_000)]
    assert 0 < distances[2] < 0.005 and distances[1] < distances[0] / 4 and distances[2] < distances[1] / 4, \
        f"gap − γ/2 at T = 1,000, 10,000, 100,000 is {distances}, not falling to 0"


@given(st.floats(1e-3, 1e4), st.integers(1, 10 ** 6))
def test_bits_per_dim(ddpm, nats, dimensions):
    """bits/dim = nats/(D·ln 2): a uniform model of 256 levels scores exactly 8."""
    assert_close(ddpm.bits_per_dim(nats, dimensions), nats / dimensions / np.log(2), 1e-15, abs(nats) / dimensions * 2, "bits/dim")
    assert_close(ddpm.bits_per_dim(dimensions * np.log(256), dimensions), 8, 1e-14, law="a uniform guess")


@pytest.mark.filterwarnings("ignore:L_T")
@given(st.sampled_from([1, 2, 3, 12]), both_variances)
def test_ledger_counts_every_term(ddpm, T, variance):
    """Statistical: fixed seed, 6 standard errors.  The mean of the ledger's totals is the exact −ELBO, no term lost or double."""
    beta, x_0 = np.linspace(0.05, 0.5, T), 0.7
    denoiser = gaussian_oracle(beta, 0.3, 0.5)
    def by_item(x, t):
        return denoiser(x, int(np.max(t)))
    totals = ddpm.ledger_total(beta, by_item, np.full((4000, 1), x_0), np.random.default_rng(0), variance)
    exact = -exact_elbo(ddpm, beta, denoiser, x_0, variance)
    assert_close(totals.mean(), exact, 6, totals.std() / np.sqrt(len(totals)), "mean of the ledger's totals")
