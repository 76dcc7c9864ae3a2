"""F. The ELBO and the reverse process against exact answers.

The telescoping law speaks of functions only; the others need the optimal denoiser of Gaussian data,
`exact.gaussian_oracle`.
"""
import numpy as np
import pytest
from exact import at_one_time, exact_elbo, gaussian_oracle
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, betas, cases, log_normal, tables

both_variances = st.sampled_from(["beta", "beta_tilde"])


@given(cases(lengths=(1, 2, 3, 5, 8, 50), largest_power=3), both_variances, st.integers(0, 2 ** 16))
def test_telescoping_on_every_path(ddpm, case, variance, seed):
    """The bound is a sum of three kinds of term, on every path and for any p (2.2, Luo 48–57).

    log p(x_{0:T}) − log q(x_{1:T}|x_0) =
        log p(x_T)/q(x_T|x_0) + log p(x_0|x_1) + Σ_{t≥2} log p(x_{t−1}|x_t)/q(x_{t−1}|x_t,x_0).
    No expectation is taken.  p cancels from both sides: the law is about q.
    """
    rng = np.random.default_rng(seed)
    beta, T = case.beta, case.T
    path = [case.x_0]
    for t in range(1, T + 1):
        noise = 0.5 * rng.standard_normal(case.x_0.shape)
        path.append(ddpm.q_step(beta, path[-1], t)[0] + noise)
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


@given(betas(smallest=1e-6), both_variances, st.sampled_from([1, 2, 3]), st.integers(0, 2 ** 16))
def test_sampler_moments_are_exact(ddpm, beta, variance, d, seed):
    """Mean and covariance of the sampler's x_t at every t, for Gaussian data (Algorithm 2).

    No Monte Carlo: with the optimal denoiser a step is an affine map of x and z.  Probing it with
    (0, 0), (e_i, 0) and (0, e_i) shows the map, and the maps compose.  The right side is
    x_{t−1} = c_0·E[x_0|x_t] + c_t·x_t + σ_t·z (Luo 84 with x_0 guessed).
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

        c_0 = np.sqrt(ab[t - 1]) * beta[t - 1] / om[t]
        c_t = np.sqrt(1 - beta[t - 1]) * om[t - 1] / om[t]
        pull = np.sqrt(ab[t]) * s / (ab[t] * s + om[t])
        sigma2 = beta[t - 1] if variance == "beta" else bt[t]
        exact_mean = (c_0 * pull + c_t) * exact_mean + c_0 * (1 - pull * np.sqrt(ab[t])) * m
        exact_var = (c_0 * pull + c_t) ** 2 * exact_var + (sigma2 if t > 1 else 0)
        if t in (1, 2, T // 2, T):
            assert_close(mean, exact_mean, 1e-9, 1 + abs(m), f"mean of x_{t - 1}")
            size = 1 + exact_var.max()
            assert_close(cov, np.diag(exact_var), 1e-9, size, f"covariance of x_{t - 1}")


@given(betas(lengths=(1, 2, 3, 5, 8, 50), smallest=1e-6), st.floats(-4, 4))
def test_elbo_is_tight_for_standard_normal_data(ddpm, beta, x_0):
    """Data N(0, 1), σ_t² = β_t, the optimal denoiser: ELBO = log p_θ(x_0) for every x_0 and T.

    p_θ is N(0, 1) then.
    """
    elbo = exact_elbo(ddpm, beta, gaussian_oracle(beta, 0.0, 1.0), x_0, "beta")
    log_p = float(log_normal(np.full((1, 1), x_0), 0.0, 1.0)[0])
    scale = 1 + x_0 ** 2 + abs(np.log(beta)).sum()  # the sum of the terms' sizes
    assert_close(elbo, log_p, 1e-13, scale, "ELBO = log p(x_0)")


@given(betas(smallest=1e-6), st.floats(-4, 4), st.integers(0, 2 ** 16))
def test_sampler_returns_a_single_point(ddpm, beta, point, seed):
    """Data that is one point, σ_t² = β̃_t, the optimal denoiser: every path ends at the point."""
    x = np.random.default_rng(seed).standard_normal((3, 2))
    denoiser, rng = gaussian_oracle(beta, point, 0.0), np.random.default_rng(seed + 1)
    for t in range(len(beta), 0, -1):
        z = rng.standard_normal(x.shape)
        x = ddpm.sampler_step(beta, x, t, denoiser(x, t), z, "beta_tilde")
    assert_close(x, point, 1e-9, 1 + abs(point), "x_0")


@given(cases(smallest=1e-8, largest_power=3))
def test_prior_term(ddpm, case):
    """L_T = ½[ᾱ_T·|x_0|² − d·(ᾱ_T + log(1 − ᾱ_T))] (Ho 5)."""
    log_ab, om, _ = tables(case.beta)
    ab, square = np.exp(log_ab[-1]), (case.x_0 ** 2).reshape(len(case.x_0), -1)
    expected = 0.5 * (ab * square.sum(1) - square.shape[1] * (ab + np.log(om[-1])))
    assert_close(ddpm.prior_term(case.beta, case.x_0), expected, 1e-9, 1 + abs(expected), "L_T")


later_cases = cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-5, first_t=2, largest_power=1)


@given(later_cases, both_variances, st.floats(-2, 2))
def test_denoising_term_is_a_weighted_error(ddpm, case, variance, error):
    """L_{t−1} = β²/(2σ²·α(1 − ᾱ))·‖ε − ε̂‖² + d/2·(r − 1 − log r), r = β̃/σ² (Ho 12, Luo 130).

    With σ² = β̃ it is ½(SNR_{t−1} − SNR_t)·|x_0 − x̂_0|².
    """
    log_ab, om, bt = tables(case.beta)
    t, d = case.t, case.x_0[0].size
    eps_hat = case.eps + error
    term = ddpm.step_term(case.beta, case.x_0, t, case.eps, eps_hat, variance)
    beta, square = case.beta[t - 1], d * error ** 2
    sigma2 = beta if variance == "beta" else bt[t]
    r = bt[t] / sigma2
    weight = beta ** 2 / (2 * sigma2 * (1 - beta) * om[t])
    expected = weight * square + d / 2 * (r - 1 - np.log(r))
    largest = 1 + abs(case.x_0).max() + abs(case.eps).max() + abs(error)
    rounding = 1e-15 * d * largest ** 2 / (sigma2 * (1 - beta))
    assert_close(term, expected, 1, 1e-8 * expected + 10 * rounding + 1e-9, "L_{t-1}")
    dropped = ddpm.simple_weights(case.beta, variance)[t - 1]
    assert_close(dropped, weight, 1e-9, weight, "the weight that L_simple sets to 1")
    if variance == "beta_tilde":
        snr = np.exp(log_ab) / np.append(1.0, om[1:])
        by_x_0 = 0.5 * (snr[t - 1] - snr[t]) * om[t] / np.exp(log_ab[t]) * square
        allowed = by_x_0 + snr[t - 1] * 1e-8 * square
        assert_close(expected, by_x_0, 1e-6, allowed, "½(SNR_{t-1} − SNR_t)·|x_0 − x̂_0|²")


class Affine:
    """p_θ(x_{t−1}|x_t) = N(M_t·x_t + k_t, S_t) in one dimension, where ε̂ = a·x_t + c."""

    def __init__(self, ddpm, beta, variance, a, c):
        self.denoiser = lambda x, t: a * x + c
        probe = np.array([[0.0], [1.0]])
        self.gain, self.offset, self.var = (np.full(len(beta) + 1, np.nan) for _ in range(3))
        for t in range(1, len(beta) + 1):
            mean, var = ddpm.p_step(beta, probe, t, self.denoiser(probe, t), variance)
            self.offset[t] = mean[0, 0]
            self.gain[t] = mean[1, 0] - mean[0, 0]
            self.var[t] = np.ravel(var)[0]


def expected_log_normal(mean, spread, var):
    """E[log N(y; 0, var)] for y of this mean and variance `spread`."""
    return -0.5 * (np.log(2 * np.pi * var) + (spread + mean ** 2) / var)


@given(betas(lengths=(2, 3, 5, 8), smallest=1e-2), both_variances,
       st.floats(-2, 2), st.floats(0.1, 1), st.floats(-1, 1))
def test_first_form_is_the_second_and_the_kl_form_is_not(ddpm, beta, variance, x_0, a, c):
    """Luo 44 = Luo 58 for affine p, and Luo 45 differs by Σ_{t<T} √α_{t+1}·β_t·M_{t+1}/S_{t+1}.

    Luo 45 writes the consistency terms as KLs.  But under q, x_t is not independent of x_{t+1}
    given x_{t−1}: Luo 45 leaves out their covariance √α_{t+1}·β_t.
    """
    log_ab, om, _ = tables(beta)
    T, mu = len(beta), np.exp(log_ab / 2) * x_0
    beta_, alpha = np.append(0.0, beta), 1 - np.append(0.0, beta)
    p = Affine(ddpm, beta, variance, a, c)

    def residual(t):  # mean and variance of x_{t−1} − M_t·x_t − k_t under q(·|x_0)
        covariance = np.sqrt(alpha[t]) * om[t - 1]
        mean = mu[t - 1] - p.gain[t] * mu[t] - p.offset[t]
        return mean, om[t - 1] + p.gain[t] ** 2 * om[t] - 2 * p.gain[t] * covariance

    log_p = sum(expected_log_normal(*residual(t), p.var[t]) for t in range(1, T + 1))
    log_q = -0.5 * (np.log(2 * np.pi * beta) + 1)
    first = log_p - log_q.sum() + expected_log_normal(mu[T], om[T], 1.0)
    second = exact_elbo(ddpm, beta, p.denoiser, x_0, variance)
    scale = 1 + abs(first)
    for t in range(1, T + 1):
        mean, var = residual(t)
        scale += (var + mean ** 2) / p.var[t]
    assert_close(first, second, 1e-9, scale, "Luo 44 = Luo 58")

    by_kl, gap = first, 0.0
    for t in range(1, T):
        mean, var = residual(t + 1)
        covariance = np.sqrt(alpha[t + 1]) * beta_[t]
        independent = var + 2 * p.gain[t + 1] * covariance  # x_t drawn anew from q(x_t|x_{t−1})
        by_kl += expected_log_normal(mean, independent, p.var[t + 1])
        by_kl -= expected_log_normal(mean, var, p.var[t + 1])
        gap += covariance * p.gain[t + 1] / p.var[t + 1]
    assert_close(second - by_kl, gap, 1e-9, scale + abs(gap), "Luo 58 − Luo 45")


@given(betas(lengths=(1, 2, 3, 5, 8), smallest=1e-2), both_variances,
       st.floats(-2, 2), st.floats(0.1, 1), st.floats(-1, 1))
def test_elbo_is_below_the_likelihood(ddpm, beta, variance, x_0, a, c):
    """ELBO ≤ log p_θ(x_0); for affine p an exact recursion of mean and variance gives p_θ (2.1)."""
    p, mean, var = Affine(ddpm, beta, variance, a, c), 0.0, 1.0
    for t in range(len(beta), 0, -1):
        mean = p.gain[t] * mean + p.offset[t]
        var = p.gain[t] ** 2 * var + p.var[t]
    log_p = expected_log_normal(x_0 - mean, 0.0, var)
    elbo = exact_elbo(ddpm, beta, p.denoiser, x_0, variance)
    allowed = 1e-9 * (1 + abs(log_p) + abs(elbo))
    assert elbo <= log_p + allowed, f"ELBO {elbo} > log p(x_0) {log_p}"


@given(betas(lengths=(1, 2, 3, 5, 8), smallest=1e-2), both_variances,
       st.floats(0.05, 0.5), st.floats(0.1, 0.9))
def test_no_bound_beats_the_entropy(ddpm, beta, variance, s, share):
    """Data of two Gaussians and the optimal denoiser: E[ELBO] ≤ E[log p_data] (1.2, 2.2).

    ε* = −√(1 − ᾱ_t)·∇log q(x_t).  Both expectations are by Gauss–Hermite nodes, hence 1e-3.
    """
    centres, shares = np.array([-1.0, 1.0]), np.array([1 - share, share])
    log_ab, om, _ = tables(beta)

    def log_q(x, ab, om):  # of each component, (B, 2)
        var = ab * s + om
        square = (x - np.sqrt(ab) * centres) ** 2
        return np.log(shares) - 0.5 * (np.log(2 * np.pi * var) + square / var)

    def denoiser(x, t):
        ab = np.exp(log_ab[t])
        parts = log_q(x, ab, om[t])
        each = np.exp(parts - np.logaddexp(*parts.T)[:, None])
        pull = (each * (x - np.sqrt(ab) * centres)).sum(1, keepdims=True)
        return np.sqrt(om[t]) * pull / (ab * s + om[t])

    z, weight = np.polynomial.hermite_e.hermegauss(12)
    weight = weight / weight.sum()
    elbo = entropy = 0.0
    for centre, p in zip(centres, shares):
        for node, w in zip(z, weight):
            x_0 = centre + np.sqrt(s) * node
            elbo += p * w * exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=16)
            entropy -= p * w * np.logaddexp(*log_q(np.array([[x_0]]), 1.0, 0.0)[0])
    assert elbo <= -entropy + 1e-3 * (1 + abs(elbo)), (
        f"E[ELBO] = {elbo} is above the negative entropy {-entropy}")


def test_beta_tilde_costs_half_of_eulers_constant(ddpm):
    """With σ² = β̃ the gap to log p tends to γ/2 = 0.2886 as T grows; with σ² = β it is zero.

    Data N(0, 1), cosine, the optimal denoiser; γ is Euler's constant.
    """
    def gap(T, variance):
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
        log_ab, om, bt = tables(beta)
        ab, sigma2 = np.exp(log_ab), beta if variance == "beta" else bt[1:]
        errors = (ddpm.simple_weights(beta, variance) * ab[1:])[1:].sum()  # E(ε − ε*)² = ᾱ_t
        r = bt[2:] / sigma2[1:]
        two_variances = 0.5 * (r - 1 - np.log(r)).sum()
        L_0 = 0.5 * np.log(2 * np.pi * beta[0]) + 0.5  # σ_1² = β_1, which is Var(x_0|x_1)
        L_T = -0.5 * np.log(om[-1])
        return errors + two_variances + L_0 + L_T - 0.5 * np.log(2 * np.pi * np.e)

    assert_close(gap(2000, "beta"), 0, 1e-6, law="gap with β")
    distances = [gap(T, "beta_tilde") - np.euler_gamma / 2 for T in (1000, 10_000, 100_000)]
    falling = distances[1] < distances[0] / 4 and distances[2] < distances[1] / 4
    assert falling and 0 < distances[2] < 0.005, (
        f"gap − γ/2 at T = 1,000, 10,000, 100,000 is {distances}, not falling to 0")


@given(st.floats(1e-3, 1e4), st.integers(1, 10 ** 6))
def test_bits_per_dim(ddpm, nats, dimensions):
    """bits/dim = nats/(D·ln 2): a uniform model of 256 levels scores exactly 8."""
    per_dim = nats / dimensions
    found = ddpm.bits_per_dim(nats, dimensions)
    assert_close(found, per_dim / np.log(2), 1e-15, abs(per_dim) * 2, "bits/dim")
    uniform = ddpm.bits_per_dim(dimensions * np.log(256), dimensions)
    assert_close(uniform, 8, 1e-14, law="a uniform guess")


@pytest.mark.filterwarnings("ignore:L_T")
@given(st.sampled_from([1, 2, 3, 12]), both_variances)
def test_ledger_counts_every_term(ddpm, T, variance):
    """The mean of the ledger's totals is the exact −ELBO: no term is lost or counted twice.

    Statistical: fixed seed, 6 standard errors.
    """
    beta, x_0 = np.linspace(0.05, 0.5, T), 0.7
    denoiser, rng = gaussian_oracle(beta, 0.3, 0.5), np.random.default_rng(0)
    items = np.full((4000, 1), x_0)
    totals = ddpm.ledger_total(beta, at_one_time(denoiser), items, rng, variance)
    exact = -exact_elbo(ddpm, beta, denoiser, x_0, variance)
    error = totals.std() / np.sqrt(len(totals))
    assert_close(totals.mean(), exact, 6, error, "mean of the ledger's totals")
