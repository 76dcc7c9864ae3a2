"""F. The ELBO and the reverse process against exact answers.

Some laws need the optimal denoiser of Gaussian data, `exact.gaussian_oracle`; three are
statistical.
"""
import numpy as np
from exact import (at, exact_elbo, gaussian_oracle, log_normal, lost_by_a_chain, sigma2, tables,
                   written_elbo)
from hypothesis import strategies as st
from strategies import betas, both_variances, cases, for_all, seeds
from verdict import assert_at_most, assert_close, require

later_cases = cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-4, first_t=2, largest_power=1)


@for_all(case=cases(largest_power=3))
def test_prior_term(ddpm, case):
    """L_T = ½[ᾱ_T·|x_0|² − d·(ᾱ_T + log(1 − ᾱ_T))] for each item (Ho 5)."""
    log_ab, om, _ = tables(case.beta)
    ab, square = np.exp(log_ab[-1]), (case.x_0 ** 2).reshape(len(case.x_0), -1)
    d = square.shape[1]
    expected = 0.5 * (ab * square.sum(1) - d * (ab + np.log(om[-1])))
    size = ab * square.sum(1) + d * (1 - np.log(om[-1]))
    assert_close(ddpm.prior_term(case.beta, case.x_0), expected, 1e-11, size, "L_T",
                 (case.T + 1) / om[-1])


def expected_term(case, error, variance):
    """L_{t−1} of each item for ε̂ = ε + error, and the size that round-off is proportional to."""
    c = at(case.beta, case.t, case.t)
    d, square = case.x_0[0].size, (error ** 2).reshape(len(case.t), -1).sum(1)
    var = sigma2(case.beta, case.t, case.t, variance)
    r = c.beta_tilde / var
    expected = c.beta ** 2 / (2 * var * c.alpha * c.om) * square + d / 2 * (r - 1 - np.log(r))
    largest = 1 + abs(case.x_0).max() + abs(case.eps).max() + abs(error).max()
    shift = c.beta / np.sqrt(c.alpha * c.om) * np.sqrt(square)
    size = d + expected + shift * largest * np.sqrt(d) / var
    # The square of the round-off of the two means counts, too, where σ_t² is small.
    size = size + 1e-15 * c.lost * d * largest ** 2 / var / c.alpha
    return expected, size, c


@for_all(case=later_cases, variance=both_variances, error=st.floats(-2, 2))
def test_denoising_term_is_a_weighted_error(ddpm, case, variance, error):
    """L_{t−1} = β²/(2σ²·α(1 − ᾱ))·‖ε − ε̂‖² + d/2·(r − 1 − log r), r = β̃/σ² (Ho 12, Luo 130)."""
    error = error + 0.5 * np.sin(3 * case.eps)
    expected, size, c = expected_term(case, error, variance)
    term = ddpm.step_term(case.beta, case.x_0, case.t, case.eps, case.eps + error, variance)
    assert_close(term, expected, 1e-8, size, "L_{t-1}", c.lost, forgive=True)


@for_all(case=later_cases, error=st.floats(-2, 2))
def test_denoising_term_is_a_difference_of_snr(ddpm, case, error):
    """With σ² = β̃, L_{t−1} = ½(SNR_{t−1} − SNR_t)·|x_0 − x̂_0|² (Luo 108)."""
    _, size, c = expected_term(case, np.full_like(case.eps, error), "beta_tilde")
    term = ddpm.step_term(case.beta, case.x_0, case.t, case.eps, case.eps + error, "beta_tilde")
    snr, snr_prev = c.ab / c.om, c.ab_prev / c.om_prev
    square = c.om / c.ab * case.x_0[0].size * error ** 2
    size, expected = size + snr_prev * square, 0.5 * (snr_prev - snr) * square
    assert_close(term, expected, 1e-8, size, "½(SNR_{t-1} − SNR_t)·|x_0 − x̂_0|²", c.lost,
                 forgive=True)


@for_all(beta=betas(smallest=1e-5), variance=both_variances)
def test_weights_of_the_simple_loss(ddpm, beta, variance):
    """The weight at t is β²/(2σ²·α(1 − ᾱ)); L_simple sets it to 1 (Ho 12)."""
    t = np.arange(1, len(beta) + 1)
    c, var = at(beta, t, t), sigma2(beta, t, t, variance)
    weights = ddpm.simple_weights(beta, variance)
    require(weights.shape == t.shape, f"{weights.shape} weights for T = {len(beta)}")
    expected = c.beta[1:] ** 2 / (2 * var[1:] * c.alpha[1:] * c.om[1:])
    assert_close(weights[1:], expected, 1e-9, expected, "the weight at t = 2…T", c.lost[1:])


@for_all(beta=betas(smallest=1e-5))
def test_weight_at_the_last_step(ddpm, beta):
    """For σ_1² = β_1 the weight at t = 1 is 1/(2α_1) (Ho 12)."""
    expected = 1 / (2 * (1 - beta[0]))
    weight = ddpm.simple_weights(beta, "beta")[0]
    assert_close(weight, expected, 1e-9, expected, "the weight at t = 1",
                 2 / beta[0] + 2 * expected)


def test_beta_tilde_costs_half_of_eulers_constant(ddpm):
    """With σ² = β̃ the gap to log p tends to γ/2 = 0.2886 as T grows; with σ² = β it is zero.

    Data N(0, 1), cosine, the optimal denoiser; γ is Euler's constant.  (Ho §3.2, both choices.)
    """
    def gap(T, variance):
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
        log_ab, om, bt = tables(beta)
        ab, var = np.exp(log_ab), beta if variance == "beta" else bt[1:]
        errors = (ddpm.simple_weights(beta, variance) * ab[1:])[1:].sum()  # E(ε − ε*)² = ᾱ_t
        r = bt[2:] / var[1:]
        two_variances = 0.5 * (r - 1 - np.log(r)).sum()
        L_0 = 0.5 * np.log(2 * np.pi * beta[0]) + 0.5  # σ_1² = β_1, which is Var(x_0|x_1)
        L_T = -0.5 * np.log(om[-1])
        return errors + two_variances + L_0 + L_T - 0.5 * np.log(2 * np.pi * np.e)

    assert_close(gap(2000, "beta"), 0, 1e-6, 1, "gap with β", 2000)
    distances = [gap(T, "beta_tilde") - np.euler_gamma / 2 for T in (300, 3000, 30_000)]
    falling = distances[1] < distances[0] / 4 and distances[2] < distances[1] / 4
    require(falling and 0 < distances[2] < 0.02,
            f"gap − γ/2 at T = 300, 3,000, 30,000 is {distances}, not falling to 0")


@for_all(case=cases(lengths=(1, 2, 3, 5, 8, 50), largest_power=3), seed=seeds)
def test_telescoping_on_every_path(ddpm, case, seed):
    """The bound is a sum of three kinds of term, on every path and for any p (2.2, Luo 48–57).

    log p(x_{0:T}) − log q(x_{1:T}|x_0) =
        log p(x_T)/q(x_T|x_0) + log p(x_0|x_1) + Σ_{t≥2} log p(x_{t−1}|x_t)/q(x_{t−1}|x_t,x_0).
    No expectation is taken.  p cancels from both sides, and so the law is about q.
    """
    rng, beta, path = np.random.default_rng(seed), case.beta, [case.x_0]
    left, right = [], []
    for t in range(1, case.T + 1):
        mean, var = ddpm.q_step(beta, path[-1], t)
        path.append(mean + 0.5 * rng.standard_normal(case.x_0.shape))
        left += [log_normal(path[t], mean, var)]
        if t > 1:
            right += [log_normal(path[t - 1], *ddpm.q_posterior(beta, path[t], path[0], t))]
    right += [log_normal(path[-1], *ddpm.q_marginal(beta, path[0], case.T))]
    scale = 1 + sum(map(abs, left)) + sum(map(abs, right))
    assert_close(sum(left), sum(right), 1e-9, scale, "log q(x_{1:T} | x_0), both ways",
                 lost_by_a_chain(beta))


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8, 50), smallest=1e-4), x_0=st.floats(-4, 4))
def test_elbo_is_tight_for_standard_normal_data(ddpm, beta, x_0):
    """For data N(0, 1), σ_t² = β_t and the optimal denoiser, ELBO = log p_θ(x_0) (2.1).

    This holds for every x_0 and T: p_θ is N(0, 1) then.
    """
    elbo = exact_elbo(ddpm, beta, gaussian_oracle(beta, 0.0, 1.0), x_0, "beta")
    log_p = float(log_normal(np.full((1, 1), x_0), 0.0, 1.0)[0])
    scale = 1 + x_0 ** 2 + abs(np.log(beta)).sum()  # the sum of the terms' sizes
    assert_close(elbo, log_p, 1e-13, scale, "ELBO = log p(x_0)", lost_by_a_chain(beta),
                 forgive=True)


class Affine:
    """p_θ(x_{t−1}|x_t) = N(M_t·x_t + k_t, S_t) in one dimension, for ε̂ = a·x_t + c; S_1 = β_1."""

    def __init__(self, ddpm, beta, variance, a, c):
        self.denoiser = lambda x, t: a * x + c
        probe = np.array([[0.0], [1.0]])
        self.gain, self.offset, self.var = (np.full(len(beta) + 1, np.nan) for _ in range(3))
        for t in range(1, len(beta) + 1):
            mean, var = ddpm.p_step(beta, probe, t, self.denoiser(probe, t), variance)
            self.offset[t] = mean[0, 0]
            self.gain[t] = mean[1, 0] - mean[0, 0]
            self.var[t] = np.ravel(var)[0] if t > 1 else beta[0]


def expected_log_normal(mean, spread, var):
    """E[log N(y; 0, var)] for y of this mean and variance `spread`."""
    return -0.5 * (np.log(2 * np.pi * var) + (spread + mean ** 2) / var)


short_chains = betas(lengths=(1, 2, 3, 5, 8), smallest=1e-2)
slopes = {"a": st.floats(0.1, 1), "c": st.floats(-1, 1)}


@for_all(beta=short_chains, variance=both_variances, x_0=st.floats(-2, 2), **slopes)
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
    lost = lost_by_a_chain(beta)
    assert_close(second, first, 1e-9, scale, "Luo 58 = Luo 44", lost)

    by_kl, gap = first, 0.0
    for t in range(1, T):
        mean, var = residual(t + 1)
        covariance = np.sqrt(alpha[t + 1]) * beta_[t]
        independent = var + 2 * p.gain[t + 1] * covariance  # x_t drawn anew from q(x_t|x_{t−1})
        by_kl += expected_log_normal(mean, independent, p.var[t + 1])
        by_kl -= expected_log_normal(mean, var, p.var[t + 1])
        gap += covariance * p.gain[t + 1] / p.var[t + 1]
    assert_close(second - by_kl, gap, 1e-9, scale + abs(gap), "Luo 58 − Luo 45", lost)


@for_all(beta=short_chains, variance=both_variances, x_0=st.floats(-2, 2), **slopes)
def test_likelihood_is_the_elbo_and_a_kl(ddpm, beta, variance, x_0, a, c):
    """log p_θ(x_0) − ELBO(x_0) = KL(q(x_{1:T}|x_0) ‖ p_θ(x_{1:T}|x_0)) (2.1, Luo 9–11).

    p is affine, and both sides are computed apart: the left side by the bound and an exact
    recursion, the right side from the two joint Gaussians.  For T = 1 it is the VAE's identity.
    """
    T, p = len(beta), Affine(ddpm, beta, variance, a, c)
    mean, var = 0.0, 1.0
    for t in range(T, 0, -1):
        mean, var = p.gain[t] * mean + p.offset[t], p.gain[t] ** 2 * var + p.var[t]
    log_p = expected_log_normal(x_0 - mean, 0.0, var)
    elbo = exact_elbo(ddpm, beta, p.denoiser, x_0, variance)

    log_ab, om, _ = tables(beta)
    order = np.arange(1, T + 1)
    earlier = np.minimum.outer(order, order)
    apart = abs(log_ab[order][:, None] - log_ab[order])
    q_mean, q_cov = np.exp(log_ab[order] / 2) * x_0, np.exp(apart / 2) ** -1 * om[earlier]
    precision, pull = np.zeros((T + 1, T + 1)), np.zeros(T + 1)  # of p(x_0, …, x_T)
    precision[T, T] = 1.0
    for t in order:
        row = np.zeros(T + 1)
        row[t - 1], row[t] = 1.0, -p.gain[t]
        precision += np.outer(row, row) / p.var[t]
        pull += row * p.offset[t] / p.var[t]
    given_x_0 = precision[1:, 1:]
    p_mean = np.linalg.solve(given_x_0, pull[1:] - precision[1:, 0] * x_0)
    far = p_mean - q_mean
    terms = [np.trace(given_x_0 @ q_cov), far @ given_x_0 @ far, -T,
             -np.linalg.slogdet(given_x_0)[1], -np.log(beta).sum()]
    size = 1 + abs(log_p) + abs(elbo) + sum(map(abs, terms))
    assert_close(log_p - elbo, 0.5 * sum(terms), 1e-9, size, "log p(x_0) − ELBO = KL",
                 lost_by_a_chain(beta))


@for_all(examples=10, beta=betas(lengths=(1, 2, 3), smallest=1e-2), variance=both_variances,
         s=st.floats(0.05, 0.5), share=st.floats(0.1, 0.9))
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

    z, weight = np.polynomial.hermite_e.hermegauss(8)
    weight = weight / weight.sum()
    elbo = entropy = 0.0
    for centre, p in zip(centres, shares):
        for node, w in zip(z, weight):
            x_0 = centre + np.sqrt(s) * node
            elbo += p * w * exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=16)
            entropy -= p * w * np.logaddexp(*log_q(np.array([[x_0]]), 1.0, 0.0)[0])
    size = 1e-3 * (1 + abs(elbo))
    assert_at_most(elbo - size, -entropy, 1 + abs(elbo), "E[ELBO] ≤ −entropy",
                   lost_by_a_chain(beta))


@for_all(nats=st.floats(1e-3, 1e4), dimensions=st.integers(1, 10 ** 6))
def test_bits_per_dim(ddpm, nats, dimensions):
    """bits/dim = nats/(D·ln 2): a uniform model of 256 levels scores exactly 8 (Ho table 1)."""
    per_dim = nats / dimensions / np.log(2)
    assert_close(ddpm.bits_per_dim(nats, dimensions), per_dim, 1e-15, 4 * per_dim, "bits/dim")
    uniform = ddpm.bits_per_dim(dimensions * np.log(256), dimensions)
    assert_close(uniform, 8, 1e-14, law="bits/dim of a uniform guess")


@for_all(nats=st.floats(-1e4, 1e4), dimensions=st.integers(1, 10 ** 6))
def test_bits_per_dim_of_a_density(ddpm, nats, dimensions):
    """A density adds log₂ 127.5, once for each dimension: a level's bin is 1/127.5 wide (G5).

    The density ½ on [−1, 1] scores log₂ 255, that of 255 bins.
    """
    expected = nats / dimensions / np.log(2) + np.log2(127.5)
    found = ddpm.density_bits_per_dim(nats, dimensions)
    assert_close(found, expected, 1e-14, 7 + abs(expected), "bits/dim of a density", forgive=True)


def exact_total(beta, denoiser, x_0, variance, totals):
    """−ELBO, for the σ_1² that comes nearest: β_1, or β̃_2 as in Ho's code."""
    lasts = [beta[0], *tables(beta)[2][2:3]]
    answers = [-written_elbo(beta, denoiser, x_0, variance, last) for last in lasts]
    return min(answers, key=lambda answer: abs(answer - totals.mean()))


@for_all(T=st.sampled_from([1, 2, 3, 12]), variance=both_variances)
def test_ledger_counts_every_term(ddpm, T, variance):
    """The mean of the ledger's totals is the exact −ELBO: no term is lost or counted twice (2.2).

    Statistical: fixed seed, 6 standard errors.
    """
    beta, x_0 = np.linspace(0.05, 0.5, T), 0.7
    denoiser, rng = gaussian_oracle(beta, 0.3, 0.5), np.random.default_rng(0)
    totals = ddpm.ledger_total(beta, denoiser, np.full((4000, 1), x_0), rng, variance)
    require(totals.shape == (4000,), f"{totals.shape} totals for 4000 items")
    exact = exact_total(beta, denoiser, x_0, variance, totals)
    error = totals.std() / np.sqrt(len(totals))
    assert_close(totals.mean(), exact, 6, error + 1e-9, "mean of the ledger's totals")


def test_ledger_has_a_total_for_each_item(ddpm):
    """Two kinds of image in one batch: each item's total is that of its own x_0 (2.2).

    Statistical: fixed seed, 6 standard errors.
    """
    beta, n = np.array([0.1, 0.3, 0.5]), 3000
    kinds = np.array([[[0.5, -1.0, 2.0]], [[-3.0, 0.0, 4.0]]])
    x_0 = kinds[np.arange(2 * n) % 2]  # (2n, 1, 3)
    m, s = np.array([0.2, 0.0, 0.5]), np.array([0.5, 1.0, 2.0])
    denoiser, rng = gaussian_oracle(beta, m, s), np.random.default_rng(0)
    totals = ddpm.ledger_total(beta, denoiser, x_0, rng, "beta")
    require(totals.shape == (2 * n,), f"{totals.shape} totals for {2 * n} items")
    for kind in (0, 1):
        own = totals[kind::2]
        exact = -written_elbo(beta, denoiser, kinds[kind], "beta", beta[0])
        error = own.std() / np.sqrt(n)
        assert_close(own.mean(), exact, 6, error, f"mean of the totals of kind {kind}")
        require(own.std() > 0, "all items have the same noise")
    both = (totals[0::2] - totals[0::2].mean()) * (totals[1::2] - totals[1::2].mean())
    error = both.std() / np.sqrt(n)
    assert_close(both.mean(), 0, 6, error, "covariance of two items' totals")


def test_ledger_shows_the_denoiser_noised_data(ddpm):
    """What the denoiser is shown at t is drawn from q(x_t|x_0), once for each t in 1…T (2.2).

    Statistical: fixed seed, 6 standard errors.
    """
    beta, n, shown = np.array([0.1, 0.3, 0.5]), 20_000, {}
    x_0 = np.tile([[1.0, -2.0]], (n, 1))

    def denoiser(x, t):
        shown.setdefault(int(np.max(t)), []).append(x)
        return 0.3 * x

    ddpm.ledger_total(beta, denoiser, x_0, np.random.default_rng(0), "beta")
    require(sorted(shown) == [1, 2, 3], f"the denoiser is asked at t = {sorted(shown)}, T = 3")
    for t, parts in shown.items():
        x_t, c = np.concatenate(parts), at(beta, t, 0.0)
        require(x_t.shape == x_0.shape, f"{len(x_t)} of {n} items are shown at t = {t}")
        noise = (x_t - c.root_ab * x_0) / c.root_om
        assert_close(noise.mean(0), 0, 6, 1 / np.sqrt(n), f"mean of the noise at t = {t}")
        error = np.sqrt((1 + np.eye(2)) / n)
        assert_close(noise.T @ noise / n, np.eye(2), 6, error, f"covariance at t = {t}")
