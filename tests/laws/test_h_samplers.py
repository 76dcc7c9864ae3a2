"""H. Samplers.  Functions only, with a given noise z; one law with an oracle, one statistical."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, betas, cases, tables

both_variances = st.sampled_from(["beta", "beta_tilde"])


class Recorder:
    """A denoiser that keeps a list of the times it is evaluated at."""

    def __init__(self):
        self.times = []

    def __call__(self, x, t):
        self.times.append(int(np.max(t)))
        return 0.1 * x


@given(betas(lengths=(1, 2, 3, 5, 8)), both_variances)
def test_every_time_is_visited_once(ddpm, beta, variance):
    """The denoiser is evaluated T times, at t = T…1 (Ho, Algorithm 2)."""
    denoiser, T, rng = Recorder(), len(beta), np.random.default_rng(0)
    ddpm.sample(beta, denoiser, np.ones((2, 2)), T, rng, variance)
    expected = list(range(T, 0, -1))
    assert denoiser.times == expected, f"T = {T}, evaluated at t = {denoiser.times}"


@given(cases(smallest=1e-4), both_variances)
def test_the_last_step_adds_no_noise(ddpm, case, variance):
    """At t = 1, z is not used, even with σ² = β, which is not 0 there (Algorithm 2, line 3)."""
    zero, huge = np.zeros_like(case.eps), np.full_like(case.eps, 1e6)
    quiet = ddpm.sampler_step(case.beta, case.x_0, 1, case.eps, zero, variance)
    loud = ddpm.sampler_step(case.beta, case.x_0, 1, case.eps, huge, variance)
    assert_close(loud, quiet, 0, law="x_0 with z = 10⁶ and with z = 0")


later_cases = cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-6, first_t=2, largest_power=0)


@given(later_cases, both_variances)
def test_the_gain_of_the_noise_is_the_standard_deviation(ddpm, case, variance):
    """x_{t−1} = μ_θ + σ_t·z for t ≥ 2, with σ_t² = β_t or β̃_t (Ho 1; Algorithm 2, line 4)."""
    t, z = int(case.t[0]), np.sign(case.eps + 0.5)
    without = ddpm.sampler_step(case.beta, case.x_0, t, case.eps, 0 * z, variance)
    with_z = ddpm.sampler_step(case.beta, case.x_0, t, case.eps, z, variance)
    beta_tilde = tables(case.beta)[2]
    sigma = np.sqrt(case.beta[t - 1] if variance == "beta" else beta_tilde[t])
    mean = ddpm.p_step(case.beta, case.x_0, t, case.eps, variance)[0]
    mean = np.broadcast_to(mean, without.shape)
    assert_close(without, mean, 1e-12, abs(mean) + 1, "x_{t-1} with z = 0")
    assert_close(with_z - without, sigma * z, 1e-12, abs(mean) + 1, "σ_t·z")


@given(betas(smallest=1e-6), st.floats(0, 1), st.data())
def test_ddim_keeps_the_marginal(ddpm, beta, eta, data):
    """A step from t to s ends in q(x_s|x_0), for all η and strides (Song et al. 2021, eq 7, 12).

    The coefficient of x_0 is √ᾱ_s, (coefficient of ε)² + σ² = 1 − ᾱ_s, and ᾱ_0 = 1.
    """
    t = data.draw(st.integers(1, len(beta)))
    s = data.draw(st.integers(0, t - 1))
    log_ab, om, _ = tables(beta)
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    root_t, root_s = np.exp(log_ab[[t, s]] / 2)

    def step(x_0, eps, z):
        x_t = root_t * x_0 + np.sqrt(om[t]) * eps
        return float(np.squeeze(ddpm.ddim_step(beta, x_t, t, s, eps, eta, z)))

    of_x_0, of_eps, of_z = step(one, zero, zero), step(zero, one, zero), step(zero, zero, one)
    sigma2 = eta ** 2 * om[s] / om[t] * -np.expm1(log_ab[t] - log_ab[s])
    size = 1 + np.sqrt(om[t]) / root_t  # x̂_0 divides by √ᾱ_t
    assert_close(of_x_0, root_s, 1e-11, size, "coefficient of x_0")
    assert_close(of_z ** 2, sigma2, 1e-11, law="σ²")
    square = of_eps ** 2 + of_z ** 2
    assert_close(square, om[s], 1e-10, size, "(coefficient of ε)² + σ² = 1 − ᾱ_s")
    assert_close(of_eps, abs(of_eps), 1e-10, size, "the coefficient of ε is not negative")


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
    """Needs an oracle.  With η = 0 the error falls as 1/steps.

    DDIM then integrates an ODE.  For data N(m, s) the solution takes each quantile of x_T to the
    same quantile of x_0.
    """
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
    x_0 = ddpm.ddim_sample(beta, denoiser, x_T, np.array([T]))
    assert_close(x_0, at_once, 1e-9, 1 + abs(at_once), "x_0 in one step from T to 0")
    errors = []
    for stride in (8, 4, 2):
        times = np.arange(T, 0, -stride)[::-1].copy()
        x_0 = ddpm.ddim_sample(beta, denoiser, x_T, times)
        errors.append(float(abs(x_0 - exact).max()))
    halved = all(1.6 < before / after < 2.5 for before, after in zip(errors, errors[1:]))
    assert halved and errors[2] < 0.02, (
        f"errors with strides of 8, 4, 2 are {errors}: halving the stride does not halve them")


@given(betas(lengths=(2, 3, 5, 8)), both_variances, st.data())
def test_noised_to_t_takes_t_steps_back(ddpm, beta, variance, data):
    """An input noised to t is denoised from t on: t evaluations, the first at t itself."""
    t, denoiser = data.draw(st.integers(1, len(beta))), Recorder()
    ddpm.sample(beta, denoiser, np.ones((2, 2)), t, np.random.default_rng(0), variance)
    expected = list(range(t, 0, -1))
    assert denoiser.times == expected, f"from t = {t}, evaluated at t = {denoiser.times}"


def test_noise_is_fresh_at_every_step(ddpm):
    """With ε̂ = 0 and T = 3 the sampler's x_0 has the variance of independent draws.

    Statistical: fixed seed, 6 standard errors.
    """
    beta, n, rng = np.array([0.1, 0.5, 0.4]), 50_000, np.random.default_rng(0)
    x = ddpm.sample(beta, lambda x, t: np.zeros_like(x), np.zeros((n, 2)), 3, rng, "beta")
    gains = 1 / (1 - beta)
    expected = gains[0] * (beta[1] + gains[1] * beta[2])
    error = expected * np.sqrt((1 + np.eye(2)) / n)
    assert_close(x.T @ x / n, expected * np.eye(2), 6, error, "covariance of x_0")
