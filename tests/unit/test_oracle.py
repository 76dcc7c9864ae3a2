"""The oracle against dense formulas in three dimensions, where no axes of an ellipsoid are their own transpose."""
import numpy as np
import pytest

from tinyddpm import FiniteData, Mixture, ancestral_sampling, cosine, final_sample, linear, oracle, reverse, simple_weights
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
    return -0.5 * (np.einsum("bi,ij,bj->b", d, np.linalg.inv(covariance), d) + np.log(np.linalg.det(2 * np.pi * covariance)))


def dense_log_q(x, t):
    """log q(x_t) of MIXTURE, its weights by hand; t = 0 is the data."""
    ab, om = SCHEDULE.alpha_bar[t], SCHEDULE.one_minus_alpha_bar[t]
    return np.log(sum(weight * np.exp(dense_log_prob(x, np.sqrt(ab) * mean, ab * covariance + om * np.eye(3)))
                      for weight, mean, covariance in zip([2 / 9, 6 / 9, 1 / 9], MIXTURE.means, COVARIANCES)))


def noised(data, t):
    """q(x_t) as a mixture of its own."""
    ab, om = SCHEDULE.alpha_bar[t], SCHEDULE.one_minus_alpha_bar[t]
    return Mixture(data.weights, np.sqrt(ab) * data.means, ab * data.covariances + om * np.eye(data.dimensions))


def test_the_axes_here_are_not_their_own_transpose():
    assert (abs(MIXTURE.axes - MIXTURE.axes.swapaxes(1, 2)).max((1, 2)) > 0.1).all()
    assert MIXTURE.covariances == pytest.approx(COVARIANCES) and MIXTURE.weights.sum() == pytest.approx(1)


def test_densities_and_denoisers_are_the_dense_formulas():
    """log p, log q and ε* = −√(1 − ᾱ)·∇ log q, the gradient by differences of the dense density."""
    x, h = RNG.standard_normal((4, 3)), 1e-5
    assert MIXTURE.log_prob(x) == pytest.approx(dense_log_q(x, 0))
    for t in (1, 20, 50):
        assert MIXTURE.log_q(SCHEDULE, x, t) == pytest.approx(dense_log_q(x, t))
        slope = np.stack([(dense_log_q(x + h * e, t) - dense_log_q(x - h * e, t)) / (2 * h) for e in np.eye(3)], 1)
        eps = -np.sqrt(SCHEDULE.one_minus_alpha_bar[t]) * slope
        assert MIXTURE.denoiser(SCHEDULE)(x, t) == pytest.approx(eps, abs=1e-7)


def test_samples_have_the_moments_and_the_weights():
    """Statistical: fixed seed, 200,000 draws."""
    x = MIXTURE.sample(np.random.default_rng(0), 200_000)
    assert x.mean(0) == pytest.approx(MIXTURE.mean, abs=0.02) and np.cov(x.T) == pytest.approx(MIXTURE.covariance, abs=0.03)
    assert MIXTURE.log_prob(x).mean() == pytest.approx(-MIXTURE.entropy(fineness=1), abs=0.02)


def test_moments_by_quadrature():
    """On a lattice of one point to a standard deviation: the trapezoid rule is off by 2·exp(−2π²) = 5e-9."""
    a = np.array([1.0, 2, -1])
    for f, expected in [(lambda x: 0 * x[:, 0] + 1, 1), (lambda x: x @ a, a @ MIXTURE.mean),
                        (lambda x: (x @ a) ** 2, a @ MIXTURE.covariance @ a + (a @ MIXTURE.mean) ** 2)]:
        assert MIXTURE.expect(f, fineness=1) == pytest.approx(expected, abs=1e-6)
    entropy = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * COVARIANCES[0]))
    assert TILTED.entropy(fineness=1) == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize("t", [1, 20, 50])
def test_least_errors_are_what_is_left_of_the_square(t):
    """E‖x_0 − E[x_0|x_t]‖² = E‖x_0‖² − E‖E[x_0|x_t]‖²; for a Gaussian the trace of (S⁻¹ + ᾱ/(1 − ᾱ))⁻¹, too."""
    for data in (MIXTURE, TILTED):
        x_0 = lambda x: x_0_from_eps(SCHEDULE, x, t, data.denoiser(SCHEDULE)(x, t))
        explained = noised(data, t).expect(lambda x: (x_0(x) ** 2).sum(1), fineness=1)
        square = np.trace(data.covariance) + data.mean @ data.mean
        assert data.error(SCHEDULE, t, fineness=1) == pytest.approx(square - explained, abs=1e-6)
    precision = np.linalg.inv(COVARIANCES[0]) + SCHEDULE.snr[t] * np.eye(3)
    assert TILTED.error(SCHEDULE, t) == pytest.approx(np.trace(np.linalg.inv(precision)))


@both_variances
def test_the_chain_is_the_recursion_of_dense_matrices(variance):
    """x ↦ A·x + b is read off Ho 11 with the exact denoiser; m ← A·m + b, P ← A·P·Aᵀ + σ²; no noise at the end."""
    mean, covariance = oracle.gaussian_chain(SCHEDULE, TILTED, variance)
    sigma2, denoiser, m, P = variance_table(SCHEDULE, variance), TILTED.denoiser(SCHEDULE), np.zeros(3), np.eye(3)
    for t in range(50, 0, -1):
        move = lambda x: mean_from_eps(SCHEDULE, x, t, denoiser(x, t))
        b = move(np.zeros((1, 3)))[0]
        A = (move(np.eye(3)) - b).T
        m, P = A @ m + b, A @ P @ A.T + (sigma2[t] if t > 1 else 0) * np.eye(3)
        assert mean[t - 1] == pytest.approx(m) and covariance[t - 1] == pytest.approx(P)
    x = RNG.standard_normal((4, 3))
    likelihood = oracle.gaussian_log_likelihood(SCHEDULE, TILTED, x, variance)
    assert likelihood == pytest.approx(dense_log_prob(x, m, P + sigma2[1] * np.eye(3)))


@both_variances
def test_expected_terms_are_the_mean_of_the_items(variance):
    """E over the data of `gaussian_terms`, a quadratic, is its mean over m ± √D·σ along each axis: `optimal_terms`."""
    for data in (TILTED, GAUSSIAN):
        D = data.dimensions
        reach = np.sqrt(D) * np.linalg.cholesky(data.covariance).T
        items = oracle.gaussian_terms(SCHEDULE, data, np.concatenate([data.mean + reach, data.mean - reach]), variance)
        assert items.mean(0) == pytest.approx(data.optimal_terms(SCHEDULE, variance), rel=1e-12)


def test_finite_data_is_a_mixture_of_points():
    """Components of zero covariance and equal weight; each item with its own t, or one t for all; in the dtype of x."""
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
    (lambda: Mixture([1], [[0.0]], [[[-1.0]]]), "no negative eigenvalue"), (lambda: Mixture([1], [0.0], [[[1.0]]]), r"\(K, D\)"),
    (lambda: Mixture([1], [[0.0]], [[[0.0]]]).log_prob(np.zeros((1, 1))), "no density"),
    (lambda: Mixture([1, 1], 99 * np.eye(3)[:2], np.stack([np.eye(3)] * 2) * 1e-4).entropy(), "lattice of"),
    (lambda: oracle.gaussian_chain(SCHEDULE, MIXTURE), "3 components"),
    (lambda: FiniteData(np.zeros((0, 2))), "one finite point"), (lambda: FiniteData([[np.nan]]), "one finite point")])
def test_what_has_no_answer_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_excess_is_the_gap():
    """Statistical: the orthogonality gap of a spoiled denoiser against its closed form; fixed seed, 6 standard errors."""
    schedule, exact = cosine(20), GAUSSIAN.denoiser(cosine(20))
    gap, error = oracle.excess(schedule, lambda x, t: exact(x, t) + 0.1, GAUSSIAN, np.random.default_rng(0), n=100)
    assert gap == pytest.approx(simple_weights(schedule).sum() * 2 * 0.01, rel=1e-9) and error < 1e-9


def test_with_the_exact_reverse_variance_only_the_prior_mismatch_is_left():
    """Round Gaussian data, σ_t² = β̃_t + c_0²·Var(x_0|x_t): E[log p_θ] + entropy = −KL(q(x_T) ‖ N(0, I)), for every T."""
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
    mean, covariance = oracle.gaussian_chain(schedule, GAUSSIAN)
    x = final_sample(ancestral_sampling(schedule, GAUSSIAN.denoiser(schedule), rng.standard_normal((20000, 2)), rng))
    assert (abs(x.mean(0) - mean[0]) < 6 * np.sqrt(np.diag(covariance[0]) / 20000)).all()
    spread = np.sqrt((covariance[0] ** 2 + np.outer(*[np.diag(covariance[0])] * 2)) / 20000)
    assert (abs(np.cov(x.T) - covariance[0]) < 6 * spread).all()


def test_scores_are_gradients_of_the_noised_density():
    """ε* = −√(1 − ᾱ_t)·∇ log q_t, for mixtures and finite data, each item with its own t."""
    schedule, rng = cosine(50), np.random.default_rng(0)
    x, t, h = rng.standard_normal((3, 2)), np.array([1, 20, 50]), 1e-5
    for data in (toy("moons"), FiniteData(rng.standard_normal((7, 2)))):
        slope = [(data.log_q(schedule, x + h * e, t) - data.log_q(schedule, x - h * e, t)) / (2 * h) for e in np.eye(2)]
        eps = -np.sqrt(schedule.one_minus_alpha_bar[t])[:, None] * np.stack(slope, 1)
        assert data.denoiser(schedule)(x, t) == pytest.approx(eps, rel=1e-5, abs=1e-5)


def test_ideal_denoiser_returns_its_data():
    """What a network that learned the digits by heart would do: every sample is one of them."""
    images = from_levels(mnist().train[:20]).astype(float)
    schedule, rng = cosine(50), np.random.default_rng(0)
    x = final_sample(ancestral_sampling(schedule, FiniteData(images).denoiser(schedule), rng.standard_normal((5, 28, 28)), rng))
    assert (abs(x[:, None] - images).max((2, 3)).min(1) < 1e-6).all()


def test_samples_would_not_show_it_and_the_exact_chain_does():
    """Starting at T − 1, stopping at t = 2, 1e-5 in a denominator: at 100,000 samples each moves the mean and the standard
    deviation of x_0 by less than two standard errors, and each is plain beside the chain's round-off of 1e-9."""
    schedule, n = linear(1000), 100_000

    def chain(first=1000, last=1, nudge=0.0):
        mean, var = 0.0, 1.0
        for t in range(first, last - 1, -1):
            probe = np.array([[0.0], [1.0]])
            eps = DATA_1D.denoiser(schedule)(probe, t)
            p = reverse.reverse_step(schedule, reverse.predict(schedule, lambda x, t: eps, probe, t), "beta")
            at = schedule.coefficients_at(t, probe)
            nudged = np.sqrt(at.one_minus_alpha_bar + nudge)
            x = p.mean + at.beta * (1 / np.sqrt(at.one_minus_alpha_bar) - 1 / nudged) * eps / np.sqrt(at.alpha)
            gain = x[1, 0] - x[0, 0]
            mean, var = gain * mean + x[0, 0], gain ** 2 * var + (schedule.beta[t] if t > 1 else 0)
        return mean, np.sqrt(var)

    mean, std = chain()
    exact_mean, exact_var = oracle.gaussian_chain(schedule, DATA_1D)
    assert mean == pytest.approx(exact_mean[0, 0], abs=1e-9) and std ** 2 == pytest.approx(exact_var[0, 0, 0], abs=1e-9)
    for broken in (chain(first=999), chain(last=2), chain(nudge=1e-5)):
        assert abs(broken[0] - mean) < 2 * std / np.sqrt(n) and abs(broken[1] - std) < 2 * std / np.sqrt(2 * n)
        assert max(abs(broken[0] - mean), abs(broken[1] - std)) > 1e-8
