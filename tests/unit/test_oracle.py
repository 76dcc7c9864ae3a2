"""The oracle against dense formulas in three dimensions.

There the matrices of eigenvectors are not symmetric, so that a transpose too few would be seen.
"""
import numpy as np
import pytest

from tinyddpm import (
    FiniteData,
    Mixture,
    ancestral_sampling,
    cosine,
    final_sample,
    linear,
    linear_chain,
    oracle,
    prior_term,
    reverse,
    simple_weights,
    step_term,
)
from tinyddpm.app.digits import mnist
from tinyddpm.decoder import from_levels
from tinyddpm.reverse import mean_from_eps, variance_table, x_0_from_eps
from tinyddpm.toys import toy

SCHEDULE = linear(50)
RNG = np.random.default_rng(0)
TURNS = np.linalg.qr(RNG.standard_normal((3, 3, 3)))[0]
COVARIANCES = np.einsum("kid,kd,kjd->kij", TURNS, RNG.uniform(0.4, 1.5, (3, 3)), TURNS)
MIXTURE = Mixture([2, 6, 1], RNG.standard_normal((3, 3)), COVARIANCES)
TILTED = Mixture([1], [[0.5, -1, 2]], COVARIANCES[:1])
GAUSSIAN = Mixture([1], [[0.5, -0.3]], [[[1.0, 0.4], [0.4, 0.3]]])
DATA_1D = Mixture([1], [[0.5]], [[[0.3]]])
both_variances = pytest.mark.parametrize("variance", ["beta", "beta_tilde"])


def dense_log_prob(x, mean, covariance):
    """log N(x; mean, covariance) as it is written down, with an inverse and a determinant."""
    d = x - mean
    square = np.einsum("bi,ij,bj->b", d, np.linalg.inv(covariance), d)
    return -0.5 * (square + np.log(np.linalg.det(2 * np.pi * covariance)))


def dense_log_q(x, t):
    """log q(x_t) of MIXTURE, its weights by hand; t = 0 is the data."""
    ab, om = SCHEDULE.alpha_bar[t], SCHEDULE.one_minus_alpha_bar[t]
    density = 0.0
    for weight, mean, covariance in zip([2 / 9, 6 / 9, 1 / 9], MIXTURE.means, COVARIANCES):
        spread = ab * covariance + om * np.eye(3)
        density = density + weight * np.exp(dense_log_prob(x, np.sqrt(ab) * mean, spread))
    return np.log(density)


def noised(data, t):
    """q(x_t) as a mixture of its own."""
    ab, om = SCHEDULE.alpha_bar[t], SCHEDULE.one_minus_alpha_bar[t]
    covariances = ab * data.covariances + om * np.eye(data.dimensions)
    return Mixture(data.weights, np.sqrt(ab) * data.means, covariances)


def test_the_axes_here_are_not_their_own_transpose():
    assert (abs(MIXTURE.axes - MIXTURE.axes.swapaxes(1, 2)).max((1, 2)) > 0.1).all()
    assert MIXTURE.covariances == pytest.approx(COVARIANCES)
    assert MIXTURE.weights.sum() == pytest.approx(1)


def gradient(f, x, h=1e-5):
    """∇f at each x, (B, D), by central differences; f: (B, D) → (B,)."""
    steps = h * np.eye(x.shape[1])
    return np.stack([(f(x + step) - f(x - step)) / (2 * h) for step in steps], 1)


def test_densities_and_denoisers_are_the_dense_formulas():
    """log p, log q and ε* = −√(1 − ᾱ)·∇ log q, the gradient by differences of the dense density."""
    x = RNG.standard_normal((4, 3))
    assert MIXTURE.log_prob(x) == pytest.approx(dense_log_q(x, 0))
    for t in (1, 20, 50):
        assert MIXTURE.log_q(SCHEDULE, x, t) == pytest.approx(dense_log_q(x, t))
        score = gradient(lambda x, t=t: dense_log_q(x, t), x)
        eps = -np.sqrt(SCHEDULE.one_minus_alpha_bar[t]) * score
        assert MIXTURE.denoiser(SCHEDULE)(x, t) == pytest.approx(eps, abs=1e-7)


def test_samples_have_the_moments_and_the_weights():
    """Statistical: fixed seed, 200,000 draws."""
    x = MIXTURE.sample(np.random.default_rng(0), 200_000)
    assert x.mean(0) == pytest.approx(MIXTURE.mean, abs=0.02)
    assert np.cov(x.T) == pytest.approx(MIXTURE.covariance, abs=0.03)
    assert MIXTURE.log_prob(x).mean() == pytest.approx(-MIXTURE.entropy(fineness=1), abs=0.02)


def test_moments_by_quadrature():
    """With one point to a standard deviation the trapezoid rule is off by 2·exp(−2π²) = 5e-9."""
    a = np.array([1.0, 2, -1])
    square = a @ MIXTURE.covariance @ a + (a @ MIXTURE.mean) ** 2
    for f, expected in [(lambda x: 0 * x[:, 0] + 1, 1), (lambda x: x @ a, a @ MIXTURE.mean),
                        (lambda x: (x @ a) ** 2, square)]:
        assert MIXTURE.expect(f, fineness=1) == pytest.approx(expected, abs=1e-6)
    entropy = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * COVARIANCES[0]))
    assert TILTED.entropy(fineness=1) == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize("t", [1, 20, 50])
def test_least_errors_are_what_is_left_of_the_square(t):
    """E‖x_0 − E[x_0|x_t]‖² = E‖x_0‖² − E‖E[x_0|x_t]‖².

    For a Gaussian it is also the trace of (S⁻¹ + ᾱ/(1 − ᾱ))⁻¹.
    """
    for data in (MIXTURE, TILTED):
        def square_of_the_guess(x, data=data):
            x_0 = x_0_from_eps(SCHEDULE, x, t, data.denoiser(SCHEDULE)(x, t))
            return (x_0 ** 2).sum(1)

        explained = noised(data, t).expect(square_of_the_guess, fineness=1)
        square = np.trace(data.covariance) + data.mean @ data.mean
        assert data.error(SCHEDULE, t, fineness=1) == pytest.approx(square - explained, abs=1e-6)
    precision = np.linalg.inv(COVARIANCES[0]) + SCHEDULE.snr[t] * np.eye(3)
    assert TILTED.error(SCHEDULE, t) == pytest.approx(np.trace(np.linalg.inv(precision)))


@both_variances
def test_the_chain_is_the_recursion_of_dense_matrices(variance):
    """Ho 11 with the exact denoiser is x ↦ A·x + b; so m ← A·m + b and P ← A·P·Aᵀ + σ².

    In the last step no noise is added.
    """
    mean, covariance = linear_chain.gaussian_chain(SCHEDULE, TILTED, variance)
    sigma2, denoiser = variance_table(SCHEDULE, variance), TILTED.denoiser(SCHEDULE)
    m, P = np.zeros(3), np.eye(3)
    probe = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    for t in range(50, 0, -1):
        moved = mean_from_eps(SCHEDULE, probe, t, denoiser(probe, t))
        b = moved[0]
        A = (moved[1:] - b).T
        m, P = A @ m + b, A @ P @ A.T + (sigma2[t] if t > 1 else 0) * np.eye(3)
        assert mean[t - 1] == pytest.approx(m) and covariance[t - 1] == pytest.approx(P)
    x = RNG.standard_normal((4, 3))
    likelihood = linear_chain.gaussian_log_likelihood(SCHEDULE, TILTED, x, variance)
    assert likelihood == pytest.approx(dense_log_prob(x, m, P + sigma2[1] * np.eye(3)))


def affine(x, t):
    """A denoiser that is affine in each of two coordinates, and far from the best one."""
    return x * [0.9, 0.2 + 0.1 * t] + [0.3, -0.5]


def dense_path_kl(schedule, x_0, gain, offset, var):
    """KL(q(x_{1:T}|x_0) ‖ p(x_{1:T}|x_0)), and log p(x_0), in one dimension, by T × T matrices.

    p(x_0, …, x_T) has the precision matrix of x_T ~ N(0, 1) and of the residuals
    x_{t−1} − gain·x_t − offset; x_{1:T} under q is a triangular matrix times the noises.
    """
    T = schedule.T
    precision, pull = np.zeros((T + 1, T + 1)), np.zeros(T + 1)
    precision[T, T] = 1
    q_mean, factor = np.zeros(T + 1), np.zeros((T + 1, T))  # x = q_mean + factor @ noises
    q_mean[0] = x_0
    for t in range(1, T + 1):
        residual = np.zeros(T + 1)
        residual[t - 1], residual[t] = 1, -gain[t]
        precision += np.outer(residual, residual) / var[t]
        pull += residual * offset[t] / var[t]
        q_mean[t] = np.sqrt(schedule.alpha[t]) * q_mean[t - 1]
        factor[t] = np.sqrt(schedule.alpha[t]) * factor[t - 1]
        factor[t, t - 1] = np.sqrt(schedule.beta[t])
    covariance = np.linalg.inv(precision)
    log_p = dense_log_prob(np.array([[x_0]]), covariance[:1] @ pull, covariance[:1, :1])[0]
    p_mean = np.linalg.solve(precision[1:, 1:], pull[1:] - precision[1:, 0] * x_0)
    q_cov, far = factor[1:] @ factor[1:].T, p_mean - q_mean[1:]
    trace = np.trace(precision[1:, 1:] @ q_cov) - T
    log_determinants = np.linalg.slogdet(precision[1:, 1:])[1] + np.linalg.slogdet(q_cov)[1]
    return 0.5 * (trace - log_determinants + far @ precision[1:, 1:] @ far), log_p


@both_variances
@pytest.mark.parametrize("T", [1, 2, 3, 8])
def test_path_kl_is_the_likelihood_minus_the_bound(T, variance):
    """The KL, log p_θ(x_0) and the ELBO, each computed by itself (2.1).

    The KL and log p_θ by dense matrices; each L_{t−1} by a sum over four Gauss–Hermite nodes,
    which is exact, as the terms of an affine denoiser are quadratic in ε.
    """
    schedule, x_0 = cosine(T), np.array([[0.7, -1.2], [2.0, 0.0]])
    sigma2 = variance_table(schedule, variance)
    z, weight = np.polynomial.hermite_e.hermegauss(4)
    weight = weight / weight.sum()
    probe = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = linear_chain.path_kl(schedule, affine, x_0, variance)
    assert found.shape == (2, T + 1)
    for item, total in zip(x_0, found.sum(1)):
        kl, log_p = 0.0, 0.0
        for d in range(2):
            gain, offset = np.zeros((2, T + 1))
            for t in range(1, T + 1):
                mean = mean_from_eps(schedule, probe, t, affine(probe, t))[:, d]
                gain[t], offset[t] = mean[1] - mean[0], mean[0]
            of_one, log_p_of_one = dense_path_kl(schedule, item[d], gain, offset, sigma2)
            kl, log_p = kl + of_one, log_p + log_p_of_one
        tiled, eps = np.tile(item, (4, 1)), np.tile(z[:, None], 2)
        elbo = -prior_term(schedule, item[None])[0]
        for t in range(1, T + 1):
            elbo -= weight @ step_term(schedule, affine, tiled, t, eps, variance)
        assert total == pytest.approx(kl, rel=1e-9)
        assert total == pytest.approx(log_p - elbo, rel=1e-9)


@both_variances
def test_path_kl_of_the_exact_denoiser(variance):
    """For Gaussian data log p_θ(x_0) and the ELBO are recursions; their difference is the KL."""
    x_0 = np.array([[0.5], [-1.0], [3.0]])
    for T in (1, 30, 1000):
        schedule = cosine(T)
        found = linear_chain.path_kl(schedule, DATA_1D.denoiser(schedule), x_0, variance).sum(1)
        log_p = linear_chain.gaussian_log_likelihood(schedule, DATA_1D, x_0, variance)
        elbo = -linear_chain.gaussian_terms(schedule, DATA_1D, x_0, variance).sum(1)
        assert found == pytest.approx(log_p - elbo, abs=1e-9)


def test_the_kl_of_paths_vanishes_where_the_model_is_the_reverse_of_q():
    """For N(0, 1) and σ_t² = β_t, p_θ(x_t|x_{t−1}) is q(x_t|x_{t−1}): every term is 0."""
    normal, x_0 = Mixture([1], [[0.0]], [[[1.0]]]), np.array([[-2.0], [0.3]])
    terms = linear_chain.path_kl(SCHEDULE, normal.denoiser(SCHEDULE), x_0)
    assert terms == pytest.approx(0, abs=1e-12)


@both_variances
def test_expected_terms_are_the_mean_of_the_items(variance):
    """The expectation of `gaussian_terms` over the data is `optimal_terms`.

    The terms are quadratic in x_0, so their mean over m ± √D·σ along each axis is exact.
    """
    for data in (TILTED, GAUSSIAN):
        D = data.dimensions
        reach = np.sqrt(D) * np.linalg.cholesky(data.covariance).T
        x_0 = np.concatenate([data.mean + reach, data.mean - reach])
        items = linear_chain.gaussian_terms(SCHEDULE, data, x_0, variance)
        assert items.mean(0) == pytest.approx(data.optimal_terms(SCHEDULE, variance), rel=1e-12)


def test_finite_data_is_a_mixture_of_points():
    """Components of zero covariance and equal weight, for one t or a t for each item."""
    points, x = RNG.standard_normal((5, 3)), RNG.standard_normal((4, 3))
    finite, mixture = FiniteData(points), Mixture(np.ones(5), points, np.zeros((5, 3, 3)))
    for t in (9, np.array([3, 9, 20, 50])):
        assert finite.log_q(SCHEDULE, x, t) == pytest.approx(mixture.log_q(SCHEDULE, x, t))
        assert finite.denoiser(SCHEDULE)(x, t) == pytest.approx(mixture.denoiser(SCHEDULE)(x, t))
    for data in (finite, mixture):
        assert data.denoiser(SCHEDULE)(x.astype(np.float32), 9).dtype == np.float32


@pytest.mark.parametrize("make, message", [
    (lambda: Mixture([1, 0], np.zeros((2, 1)), np.ones((2, 1, 1))), "positive"),
    (lambda: Mixture([1], [[0.0, 0]], [[[1.0, 0.5], [0, 1]]]), "symmetric"),
    (lambda: Mixture([1], [[0.0]], [[[-1.0]]]), "no negative eigenvalue"),
    (lambda: Mixture([1], [0.0], [[[1.0]]]), r"\(K, D\)"),
    (lambda: Mixture([1], [[0.0]], [[[0.0]]]).log_prob(np.zeros((1, 1))), "no density"),
    (lambda: Mixture([1, 1], 99 * np.eye(3)[:2], [1e-4 * np.eye(3)] * 2).entropy(), "lattice of"),
    (lambda: linear_chain.gaussian_chain(SCHEDULE, MIXTURE), "3 components"),
    (lambda: linear_chain.path_kl(SCHEDULE, lambda x, t: x ** 3, np.zeros((1, 1))), "affine"),
    (lambda: linear_chain.path_kl(SCHEDULE, lambda x, t: x[:, ::-1], np.zeros((1, 2))), "affine"),
    (lambda: FiniteData(np.zeros((0, 2))), "one finite point"),
    (lambda: FiniteData([[np.nan]]), "one finite point")])
def test_what_has_no_answer_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_excess_is_the_gap():
    """For a denoiser that is off by 0.1 everywhere the gap has a closed form."""
    schedule, exact, rng = cosine(20), GAUSSIAN.denoiser(cosine(20)), np.random.default_rng(0)
    gap, error = oracle.excess(schedule, lambda x, t: exact(x, t) + 0.1, GAUSSIAN, rng, n=100)
    expected = simple_weights(schedule).sum() * 2 * 0.01
    assert gap == pytest.approx(expected, rel=1e-9) and error < 1e-9


def test_with_the_exact_reverse_variance_only_the_prior_mismatch_is_left():
    """E[log p_θ] + entropy = −KL(q(x_T) ‖ N(0, I)) for every T (Bao et al. 2022).

    For Gaussian data of equal variances, with σ_t² = β̃_t + c_0²·Var(x_0|x_t).
    """
    data, mean, var = Mixture([1], [[0.6, -0.2]], [0.25 * np.eye(2)]), np.array([0.6, -0.2]), 0.25
    for schedule in (linear(3, scaled=False), cosine(7), linear(40)):
        error = [0] + [data.error(schedule, t) for t in range(1, schedule.T + 1)]
        total = data.optimal_terms(schedule, oracle.optimal_variance(schedule, error, 2)).sum()
        ab, om = schedule.alpha_bar[-1], schedule.one_minus_alpha_bar[-1]
        v = ab * var + om
        mismatch = 0.5 * (2 * (v - 1 - np.log(v)) + ab * mean @ mean)
        assert total - data.entropy() == pytest.approx(mismatch, abs=1e-9)


def test_gaussian_chain_is_what_the_sampler_does():
    """Statistical: 20,000 samples at fixed seed, 6 standard errors; exact in the laws."""
    schedule, rng = cosine(30), np.random.default_rng(0)
    mean, covariance = linear_chain.gaussian_chain(schedule, GAUSSIAN)
    denoiser, x_T = GAUSSIAN.denoiser(schedule), rng.standard_normal((20000, 2))
    x = final_sample(ancestral_sampling(schedule, denoiser, x_T, rng))
    assert (abs(x.mean(0) - mean[0]) < 6 * np.sqrt(np.diag(covariance[0]) / 20000)).all()
    spread = np.sqrt((covariance[0] ** 2 + np.outer(*[np.diag(covariance[0])] * 2)) / 20000)
    assert (abs(np.cov(x.T) - covariance[0]) < 6 * spread).all()


def test_scores_are_gradients_of_the_noised_density():
    """ε* = −√(1 − ᾱ_t)·∇ log q_t, Tweedie's formula (Luo 133 and 151), by differences.

    For mixtures and finite data, each item with its own t.
    """
    schedule, rng = cosine(50), np.random.default_rng(0)
    x, t = rng.standard_normal((3, 2)), np.array([1, 20, 50])
    for data in (toy("moons"), FiniteData(rng.standard_normal((7, 2)))):
        score = gradient(lambda x, data=data: data.log_q(schedule, x, t), x)
        eps = -np.sqrt(schedule.one_minus_alpha_bar[t])[:, None] * score
        assert data.denoiser(schedule)(x, t) == pytest.approx(eps, rel=1e-5, abs=1e-5)


def test_ideal_denoiser_returns_its_data():
    """Every sample is an image of the data set, as with a network that has memorised it."""
    images = from_levels(mnist().train[:20]).astype(float)
    schedule, rng = cosine(50), np.random.default_rng(0)
    denoiser, x_T = FiniteData(images).denoiser(schedule), rng.standard_normal((5, 28, 28))
    x = final_sample(ancestral_sampling(schedule, denoiser, x_T, rng))
    assert (abs(x[:, None] - images).max((2, 3)).min(1) < 1e-6).all()


def test_samples_would_not_show_it_and_the_exact_chain_does():
    """Starting at T − 1, stopping at t = 2, adding 1e-5 in a denominator: three small bugs.

    Each moves the mean and the standard deviation of x_0 by less than two standard errors of
    100,000 samples, and by far more than the exact chain's round-off of 1e-9.
    """
    schedule, n = linear(1000), 100_000
    exact = DATA_1D.denoiser(schedule)

    def chain(first=1000, last=1, added=0.0):
        mean, var = 0.0, 1.0
        for t in range(first, last - 1, -1):
            probe = np.array([[0.0], [1.0]])
            prediction = reverse.predict(schedule, exact, probe, t)
            at = schedule.coefficients_at(t, probe)
            om = at.one_minus_alpha_bar
            wrong_share = at.beta * (1 / np.sqrt(om) - 1 / np.sqrt(om + added))
            x = reverse.reverse_step(schedule, prediction, "beta").mean
            x = x + wrong_share * prediction.eps / np.sqrt(at.alpha)
            gain = x[1, 0] - x[0, 0]
            mean = gain * mean + x[0, 0]
            var = gain ** 2 * var + (schedule.beta[t] if t > 1 else 0)
        return mean, np.sqrt(var)

    mean, std = chain()
    exact_mean, exact_var = linear_chain.gaussian_chain(schedule, DATA_1D)
    assert mean == pytest.approx(exact_mean[0, 0], abs=1e-9)
    assert std ** 2 == pytest.approx(exact_var[0, 0, 0], abs=1e-9)
    for wrong_mean, wrong_std in (chain(first=999), chain(last=2), chain(added=1e-5)):
        assert abs(wrong_mean - mean) < 2 * std / np.sqrt(n)
        assert abs(wrong_std - std) < 2 * std / np.sqrt(2 * n)
        assert max(abs(wrong_mean - mean), abs(wrong_std - std)) > 1e-8
