"""H. Samplers.  Functions only, with probes in the place of noise; the convergence law needs an exact oracle."""
import numpy as np
import pytest
from strategies import assert_close, betas, cases, tables
from hypothesis import given
from hypothesis import strategies as st

both_variances = st.sampled_from(["beta", "beta_tilde"])


class Recorder:
    """A denoiser that notes the times it is asked for."""

    def __init__(self):
        self.times = []

    def __call__(self, x, t):
        self.times.append(int(np.max(t)))
        return 0.1 * x


@given(betas(lengths=(1, 2, 3, 5, 8)), both_variances)
def test_every_time_is_visited_once(ddpm, beta, variance):
    """T network calls, at t = T…1 (Ho, Algorithm 2)."""
    denoiser = Recorder()
    ddpm.sample(beta, denoiser, np.ones((2, 2)), len(beta), np.random.default_rng(0), variance)
    assert denoiser.times == list(range(len(beta), 0, -1)), f"T = {len(beta)}, asked at t = {denoiser.times}"


@given(cases(smallest=1e-4), both_variances)
def test_the_last_step_adds_no_noise(ddpm, case, variance):
    """At t = 1, z = 0, whichever the variance: probed with σ² = β, which is not 0 there (Algorithm 2, line 3)."""
    quiet, loud = (ddpm.sampler_step(case.beta, case.x_0, 1, case.eps, z * np.ones_like(case.eps), variance) for z in (0, 1e6))
    assert_close(loud, quiet, 0, law="x_0 with z = 10⁶ and with z = 0")


@given(cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-6, first_t=2, largest_power=0), both_variances)
def test_the_gain_of_the_noise_is_the_standard_deviation(ddpm, case, variance):
    """x_{t−1} = μ_θ + σ_t·z for t ≥ 2, with σ_t² the variance of p_θ: β_t or β̃_t (Ho 1; Algorithm 2, line 4)."""
    t, _ , bt = int(case.t[0]), *tables(case.beta)[1:]
    z = np.sign(case.eps + 0.5)
    steps = [ddpm.sampler_step(case.beta, case.x_0, t, case.eps, k * z, variance) for k in (0, 1)]
    sigma = np.sqrt(case.beta[t - 1] if variance == "beta" else bt[t])
    mean = np.broadcast_to(ddpm.p_step(case.beta, case.x_0, t, case.eps, variance)[0], steps[0].shape)
    assert_close(steps[0], mean, 1e-12, abs(mean) + 1, "x_{t-1} with z = 0")
    assert_close(steps[1] - steps[0], sigma * z, 1e-12, abs(mean) + 1, "σ_t·z")


@given(betas(smallest=1e-6), st.floats(0, 1), st.data())
def test_ddim_keeps_the_marginal(ddpm, beta, eta, data):
    """(weight of ε)² + σ² = 1 − ᾱ_s and the weight of x_0 is √ᾱ_s, for all η and strides; ᾱ_0 = 1 (Song et al. 2021, eq 7, 12)."""
    t = data.draw(st.integers(1, len(beta)))
    s = data.draw(st.integers(0, t - 1))
    log_ab, om, _ = tables(beta)
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    ab_t, ab_s = np.exp(log_ab[[t, s]] / 2)
    def step(x_0, eps, z):
        return float(np.squeeze(ddpm.ddim_step(beta, ab_t * x_0 + np.sqrt(om[t]) * eps, t, s, eps, eta, z)))
    of_x_0, of_eps, of_z = step(one, zero, zero), step(zero, one, zero), step(zero, zero, one)
    sigma2 = eta ** 2 * om[s] / om[t] * -np.expm1(log_ab[t] - log_ab[s])
    size = 1 + np.sqrt(om[t]) / ab_t  # x̂_0 divides by √ᾱ_t
    assert_close(of_x_0, ab_s, 1e-11, size, "weight of x_0")
    assert_close(of_z ** 2, sigma2, 1e-11, law="σ²")
    assert_close(of_eps ** 2 + of_z ** 2, om[s], 1e-10, size, "(weight of ε)² + σ² = 1 − ᾱ_s")
    assert_close(of_eps, abs(of_eps), 1e-10, size, "the weight of ε is not negative: the direction points to x_t")


@given(cases(lengths=(2, 3, 5, 8, 50), smallest=1e-4, first_t=2, largest_power=0))
def test_ddim_with_eta_one_is_ancestral_sampling(ddpm, case):
    """η = 1 with s = t − 1 is the step of Algorithm 2 with σ² = β̃ (Song et al. 2021, §4.1)."""
    t, z = int(case.t[0]), np.cos(case.eps)
    ddim = ddpm.ddim_step(case.beta, case.x_0, t, t - 1, case.eps, 1.0, z)
    ancestral = ddpm.sampler_step(case.beta, case.x_0, t, case.eps, z, "beta_tilde")
    size = (abs(case.x_0) + abs(case.eps) + 1) / np.exp(tables(case.beta)[0][t] / 2)
    assert_close(ddim, ancestral, 1e-10, size, "x_{t-1}")


@pytest.mark.parametrize("T", [400])
def test_ddim_converges(ddpm, T):
    """Needs an oracle.  η = 0 integrates an ODE: for data N(m, s) it carries the quantile of x_T to that of x_0, with an error of O(1/steps)."""
    log_snr = np.linspace(9, -9, T)
    log_ab = -np.logaddexp(0, -log_snr)
    beta = -np.expm1(np.diff(log_ab, prepend=0.0))
    ab, om, m, s = np.exp(log_ab), -np.expm1(log_ab), 0.7, 0.3
    x_T = np.linspace(-2, 2, 9)[:, None]
    def denoiser(x, t):
        t = int(np.max(t)) - 1
        return np.sqrt(om[t]) * (x - np.sqrt(ab[t]) * m) / (ab[t] * s + om[t])
    exact = m + np.sqrt(s) * (x_T - np.sqrt(ab[-1]) * m) / np.sqrt(ab[-1] * s + om[-1])
    at_once = (x_T - np.sqrt(om[-1]) * denoiser(x_T, T)) / np.sqrt(ab[-1])
    assert_close(ddpm.ddim_sample(beta, denoiser, x_T, np.array([T])), at_once, 1e-9, 1 + abs(at_once), "x_0 in one step from T to 0")
    errors = [abs(ddpm.ddim_sample(beta, denoiser, x_T, np.arange(T, 0, -stride)[::-1].copy()) - exact).max() for stride in (8, 4, 2)]
    assert errors[2] < 0.02 and 1.6 < errors[0] / errors[1] < 2.5 and 1.6 < errors[1] / errors[2] < 2.5, \
        f"errors with strides of 8, 4, 2 are {[float(error) for error in errors]}: halving the stride does not halve them"


@given(betas(lengths=(2, 3, 5, 8)), both_variances, st.data())
def test_noised_to_t_takes_t_steps_back(ddpm, beta, variance, data):
    """An input noised to t is denoised from t: t network calls, the first at t itself."""
    t, denoiser = data.draw(st.integers(1, len(beta))), Recorder()
    ddpm.sample(beta, denoiser, np.ones((2, 2)), t, np.random.default_rng(0), variance)
    assert denoiser.times == list(range(t, 0, -1)), f"from t = {t}, asked at t = {denoiser.times}"


def test_noise_is_fresh_at_every_step(ddpm):
    """Statistical: fixed seed, 6 standard errors.  With ε̂ = 0 and T = 3 the sampler's x_0 has the variance of independent draws."""
    beta, n = np.array([0.1, 0.5, 0.4]), 50_000
    x = ddpm.sample(beta, lambda x, t: np.zeros_like(x), np.zeros((n, 2)), 3, np.random.default_rng(0), "beta")
    gains = 1 / (1 - beta)
    expected = gains[0] * (beta[1] + gains[1] * beta[2])
    assert_close(x.T @ x / n, expected * np.eye(2), 6, expected * np.sqrt((1 + np.eye(2)) / n), "covariance of x_0")
