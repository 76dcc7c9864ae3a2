"""The ledger and the losses against the oracle, and the facts that only a ledger can tell."""
import warnings

import numpy as np
import pytest
from autograd import grad

from tinyddpm import (Gaussian, Ledger, Mixture, cosine, diffuse, elbo, first_form_terms, forward, hybrid_loss, ledger, linear,
                      log_snr_uniform, oracle, reverse, simple_loss, simple_weights, step_term, v_loss, vlb_loss)
from tinyddpm.app.digits import mnist
from tinyddpm.decoder import from_levels, level_log_prob
from tinyddpm.toys import toy

GAUSSIAN = Mixture([1], [[0.5, -0.3]], [[[1.0, 0.4], [0.4, 0.3]]])
both_variances = pytest.mark.parametrize("variance", ["beta", "beta_tilde"])


def quadrature_terms(schedule, data, x_0, variance, nodes=6):
    """The ledger of one x_0 (1, 2) by Gauss–Hermite over ε: exact where the denoiser is affine."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    eps = np.stack(np.meshgrid(z, z), -1).reshape(-1, 2)
    weight = np.outer(w, w).ravel() / w.sum() ** 2
    terms = [weight @ step_term(schedule, data.denoiser(schedule), np.repeat(x_0, len(eps), 0), t, eps, variance)
             for t in range(1, schedule.T + 1)]
    return np.array(terms + [elbo.prior_term(schedule, x_0)[0]])


@both_variances
@pytest.mark.parametrize("schedule", [linear(50), cosine(30), log_snr_uniform(20), linear(1, scaled=False)])
def test_gaussian_ledger_is_the_closed_form(schedule, variance):
    """Every term of every item to 1e-9, and ELBO ≤ log p_θ(x_0), which is exact, too."""
    for x_0 in (np.array([[0.2, 1.0]]), np.array([[-2.0, 0.0]])):
        exact = oracle.gaussian_terms(schedule, GAUSSIAN, x_0, variance)[0]
        assert quadrature_terms(schedule, GAUSSIAN, x_0, variance) == pytest.approx(exact, abs=1e-9, rel=1e-9)
        assert -exact.sum() <= oracle.gaussian_log_likelihood(schedule, GAUSSIAN, x_0, variance)[0] + 1e-9


@both_variances
@pytest.mark.parametrize("schedule", [cosine(6), linear(30)])
def test_mixture_ledger_is_the_exact_one(schedule, variance):
    """The ledger's terms, integrated over x_0 and ε, against the exact terms, integrated over x_t: to 1e-9."""
    data, nodes = Mixture([1, 2], [[-0.5], [0.4]], [[[0.5]], [[0.6]]]), 60
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    eps, weight = np.tile(z, nodes)[:, None], np.outer(w, w).ravel() / w.sum() ** 2
    terms = np.zeros(schedule.T + 1)
    for share, mean, var in zip(data.weights, data.means, data.variances):
        x_0 = mean + np.sqrt(var) * np.repeat(z, nodes)[:, None]
        terms += share * np.array([weight @ step_term(schedule, data.denoiser(schedule), x_0, t, eps, variance)
                                   for t in range(1, schedule.T + 1)] + [weight @ elbo.prior_term(schedule, x_0)])
    assert terms == pytest.approx(data.optimal_terms(schedule, variance, fineness=6), abs=1e-9)


def test_the_first_form_is_noisy_by_column_and_not_along_a_path():
    """Statistical: fixed seed, 500 items; half the columns have over 5 times the ledger's standard error, the sum a smaller."""
    data, schedule, rng = toy("eight_gaussians"), log_snr_uniform(50), np.random.default_rng(0)
    x_0, denoiser = data.sample(rng, 500), data.denoiser(log_snr_uniform(50))
    second = ledger(schedule, denoiser, x_0, rng)
    first = first_form_terms(schedule, denoiser, x_0, rng)
    assert np.median(elbo.mean_and_error(first)[1][1:-1] / second.per_t()[1][1:-1]) > 5
    assert elbo.mean_and_error(first.sum(1))[1] < second.elbo[1]


@both_variances
@pytest.mark.parametrize("T", [1, 2, 5])
def test_the_first_form_is_the_path_s_densities(T, variance):
    """Σ of its columns = log q(x_{1:T} | x_0) − log p(x_{0:T}) along the very path it drew, column by column (Luo 37–44)."""
    schedule, x_0 = linear(T, scaled=False), np.array([[0.4, -1.0], [1.0, 0.2]])
    denoiser, rng = lambda x, t: 0.3 * x + 0.1, np.random.default_rng(0)
    path = [x_0]
    for t in range(1, T + 1):
        path.append(forward.forward_step(schedule, path[-1], t).sample(rng.standard_normal(x_0.shape)))
    p = [reverse.reverse_step(schedule, reverse.predict(schedule, denoiser, path[t], t), variance).log_prob(path[t - 1]) for t in range(1, T + 1)]
    q = [forward.forward_step(schedule, path[t - 1], t).log_prob(path[t]) for t in range(1, T + 1)]
    last = Gaussian(np.zeros((2, 2)), np.ones(())).log_prob(path[T])
    columns = np.stack([-p[0], *(q[t - 1] - p[t] for t in range(1, T)), q[-1] - last], 1)
    assert first_form_terms(schedule, denoiser, x_0, np.random.default_rng(0), variance) == pytest.approx(columns, rel=1e-12)
    decoded = first_form_terms(schedule, denoiser, x_0, np.random.default_rng(0), variance, decoder=lambda p, x_0: np.array([5.0, 7.0]))
    assert decoded[:, 0] == pytest.approx([-5, -7]) and decoded[:, 1:] == pytest.approx(columns[:, 1:])


@both_variances
@pytest.mark.parametrize("data", [GAUSSIAN, toy("eight_gaussians")], ids=["gaussian", "mixture"])
def test_sampled_ledger_agrees_with_the_exact_one(data, variance):
    """Statistical: fixed seed, 4 standard errors for each part, and for the noisy first form of the same bound."""
    schedule, rng = log_snr_uniform(40), np.random.default_rng(0)
    x_0 = data.sample(rng, 3000)
    exact = data.optimal_terms(schedule, variance)
    result = ledger(schedule, data.denoiser(schedule), x_0, rng, variance)
    expected = {"L_T": exact[-1], "sum L_{t-1}": exact[1:-1].sum(), "L_0": exact[0], "total": exact.sum()}
    for name, (mean, error) in result.summary().items():
        assert abs(mean - expected[name]) < 4 * error, name
    first = elbo.mean_and_error(first_form_terms(schedule, data.denoiser(schedule), x_0, rng, variance).sum(1))
    assert abs(first[0] - exact.sum()) < 4 * first[1]
    assert result.elbo[0] == -result.summary()["total"][0]


def test_weights_times_noise_error_is_the_gap():
    """Two denoisers' −ELBOs differ by Σ weight_t·(E‖ε − ε_1‖² − E‖ε − ε_2‖²): by quadrature, to 1e-9."""
    schedule, x_0 = linear(30), np.array([[0.4, -1.0]])
    z, w = np.polynomial.hermite_e.hermegauss(6)
    eps, weight = np.stack(np.meshgrid(z, z), -1).reshape(-1, 2), np.outer(w, w).ravel() / w.sum() ** 2
    exact, zero = GAUSSIAN.denoiser(schedule), lambda x, t: 0 * x
    for variance in ("beta", "beta_tilde"):
        for t in (1, 2, 15, 30):
            x = np.repeat(x_0, len(eps), 0)
            terms = [weight @ step_term(schedule, d, x, t, eps, variance) for d in (zero, exact)]
            errors = [weight @ ((eps - d(diffuse(schedule, x, t, eps), t)) ** 2).sum(1) for d in (zero, exact)]
            assert terms[0] - terms[1] == pytest.approx(simple_weights(schedule, variance)[t] * (errors[0] - errors[1]), rel=1e-9)


def test_on_a_log_snr_grid_the_weights_are_all_the_same():
    weights = simple_weights(log_snr_uniform(50), "beta_tilde")[2:]
    assert weights == pytest.approx(weights[0], rel=1e-9)


def test_gap_closes_with_T_except_for_beta_tilde():
    """σ² = β: the gap to the entropy closes as 1/T.  σ² = β̃ on the cosine grid: γ/2 per dimension remains."""
    def gap(T, variance):  # for data N(0, 1), where E‖x_0 − x̂_0‖² = 1 − ᾱ_t and the entropy is ½·log 2πe
        schedule = cosine(T)
        total = oracle.terms_from_error(schedule, schedule.one_minus_alpha_bar, 1.0, 1, variance).sum()
        return total - 0.5 * np.log(2 * np.pi * np.e)
    assert gap(500, "beta") == pytest.approx(0, abs=1e-9)  # β is exactly right here, but for ᾱ_T
    limits = [gap(T, "beta_tilde") - np.euler_gamma / 2 for T in (10 ** 4, 10 ** 5, 10 ** 6)]
    assert 0 < limits[2] < 1e-3 and limits[1] < limits[0] / 5 and limits[2] < limits[1] / 5
    def gaussian_gap(T):
        return GAUSSIAN.optimal_terms(cosine(T)).sum() - GAUSSIAN.entropy()
    assert 1.7 < gaussian_gap(500) / gaussian_gap(1000) < 2.3
    error = np.array([0] + [GAUSSIAN.error(cosine(400), t) for t in range(1, 401)])
    best = oracle.optimal_variance(cosine(400), error, 2)
    assert GAUSSIAN.optimal_terms(cosine(400), best).sum() <= GAUSSIAN.optimal_terms(cosine(400)).sum()


def test_mixed_times_are_the_items_by_themselves():
    rng = np.random.default_rng(0)
    x_0, eps, t = rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), np.array([1, 9, 1, 30])
    for variance in ("beta", "beta_tilde"):
        for schedule in (cosine(30), linear(1, scaled=False)):
            times, denoiser = np.minimum(t, schedule.T), GAUSSIAN.denoiser(schedule)
            together = step_term(schedule, denoiser, x_0, times, eps, variance)
            alone = [step_term(schedule, denoiser, x_0[i:i + 1], int(times[i]), eps[i:i + 1], variance)[0] for i in range(4)]
            assert together == pytest.approx(np.array(alone))


@pytest.mark.parametrize("decoder", [Gaussian.log_prob, level_log_prob])
@pytest.mark.parametrize("variance", ["beta", "beta_tilde", "learned"])
def test_the_bound_is_differentiable(decoder, variance):
    """∂L_vlb/∂θ by autograd against finite differences, with t = 1 in the batch."""
    rng = np.random.default_rng(0)
    schedule, t, eps = cosine(10), np.array([1, 2, 5, 10]), rng.standard_normal((4, 3))
    x_0 = from_levels(rng.integers(0, 256, (4, 3))).astype(float)
    def loss(theta):
        def denoiser(x, t):
            return (theta[0] * x + theta[1], theta[2] * x) if variance == "learned" else theta[0] * x + theta[1]
        return vlb_loss(schedule, denoiser, x_0, t, eps, variance, decoder)
    theta, h = np.array([0.5, 0.1, 0.3]), 1e-6
    numeric = [(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(3)]
    assert grad(loss)(theta) == pytest.approx(np.array(numeric), rel=1e-5, abs=1e-6)


def test_hybrid_loss_teaches_the_variance_only_through_the_bound():
    """L_vlb sends no gradient to the mean, L_simple none to the variance."""
    rng = np.random.default_rng(0)
    x_0, eps, t, schedule = rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), np.array([1, 3, 7, 10]), cosine(10)
    def loss(theta, weight):
        return hybrid_loss(schedule, lambda x, t: (theta[0] * x, theta[1] * np.ones_like(x_0)), x_0, t, eps, weight=weight)
    at, without = grad(loss)(np.array([0.5, 0.3]), 1.0), grad(loss)(np.array([0.5, 0.3]), 0.0)
    assert at[0] == without[0] and without[1] == 0 and at[1] != 0


def test_hybrid_loss_is_the_sum_of_its_two_losses():
    """L_simple + 0.001·L_vlb, with the decoder that was asked for."""
    rng, t, schedule = np.random.default_rng(0), np.array([1, 1, 5, 9]), cosine(10)
    x_0, eps = rng.standard_normal((2, 4, 2))
    denoiser, decoder = lambda x, t: (0 * x + 0.1, 0 * x + 0.3), lambda p, x_0: 7 + x_0.sum(1)
    simple, bound = simple_loss(schedule, denoiser, x_0, t, eps), vlb_loss(schedule, denoiser, x_0, t, eps, "learned", decoder)
    assert hybrid_loss(schedule, denoiser, x_0, t, eps, decoder) == pytest.approx(simple + 0.001 * bound, rel=1e-12)


def test_simple_losses():
    rng = np.random.default_rng(0)
    x_0, eps, t = rng.standard_normal((5, 2)), rng.standard_normal((5, 2)), np.array([1, 3, 7, 9, 10])
    zero = lambda x, t: 0 * x
    assert simple_loss(cosine(10), zero, x_0, t, eps) == pytest.approx((eps ** 2).mean())
    thrice = [np.repeat(array, 3, 0) for array in (x_0, t, eps)]
    assert simple_loss(cosine(10), zero, *thrice) == pytest.approx((eps ** 2).mean())
    weights = 1 / cosine(10).alpha_bar[t]
    assert v_loss(cosine(10), zero, x_0, t, eps) == pytest.approx((weights[:, None] * eps ** 2).mean())


def test_vlb_loss_is_the_ledger():
    """T·E_t[L_{t−1}]/D over all t is the ledger's sum but for L_T."""
    rng = np.random.default_rng(0)
    x_0, eps = np.tile([[0.3, -0.2]], (10, 1)), rng.standard_normal((10, 2))
    t = np.arange(1, 11)
    terms = step_term(cosine(10), GAUSSIAN.denoiser(cosine(10)), x_0, t, eps)
    assert vlb_loss(cosine(10), GAUSSIAN.denoiser(cosine(10)), x_0, t, eps) == pytest.approx(terms.sum() / 2)


def test_a_chain_that_ends_before_the_noise_does_is_reported():
    x_0 = np.ones((4, 2))
    with pytest.warns(UserWarning, match=r"L_T = 0\.\d+ bits/dim is not small"):
        ledger(linear(50, scaled=False), lambda x, t: 0 * x, x_0, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ledger(linear(50), lambda x, t: 0 * x, x_0, np.random.default_rng(0))
    left = elbo.bits_per_dim(elbo.prior_term(linear(50, scaled=False), x_0)[0], 2)
    assert left == pytest.approx(0.67, abs=0.005)


def test_rate_and_distortion_run_against_each_other():
    schedule, rng = log_snr_uniform(30), np.random.default_rng(0)
    result = ledger(schedule, GAUSSIAN.denoiser(schedule), GAUSSIAN.sample(rng, 500), rng)
    rate, distortion = result.rate_distortion()
    assert rate[0] == pytest.approx(result.bits_per_dim(result.summary()["total"][0]))
    assert (np.diff(rate[1:]) < 0).all() and distortion[0] == 0 and distortion[-1] > 10 * distortion[1]


def test_means_errors_and_distortions_by_hand():
    assert elbo.mean_and_error(np.array([1.0, 3.0])) == (2, 1)  # the unbiased standard deviation, over √n
    alone = elbo.mean_and_error(np.ones((1, 2)))[1]
    assert np.isnan(alone).all() and alone.shape == (2,)
    assert simple_weights(cosine(5))[0] == 0
    result = Ledger(np.log(2) * np.array([[1.0, 2, 4], [3, 4, 6]]), np.array([[0.0, 8, 8], [0, 8, 24]]), 2)
    rate, distortion = result.rate_distortion()
    assert rate == pytest.approx([5, 4, 2.5]) and distortion == pytest.approx([0, 2, np.sqrt(8)])


def test_the_ledger_fills_every_batch_and_clips_the_guess():
    x_0, zero = np.random.default_rng(0).standard_normal((3, 2)), lambda x, t: 0 * x + 3
    result = ledger(linear(50), zero, x_0, np.random.default_rng(0), batch=2)  # of 2 items, then of 1
    assert (result.terms[:, 1:-1] > 0).all() and (result.distortion[:, 1:] > 0).all()
    farthest = ((abs(x_0) + 0.1) ** 2).sum(1)[:, None] + 1e-9
    assert (result.distortion[:, 1:] > farthest).any()
    assert (ledger(linear(50), zero, x_0, np.random.default_rng(0), clip=(-0.1, 0.1)).distortion <= farthest).all()


def test_the_prior_term_keeps_its_dtype():
    for dtype in (np.float32, np.float64):
        assert elbo.prior_term(linear(50), np.ones((3, 2), dtype)).dtype == dtype


def test_mnist_ledger_of_a_trivial_model():
    """The zero network on digits: finite, every bit accounted for, and L_T as its formula says."""
    x_0 = from_levels(mnist().held_out[:3]).astype(float)
    schedule = cosine(10)
    result = ledger(schedule, lambda x, t: 0 * x, x_0, np.random.default_rng(0), decoder=level_log_prob)
    ab, om = schedule.alpha_bar[-1], schedule.one_minus_alpha_bar[-1]
    assert result.terms[:, -1] == pytest.approx(0.5 * (ab * (x_0 ** 2).sum((1, 2)) - 784 * (ab + np.log(om))), rel=1e-9)
    assert np.isfinite(result.terms).all() and (result.terms >= 0).all()
