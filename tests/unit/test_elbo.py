"""The ledger and the losses against the oracle, and what only a ledger shows."""
import warnings

import numpy as np
import pytest
from autograd import grad

from tinyddpm import (
    Gaussian,
    Ledger,
    Mixture,
    Schedule,
    cosine,
    diffuse,
    elbo,
    first_form_terms,
    forward,
    hybrid_loss,
    ledger,
    linear,
    linear_chain,
    log_snr_uniform,
    oracle,
    reverse,
    simple_loss,
    simple_weights,
    step_term,
    v_loss,
    vlb_loss,
)
from tinyddpm.app.digits import mnist
from tinyddpm.decoder import from_levels, level_log_prob
from tinyddpm.toys import toy

GAUSSIAN = Mixture([1], [[0.5, -0.3]], [[[1.0, 0.4], [0.4, 0.3]]])
both_variances = pytest.mark.parametrize("variance", ["beta", "beta_tilde"])


def zero(x_t, t):
    """The denoiser that guesses no noise."""
    return 0 * x_t


def noise_nodes(nodes=6):
    """Gauss–Hermite nodes and weights for ε ~ N(0, I) in two dimensions: (n, 2), (n,)."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    eps = np.stack(np.meshgrid(z, z), -1).reshape(-1, 2)
    return eps, np.outer(w, w).ravel() / w.sum() ** 2


def quadrature_terms(schedule, data, x_0, variance):
    """The ledger of one x_0 (1, 2) by quadrature over ε: exact where the denoiser is affine."""
    eps, weight = noise_nodes()
    denoiser, x_0 = data.denoiser(schedule), np.repeat(x_0, len(eps), 0)
    terms = [weight @ step_term(schedule, denoiser, x_0, t, eps, variance)
             for t in range(1, schedule.T + 1)]
    return np.array([*terms, elbo.prior_term(schedule, x_0)[0]])


@both_variances
@pytest.mark.parametrize("schedule", [linear(50), cosine(30), log_snr_uniform(20),
                                      linear(1, scaled=False)])
@pytest.mark.parametrize("point", [[0.2, 1.0], [-2.0, 0.0]])
def test_gaussian_ledger_is_the_closed_form(schedule, variance, point):
    """Every term to 1e-9, and ELBO ≤ log p_θ(x_0), which is exact, too."""
    x_0 = np.array([point])
    exact = linear_chain.gaussian_terms(schedule, GAUSSIAN, x_0, variance)[0]
    found = quadrature_terms(schedule, GAUSSIAN, x_0, variance)
    assert found == pytest.approx(exact, abs=1e-9, rel=1e-9)
    log_p = linear_chain.gaussian_log_likelihood(schedule, GAUSSIAN, x_0, variance)[0]
    assert -exact.sum() <= log_p + 1e-9


@both_variances
@pytest.mark.parametrize("schedule", [cosine(6), linear(30)])
def test_mixture_ledger_is_the_exact_one(schedule, variance):
    """The terms, integrated over x_0 and ε, are the exact ones, integrated over x_t, to 1e-9."""
    data = Mixture([1, 2], [[-0.5], [0.4]], [[[0.5]], [[0.6]]])
    denoiser = data.denoiser(schedule)
    nodes, weight = noise_nodes(60)
    z, eps = nodes[:, :1], nodes[:, 1:]
    terms = np.zeros(schedule.T + 1)
    for share, mean, var in zip(data.weights, data.means, data.variances):
        x_0 = mean + np.sqrt(var) * z
        for t in range(1, schedule.T + 1):
            each = step_term(schedule, denoiser, x_0, t, eps, variance)
            terms[t - 1] += share * (weight @ each)
        terms[-1] += share * (weight @ elbo.prior_term(schedule, x_0))
    assert terms == pytest.approx(data.optimal_terms(schedule, variance, fineness=6), abs=1e-9)


def test_the_first_form_is_noisy_by_column_and_not_along_a_path():
    """Half the columns have over 5 times the ledger's standard error; their sum has a smaller one.

    Statistical: fixed seed, 500 items.
    """
    data, schedule, rng = toy("eight_gaussians"), log_snr_uniform(50), np.random.default_rng(0)
    x_0, denoiser = data.sample(rng, 500), data.denoiser(schedule)
    second = ledger(schedule, denoiser, x_0, rng)
    first = first_form_terms(schedule, denoiser, x_0, rng)
    _, first_errors = elbo.mean_and_error(first)
    _, second_errors = second.per_t()
    assert np.median(first_errors[1:-1] / second_errors[1:-1]) > 5
    assert elbo.mean_and_error(first.sum(1))[1] < second.elbo[1]


@both_variances
@pytest.mark.parametrize("T", [1, 2, 5])
def test_the_first_form_is_the_path_s_densities(T, variance):
    """Its columns sum to log q(x_{1:T}|x_0) − log p(x_{0:T}) along the path drawn (Luo 37–44)."""
    schedule, x_0 = linear(T, scaled=False), np.array([[0.4, -1.0], [1.0, 0.2]])
    rng, x_prev = np.random.default_rng(0), x_0
    log_p, log_q = np.zeros((2, T + 1)), np.zeros((2, T + 1))

    def denoiser(x_t, t):
        return 0.3 * x_t + 0.1

    for t in range(1, T + 1):
        q = forward.forward_step(schedule, x_prev, t)
        x_t = q.sample(rng.standard_normal(x_0.shape))
        p = reverse.reverse_step(schedule, reverse.predict(schedule, denoiser, x_t, t), variance)
        log_p[:, t - 1], log_q[:, t] = p.log_prob(x_prev), q.log_prob(x_t)
        x_prev = x_t
    log_p[:, T] = Gaussian(np.zeros((2, 2)), np.ones(())).log_prob(x_prev)

    def columns(**options):
        rng = np.random.default_rng(0)
        return first_form_terms(schedule, denoiser, x_0, rng, variance, **options)

    assert columns() == pytest.approx(log_q - log_p, rel=1e-12)
    decoded = columns(decoder=lambda p, x_0: np.array([5.0, 7.0]))
    assert decoded[:, 0] == pytest.approx([-5, -7])
    assert decoded[:, 1:] == pytest.approx((log_q - log_p)[:, 1:])


@both_variances
@pytest.mark.parametrize("data", [GAUSSIAN, toy("eight_gaussians")], ids=["gaussian", "mixture"])
def test_sampled_ledger_agrees_with_the_exact_one(data, variance):
    """Each part, and the first form, too.  Statistical: fixed seed, 4 standard errors."""
    schedule, rng = log_snr_uniform(40), np.random.default_rng(0)
    x_0 = data.sample(rng, 3000)
    exact, denoiser = data.optimal_terms(schedule, variance), data.denoiser(schedule)
    result = ledger(schedule, denoiser, x_0, rng, variance)
    expected = {"L_T": exact[-1], "sum L_{t-1}": exact[1:-1].sum(), "L_0": exact[0],
                "total": exact.sum()}
    for name, (mean, error) in result.summary().items():
        assert abs(mean - expected[name]) < 4 * error, name
    first = first_form_terms(schedule, denoiser, x_0, rng, variance).sum(1)
    mean, error = elbo.mean_and_error(first)
    assert abs(mean - exact.sum()) < 4 * error
    assert result.elbo[0] == -result.summary()["total"][0]


@both_variances
@pytest.mark.parametrize("t", [1, 2, 15, 30])
def test_weights_times_noise_error_is_the_gap(variance, t):
    """L_{t−1} of two denoisers differs by weight_t·(E‖ε − ε_1‖² − E‖ε − ε_2‖²), to 1e-9."""
    schedule, (eps, weight) = linear(30), noise_nodes()
    x_0 = np.repeat([[0.4, -1.0]], len(eps), 0)
    x_t = diffuse(schedule, x_0, t, eps)

    def term(denoiser):
        return weight @ step_term(schedule, denoiser, x_0, t, eps, variance)

    def error(denoiser):
        return weight @ ((eps - denoiser(x_t, t)) ** 2).sum(1)

    exact = GAUSSIAN.denoiser(schedule)
    expected = simple_weights(schedule, variance)[t] * (error(zero) - error(exact))
    assert term(zero) - term(exact) == pytest.approx(expected, rel=1e-9)


def test_on_a_log_snr_grid_the_weights_are_all_the_same():
    weights = simple_weights(log_snr_uniform(50), "beta_tilde")[2:]
    assert weights == pytest.approx(weights[0], rel=1e-9)


def test_gap_closes_with_T_except_for_beta_tilde():
    """With σ² = β the gap to the entropy falls as 1/T; with β̃, γ/2 a dimension stays (cosine)."""
    def gap(T, variance):  # data N(0, 1): E‖x_0 − x̂_0‖² = 1 − ᾱ_t, and the entropy is ½·log 2πe
        schedule = cosine(T)
        error = schedule.one_minus_alpha_bar
        total = oracle.terms_from_error(schedule, error, 1.0, 1, variance).sum()
        return total - 0.5 * np.log(2 * np.pi * np.e)

    assert gap(500, "beta") == pytest.approx(0, abs=1e-9)  # β is exactly right here, but for ᾱ_T
    limits = [gap(T, "beta_tilde") - np.euler_gamma / 2 for T in (10 ** 4, 10 ** 5, 10 ** 6)]
    assert 0 < limits[2] < 1e-3 and limits[1] < limits[0] / 5 and limits[2] < limits[1] / 5

    def gaussian_gap(T):
        return GAUSSIAN.optimal_terms(cosine(T)).sum() - GAUSSIAN.entropy()

    assert 1.7 < gaussian_gap(500) / gaussian_gap(1000) < 2.3


def test_the_optimal_variance_is_no_worse_than_beta():
    schedule = cosine(400)
    error = np.array([0] + [GAUSSIAN.error(schedule, t) for t in range(1, 401)])
    best = GAUSSIAN.optimal_terms(schedule, oracle.optimal_variance(schedule, error, 2))
    assert best.sum() <= GAUSSIAN.optimal_terms(schedule).sum()


@both_variances
@pytest.mark.parametrize("schedule", [cosine(30), linear(1, scaled=False)])
def test_mixed_times_are_the_items_by_themselves(schedule, variance):
    rng = np.random.default_rng(0)
    x_0, eps = rng.standard_normal((2, 4, 2))
    t, denoiser = np.minimum([1, 9, 1, 30], schedule.T), GAUSSIAN.denoiser(schedule)
    together = step_term(schedule, denoiser, x_0, t, eps, variance)
    for i in range(4):
        item = slice(i, i + 1)
        alone = step_term(schedule, denoiser, x_0[item], int(t[i]), eps[item], variance)
        assert together[i] == pytest.approx(alone[0])


@pytest.mark.parametrize("decoder", [Gaussian.log_prob, level_log_prob])
@pytest.mark.parametrize("variance", ["beta", "beta_tilde", "learned"])
def test_the_bound_is_differentiable(decoder, variance):
    """∂L_vlb/∂θ by autograd against finite differences, with t = 1 in the batch."""
    rng = np.random.default_rng(0)
    schedule, t, eps = cosine(10), np.array([1, 2, 5, 10]), rng.standard_normal((4, 3))
    x_0 = from_levels(rng.integers(0, 256, (4, 3))).astype(float)

    def loss(theta):
        def denoiser(x, t):
            eps = theta[0] * x + theta[1]
            return (eps, theta[2] * x) if variance == "learned" else eps
        return vlb_loss(schedule, denoiser, x_0, t, eps, variance, decoder)
    theta, h = np.array([0.5, 0.1, 0.3]), 1e-6
    numeric = [(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(3)]
    assert grad(loss)(theta) == pytest.approx(np.array(numeric), rel=1e-5, abs=1e-6)


def test_hybrid_loss_teaches_the_variance_only_through_the_bound():
    """L_vlb has no gradient in the mean, and L_simple none in the variance (Improved DDPM 16)."""
    rng, schedule, t = np.random.default_rng(0), cosine(10), np.array([1, 3, 7, 10])
    x_0, eps = rng.standard_normal((2, 4, 2))

    def loss(theta, weight):
        def denoiser(x_t, t):
            return theta[0] * x_t, theta[1] * np.ones_like(x_0)
        return hybrid_loss(schedule, denoiser, x_0, t, eps, weight=weight)

    theta = np.array([0.5, 0.3])
    both, simple = grad(loss)(theta, 1.0), grad(loss)(theta, 0.0)
    assert both[0] == simple[0] and simple[1] == 0 and both[1] != 0


def test_hybrid_loss_is_the_sum_of_its_two_losses():
    """L_simple + 0.001·L_vlb, with the given decoder."""
    rng, t = np.random.default_rng(0), np.array([1, 1, 5, 9])
    x_0, eps = rng.standard_normal((2, 4, 2))

    def denoiser(x_t, t):
        return 0 * x_t + 0.1, 0 * x_t + 0.3

    def decoder(p, x_0):
        return 7 + x_0.sum(1)

    arguments = (cosine(10), denoiser, x_0, t, eps)
    expected = simple_loss(*arguments) + 0.001 * vlb_loss(*arguments, "learned", decoder)
    assert hybrid_loss(*arguments, decoder) == pytest.approx(expected, rel=1e-12)


def test_simple_losses():
    rng = np.random.default_rng(0)
    (x_0, eps), t = rng.standard_normal((2, 5, 2)), np.array([1, 3, 7, 9, 10])
    assert simple_loss(cosine(10), zero, x_0, t, eps) == pytest.approx((eps ** 2).mean())
    thrice = [np.repeat(array, 3, 0) for array in (x_0, t, eps)]
    assert simple_loss(cosine(10), zero, *thrice) == pytest.approx((eps ** 2).mean())
    expected = (eps ** 2 / cosine(10).alpha_bar[t, None]).mean()
    assert v_loss(cosine(10), zero, x_0, t, eps) == pytest.approx(expected)


def test_vlb_loss_is_the_ledger():
    """T·E_t[L_{t−1}]/D over all t is the ledger's sum but for L_T."""
    rng = np.random.default_rng(0)
    x_0, eps = np.tile([[0.3, -0.2]], (10, 1)), rng.standard_normal((10, 2))
    arguments = (cosine(10), GAUSSIAN.denoiser(cosine(10)), x_0, np.arange(1, 11), eps)
    terms = step_term(*arguments)
    assert vlb_loss(*arguments) == pytest.approx(terms.sum() / 2)


def test_a_chain_that_ends_before_the_noise_does_is_reported():
    x_0 = np.ones((4, 2))
    with pytest.warns(UserWarning, match=r"L_T = 0\.\d+ bits/dim is not small"):
        ledger(linear(50, scaled=False), zero, x_0, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ledger(linear(50), zero, x_0, np.random.default_rng(0))
    bits = elbo.bits_per_dim(elbo.prior_term(linear(50, scaled=False), x_0)[0], 2)
    assert bits == pytest.approx(0.67, abs=0.005)


def test_rate_and_distortion_run_against_each_other():
    schedule, rng = log_snr_uniform(30), np.random.default_rng(0)
    result = ledger(schedule, GAUSSIAN.denoiser(schedule), GAUSSIAN.sample(rng, 500), rng)
    rate, distortion = result.rate_distortion()
    assert rate[0] == pytest.approx(elbo.bits_per_dim(result.summary()["total"][0], 2))
    assert (np.diff(rate[1:]) < 0).all()
    assert distortion[0] == 0 and distortion[-1] > 10 * distortion[1]


def test_means_errors_and_distortions_by_hand():
    assert elbo.mean_and_error(np.array([1.0, 3.0])) == (2, 1)  # unbiased deviation, over √n
    alone = elbo.mean_and_error(np.ones((1, 2)))[1]
    assert np.isnan(alone).all() and alone.shape == (2,)
    assert simple_weights(cosine(5))[0] == 0
    terms = np.log(2) * np.array([[1.0, 2, 4], [3, 4, 6]])
    result = Ledger(terms, np.array([[0.0, 8, 8], [0, 8, 24]]), 2)
    rate, distortion = result.rate_distortion()
    assert rate == pytest.approx([5, 4, 2.5]) and distortion == pytest.approx([0, 2, np.sqrt(8)])


def test_the_ledger_fills_every_batch_and_clips_the_guess():
    x_0 = np.random.default_rng(0).standard_normal((3, 2))

    def total(**options):
        rng = np.random.default_rng(0)
        return ledger(linear(50), lambda x, t: 0 * x + 3, x_0, rng, **options)

    result = total(batch=2)  # 2 items, then 1
    assert (result.terms[:, 1:-1] > 0).all() and (result.distortion[:, 1:] > 0).all()
    farthest = ((abs(x_0) + 0.1) ** 2).sum(1)[:, None] + 1e-9
    assert (result.distortion[:, 1:] > farthest).any()
    assert (total(clip=(-0.1, 0.1)).distortion <= farthest).all()


def test_the_prior_term_keeps_its_dtype():
    for dtype in (np.float32, np.float64):
        assert elbo.prior_term(linear(50), np.ones((3, 2), dtype)).dtype == dtype


def test_mnist_ledger_of_a_trivial_model():
    """A network that outputs zero, on digits: every term is finite, and L_T is its formula."""
    x_0 = from_levels(mnist().held_out[:3]).astype(float)
    schedule, rng = cosine(10), np.random.default_rng(0)
    result = ledger(schedule, zero, x_0, rng, decoder=level_log_prob)
    ab, om = schedule.alpha_bar[-1], schedule.one_minus_alpha_bar[-1]
    expected = 0.5 * (ab * (x_0 ** 2).sum((1, 2)) - 784 * (ab + np.log(om)))
    assert result.terms[:, -1] == pytest.approx(expected, rel=1e-9)
    assert np.isfinite(result.terms).all() and (result.terms >= 0).all()


def test_a_ledger_needs_items_and_takes_any_batch():
    """The batch is how many items the denoiser is shown at once."""
    x_0, schedule = np.ones((3, 2)), linear(50)
    for options in ({"batch": 0}, {"x_0": np.ones((0, 2))}):
        with pytest.raises(ValueError, match="batch|x_0"):
            ledger(schedule, lambda x_t, t: 0 * x_t, options.pop("x_0", x_0),
                   np.random.default_rng(0), **options)
    totals = [ledger(schedule, lambda x_t, t: 0.1 * x_t, x_0, np.random.default_rng(0), batch=batch)
              for batch in (1, 3)]
    assert totals[0].terms == pytest.approx(totals[1].terms, rel=1e-12)


def test_the_summary_has_every_term():
    """L_0, the sum of L_{t−1} over t = 2…T, and L_T are all terms, each with its standard error."""
    terms = np.arange(15.0).reshape(3, 5) ** 2
    summary = Ledger(terms, 0 * terms, 2).summary()
    for name, part in (("L_0", terms[:, 0]), ("sum L_{t-1}", terms[:, 1:4].sum(1)),
                       ("L_T", terms[:, 4])):
        error = part.std(ddof=1) / np.sqrt(3)
        assert summary[name] == pytest.approx((part.mean(), error)), name


def test_mean_and_error_are_over_items():
    values = np.arange(6.0).reshape(3, 2) ** 2
    mean, error = elbo.mean_and_error(values)
    assert mean == pytest.approx(values.mean(0))
    assert error == pytest.approx(values.std(0, ddof=1) / np.sqrt(3))
    mean, error = elbo.mean_and_error(values[:1])
    assert mean == pytest.approx(values[0]) and np.isnan(error).all() and error.shape == (2,)


@pytest.mark.parametrize("dimensions", [0, -2])
def test_bits_per_dim_needs_dimensions(dimensions):
    with pytest.raises(ValueError, match="D is 1 or more"):
        elbo.bits_per_dim(1.0, dimensions)


@pytest.mark.parametrize("x_0", [np.ones(3), np.ones(())])
def test_a_ledger_needs_an_axis_of_items(x_0):
    with pytest.raises((ValueError, TypeError), match="shape of x_0|len"):
        ledger(linear(50), lambda x_t, t: x_t, x_0, np.random.default_rng(0))


# The sampled ledger


def knows(schedule, x_0, wrong=0.1):
    """A denoiser that knows x_0 and adds wrong·t to ε: each term depends on t alone."""
    def denoiser(x_t, t):
        at = schedule.coefficients_at(t, x_t)
        eps = (x_t - np.sqrt(at.alpha_bar) * x_0) / np.sqrt(at.one_minus_alpha_bar)
        return eps + wrong * np.reshape(t, (-1, *[1] * (x_t.ndim - 1)))
    return denoiser


@pytest.mark.parametrize("T, strata", [(2, 1), (7, 1), (7, 4), (7, 6), (12, 5), (12, 30)])
def test_stratified_times_choose_every_t_equally_often(T, strata):
    """Over all places u in the strata, each t of 2…T is chosen strata/(T − 1) times on average."""
    u = (np.arange(T - 1) + 0.5) / (T - 1)  # every boundary between two t lies between two u
    times = elbo.stratified_times(T, strata, np.repeat(u[:, None], strata, 1))
    assert times.shape == (T - 1, strata)
    assert (np.bincount(times.ravel(), minlength=T + 1)[2:] == strata).all()
    assert times.min() == 2 and times.max() == T
    assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_a_sampled_ledger_of_every_t_is_the_ledger(variance):
    """With T − 1 strata every t is drawn once.  Here a term depends on t alone, so there is no
    noise, and the batch does not matter."""
    schedule, x_0, rng = linear(30), 0.7, np.random.default_rng(0)
    items, denoiser = np.full((3, 2), x_0), knows(schedule, x_0)
    exact = ledger(schedule, denoiser, items, rng, variance).terms
    sampled = elbo.sampled_ledger(schedule, denoiser, items, rng, 2 * 30, variance, batch=2)
    assert sampled.L_T == pytest.approx(exact[:, -1])
    assert sampled.L_t == pytest.approx(np.tile(exact[:, 1:-1].sum(1), (2, 1)), rel=1e-9)
    assert sampled.summary()["total"][0] == pytest.approx(exact.sum(1).mean(), rel=1e-9)
    assert sampled.L_0 == pytest.approx(np.tile(exact[:, 0], (2, 1)), rel=1e-9)
    with pytest.raises(ValueError, match="nats of a density are not bits per dimension"):
        sampled.bits_per_dim(1.0)
    of_levels = sampled._replace(of_levels=True)
    assert of_levels.bits_per_dim(1.0) == pytest.approx(1 / (2 * np.log(2)))
    assert "bits/dim" in repr(of_levels) and "bits/dim" not in repr(sampled)
    assert "from the draws of t and noise" in repr(sampled) and "<td>" in sampled._repr_html_()


@pytest.mark.parametrize("times", [4, 6, 20])
def test_a_sampled_ledger_is_unbiased(times):
    """Its mean is the exact −ELBO, and its error of the noise is the spread of repetitions.

    Statistical: fixed seed, 6 standard errors.
    """
    schedule, rng = linear(30), np.random.default_rng(0)
    denoiser = GAUSSIAN.denoiser(schedule)
    items = np.tile([0.7, -0.2], (4000, 1))  # equal items: all of the spread is noise
    exact = linear_chain.gaussian_terms(schedule, GAUSSIAN, items[:1])[0]
    sampled = elbo.sampled_ledger(schedule, denoiser, items, rng, times)
    for name, expected in (("total", exact.sum()), ("sum L_{t-1}", exact[1:-1].sum()),
                           ("L_0", exact[0])):
        mean, error = sampled.summary()[name]
        assert abs(mean - expected) < 6 * error, name
    assert sampled.noise_error() == pytest.approx(sampled.summary()["total"][1], rel=0.1)


def test_a_sampled_ledger_tells_noise_and_items_apart():
    """Items that differ, without noise: all of the error is that of the items."""
    rng = np.random.default_rng(0)
    x_0 = rng.standard_normal((50, 1))
    sampled = elbo.SampledLedger(x_0[:, 0], np.ones((2, 50)), np.zeros((2, 50)), 1)
    assert sampled.noise_error() == 0
    assert sampled.summary()["total"][1] == pytest.approx(x_0.std(ddof=1) / np.sqrt(50))


def test_a_sampled_ledger_of_one_step_has_no_sum():
    sampled = elbo.sampled_ledger(Schedule([0.5]), zero, np.ones((3, 1)),
                                  np.random.default_rng(0), 2)
    assert (sampled.L_t == 0).all() and np.isfinite(sampled.L_0).all()


@pytest.mark.parametrize("times", [0, 2, 3, 5, -4])
def test_a_sampled_ledger_takes_an_even_number_of_times(times):
    with pytest.raises(ValueError, match=f"times = {times}: an even number of 4 or more"):
        elbo.sampled_ledger(linear(50), lambda x_t, t: x_t, np.ones((2, 1)),
                            np.random.default_rng(0), times)
