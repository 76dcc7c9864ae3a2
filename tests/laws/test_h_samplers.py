"""H. Samplers.  Functions only, with a given noise z; some have an oracle, some are statistical."""
import numpy as np
from exact import at, gaussian_oracle, lost_by_a_chain, sigma2, tables
from hypothesis import strategies as st
from strategies import a_schedule_and_times, betas, both_variances, cases, for_all, seeds
from verdict import assert_close, assert_standard_normal, require, root_of_round_off

later_cases = cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-6, first_t=2, largest_power=0)


@for_all(case=later_cases, variance=both_variances)
def test_a_step_without_noise_is_the_mean(ddpm, case, variance):
    """x_{t−1} = (x_t − β_t/√(1 − ᾱ_t)·ε̂)/√α_t for z = 0 (Algorithm 2, line 4)."""
    t, x_t = int(case.t[0]), case.x_0
    c = at(case.beta, t, x_t)
    share = c.beta / c.root_om * case.eps
    mean = (x_t - share) / np.sqrt(c.alpha)
    size = (abs(x_t) + abs(share)) / np.sqrt(c.alpha) + abs(x_t - c.root_om * case.eps) / c.root_ab
    x = ddpm.sampler_step(case.beta, x_t, t, case.eps, 0 * case.eps, variance)
    assert_close(x, mean, 1e-12, size, "x_{t-1} with z = 0", c.lost, forgive=True)


@for_all(case=later_cases, variance=both_variances)
def test_the_gain_of_the_noise_is_the_standard_deviation(ddpm, case, variance):
    """z moves x_{t−1} by σ_t·z for t ≥ 2, with σ_t² = β_t or β̃_t (Ho 1; Algorithm 2, line 4)."""
    t, z = int(case.t[0]), np.sign(case.eps + 0.5)
    without = ddpm.sampler_step(case.beta, case.x_0, t, case.eps, 0 * z, variance)
    with_z = ddpm.sampler_step(case.beta, case.x_0, t, case.eps, z, variance)
    sigma = np.sqrt(sigma2(case.beta, t, z, variance))
    c = at(case.beta, t, z)
    size = abs(without) + sigma
    assert_close(with_z - without, sigma * z, 1e-12, size, "σ_t·z", c.lost, forgive=True)


@for_all(case=cases(smallest=1e-4), variance=both_variances)
def test_the_last_step_adds_no_noise(ddpm, case, variance):
    """At t = 1, z is not used, even with σ² = β, which is not 0 there (Algorithm 2, line 3)."""
    zero, huge = np.zeros_like(case.eps), np.full_like(case.eps, 1e6)
    x = case.eps
    quiet = ddpm.sampler_step(case.beta, x, 1, case.eps, zero, variance)
    loud = ddpm.sampler_step(case.beta, x, 1, case.eps, huge, variance)
    assert_close(loud, quiet, 0, 1e6, "x_0 with z = 10⁶ and with z = 0", root_of_round_off(),
                 "a σ_1 that is not exactly 0")


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8, 50), smallest=1e-4), variance=both_variances,
         d=st.sampled_from([1, 2, 3]), seed=seeds)
def test_sampler_moments_are_exact(ddpm, beta, variance, d, seed):
    """Mean and covariance of the sampler's x_t at every t, for Gaussian data (Algorithm 2).

    No Monte Carlo: with the optimal denoiser a step is an affine map of x and z.  Probing it with
    (0, 0), (e_i, 0) and (0, e_i) shows the map, and the maps compose.  The law's side is
    x_{t−1} = c_0·E[x_0|x_t] + c_t·x_t + σ_t·z (Luo 84 with x_0 guessed).
    """
    rng = np.random.default_rng(seed)
    m, s = rng.standard_normal(d), np.exp(rng.standard_normal(d))
    denoiser, T = gaussian_oracle(beta, m, s), len(beta)
    mean, cov = np.zeros(d), np.eye(d)
    exact_mean, exact_var, lost = np.zeros(d), np.ones(d), 0.0
    for t in range(T, 0, -1):
        x = np.concatenate([np.zeros((1, d)), np.eye(d), np.zeros((d, d))])
        z = np.concatenate([np.zeros((1 + d, d)), np.eye(d)])
        y = ddpm.sampler_step(beta, x, t, denoiser(x, t), z, variance)
        offset, gain, noise = y[0], (y[1:1 + d] - y[0]).T, (y[1 + d:] - y[0]).T
        mean, cov = gain @ mean + offset, gain @ cov @ gain.T + noise @ noise.T

        c = at(beta, t, 0.0)
        pull = c.root_ab * s / (c.ab * s + c.om)
        var = sigma2(beta, t, 0.0, variance) if t > 1 else 0.0
        exact_mean = (c.c_0 * pull + c.c_t) * exact_mean + c.c_0 * (1 - pull * c.root_ab) * m
        exact_var = (c.c_0 * pull + c.c_t) ** 2 * exact_var + var
        lost += 10 * c.lost / c.root_ab
        if t in (1, 2, T // 2, T):
            size = 1 + abs(m) + abs(exact_mean)
            assert_close(mean, exact_mean, 1e-9, size, f"mean of x_{t - 1}", lost, forgive=True)
            size = 1 + exact_var.max()
            assert_close(cov, np.diag(exact_var), 1e-9, size, f"covariance of x_{t - 1}", lost,
                         forgive=True)


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8, 50), smallest=1e-4), point=st.floats(-4, 4), seed=seeds)
def test_sampler_returns_a_single_point(ddpm, beta, point, seed):
    """Data that is one point, σ_t² = β̃_t, the optimal denoiser: all paths end there (Ho §3.2)."""
    x = np.random.default_rng(seed).standard_normal((3, 2))
    denoiser, rng = gaussian_oracle(beta, point, 0.0), np.random.default_rng(seed + 1)
    for t in range(len(beta), 0, -1):
        z = rng.standard_normal(x.shape)
        x = ddpm.sampler_step(beta, x, t, denoiser(x, t), z, "beta_tilde")
    assert_close(x, point, 1e-9, 1 + abs(point), "x_0", 10 * lost_by_a_chain(beta), forgive=True)


# A whole chain.

class Recorder:
    """A denoiser that keeps what it is shown, and answers ε̂ = slope·x."""

    def __init__(self, slope=0.1):
        self.slope, self.x, self.times = slope, [], []

    def __call__(self, x, t):
        self.x.append(np.array(x))
        self.times.append(int(np.max(t)))
        return self.slope * x


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8)), variance=both_variances)
def test_every_time_is_visited_once(ddpm, beta, variance):
    """The denoiser is evaluated T times, at t = T…1 (Algorithm 2)."""
    denoiser, T, rng = Recorder(), len(beta), np.random.default_rng(0)
    ddpm.sample(beta, denoiser, np.ones((2, 2)), T, rng, variance)
    expected = list(range(T, 0, -1))
    require(denoiser.times == expected, f"T = {T}, evaluated at t = {denoiser.times}")


@for_all(beta=betas(lengths=(2, 3, 5, 8)), variance=both_variances, start=st.floats(0, 0.999))
def test_noised_to_t_takes_t_steps_back(ddpm, beta, variance, start):
    """An input noised to t is denoised from t on: t evaluations, the first at t (Ho §4.3)."""
    t, denoiser = 1 + int(start * len(beta)), Recorder()
    ddpm.sample(beta, denoiser, np.ones((2, 2)), t, np.random.default_rng(0), variance)
    expected = list(range(t, 0, -1))
    require(denoiser.times == expected, f"from t = {t}, evaluated at t = {denoiser.times}")


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8), smallest=1e-4), variance=both_variances,
         slope=st.floats(-0.5, 0.5), seed=seeds)
def test_a_chain_is_its_steps(ddpm, beta, variance, slope, seed):
    """Two runs with the same noise, started apart, come together by ∏ gain_t (Algorithm 2).

    For ε̂ = a·x, gain_t = (1 − a·β_t/√(1 − ᾱ_t))/√α_t; and at each t the denoiser is shown the
    x that the step before has made.
    """
    x_T, T = np.random.default_rng(seed).standard_normal((3, 2)), len(beta)
    move = np.array([[1.0, 1.0], [-2.0, 0.5], [3.0, 0.0]])
    runs = [Recorder(slope), Recorder(slope)]
    ends = [ddpm.sample(beta, run, start, T, np.random.default_rng(seed), variance)
            for run, start in zip(runs, (x_T, x_T + move))]
    assert_close(runs[0].x[0], x_T, 0, 1 + abs(x_T), "the denoiser is shown x_T at t = T")
    apart, lost, size = move, 0.0, 1 + abs(x_T) + abs(ends[0])
    for t in range(T, 0, -1):
        c = at(beta, t, 0.0)
        apart = apart * (1 - slope * c.beta / c.root_om) / np.sqrt(c.alpha)
        lost += c.lost
        size = size / np.sqrt(c.alpha)
        if t > 1:
            shown = [run.x[T + 1 - t] for run in runs]
            assert_close(shown[1] - shown[0], apart, 1e-12, size + abs(shown[0]),
                         f"distance of what is shown at t = {t - 1}", lost, forgive=True)
    assert_close(ends[1] - ends[0], apart, 1e-12, size, "distance of x_0", lost, forgive=True)


@for_all(variance=both_variances)
def test_noise_is_fresh_at_every_step(ddpm, variance):
    """z_t = (x_{t−1} − x_t/√α_t)/σ_t, for ε̂ = 0, is i.i.d. N(0, 1) over t, items and dimensions.

    x_{t−1} is what the denoiser is shown next.  (Algorithm 2, line 3.)  Statistical: fixed seed,
    6 standard errors.
    """
    beta, n, denoiser = np.array([0.1, 0.5, 0.4, 0.2]), 20_000, Recorder(0.0)
    rng = np.random.default_rng(0)
    ddpm.sample(beta, denoiser, np.zeros((n, 2)), 4, rng, variance)
    noise = []
    for t in (4, 3, 2):
        before, after = denoiser.x[4 - t], denoiser.x[5 - t]
        sigma = np.sqrt(sigma2(beta, t, 0.0, variance))
        noise.append((after - before / np.sqrt(1 - beta[t - 1])) / sigma)
    z = np.concatenate(noise, 1)  # (n, 6): two dimensions at each of three steps
    assert_standard_normal(z, "z over steps and dimensions")


@for_all(variance=both_variances, start=st.sampled_from([3, 5]))
def test_samples_have_the_exact_moments(ddpm, variance, start):
    """Led by the optimal denoiser of N(.7, .4), x_0 from x_t = 1.5 is normal, with known moments.

    The mean and the variance follow from the affine steps (Luo 84 with x_0 guessed), as in
    `test_sampler_moments_are_exact`.  Statistical: fixed seed, 6 standard errors.
    """
    beta, m, s, n = np.array([0.02, 0.1, 0.5, 0.3, 0.7]), 0.7, 0.4, 40_000
    mean, var = 1.5, 0.0
    for t in range(start, 0, -1):
        c = at(beta, t, 0.0)
        pull = c.root_ab * s / (c.ab * s + c.om)
        gain = c.c_0 * pull + c.c_t
        mean = gain * mean + c.c_0 * (1 - pull * c.root_ab) * m
        var = gain ** 2 * var + (sigma2(beta, t, 0.0, variance) if t > 1 else 0.0)
    denoiser, x_t = gaussian_oracle(beta, m, s), np.full((n, 1), 1.5)
    x_0 = ddpm.sample(beta, denoiser, x_t, start, np.random.default_rng(0), variance)
    z = (x_0[:, 0] - mean) / np.sqrt(var)
    assert_close(z.mean(), 0, 6, 1 / np.sqrt(n), "mean of x_0, in standard deviations")
    assert_close((z ** 2).mean(), 1, 6, np.sqrt(2 / n), "variance of x_0, in units of the exact")
    assert_close((z ** 4).mean(), 3, 6, np.sqrt(96 / n), "fourth moment of x_0, 3 for a normal")
    assert_close((z[1:] * z[:-1]).mean(), 0, 6, 1 / np.sqrt(n), "covariance of neighbours")


class Inpainting:
    """One call of `inpaint` on 20,000 items with masks of their own, and what the denoiser saw."""

    def __init__(self, ddpm, variance):
        rng = np.random.default_rng(1)
        self.beta, self.n, self.denoiser = np.array([0.2, 0.4, 0.6]), 20_000, Recorder()
        x_T, self.given = rng.standard_normal((2, self.n, 2)) * [[[1.0]], [[3.0]]]
        self.known = rng.random((self.n, 2)) < 0.5
        self.x_0 = ddpm.inpaint(self.beta, self.denoiser, x_T, self.given, self.known,
                                np.random.default_rng(0), variance)
        self.shown = dict(zip(self.denoiser.times, self.denoiser.x))
        require({1, 2, 3} <= set(self.shown), f"asked at t = {self.denoiser.times}, T = 3")

    def check_normal(self, z, which, law):
        """z is N(0, 1), and independent of the given x_0, of the other dimension and item."""
        z, given = np.where(which, z, 0.0), np.where(which, self.given, 0.0) / 3
        error = 1 / np.sqrt(which.sum(0))
        assert_close(z.sum(0) / which.sum(0), 0, 6, error, f"mean of {law}")
        variance = (z ** 2).sum(0) / which.sum(0)
        assert_close(variance, 1, 6, np.sqrt(2) * error, f"variance of {law}")
        fourth = (z ** 4).sum(0) / which.sum(0)
        assert_close(fourth, 3, 6, np.sqrt(96) * error, f"fourth moment of {law}")
        assert_close((z * given).sum(0) / which.sum(0), 0, 6, error, f"{law}, times x_0")
        for other in (np.roll(z, 1, 0), z[:, ::-1]):
            together = (z * other).sum(0) / which.sum(0)
            assert_close(together, 0, 6, error, f"{law}, times that of another")


@for_all(variance=both_variances)
def test_inpainting_keeps_what_is_known(ddpm, variance):
    """Where x_0 is known, the denoiser is shown x_t from q(x_t|x_0), and x_0 comes out.

    (Lugmayr et al. 2022, eq 8.)  Statistical: fixed seed, 6 standard errors.
    """
    run = Inpainting(ddpm, variance)
    assert_close(run.x_0[run.known], run.given[run.known], 1e-12, 10.0, "x_0 where it is known")
    for t in (2, 1):  # at t = T some show x_T as it is
        c = at(run.beta, t, 0.0)
        noise = (run.shown[t] - c.root_ab * run.given) / c.root_om
        run.check_normal(noise, run.known, f"the noise shown at t = {t}")


@for_all(variance=both_variances)
def test_inpainting_samples_what_is_not_known(ddpm, variance):
    """Where x_0 is not known, x_{t−1} is drawn by Algorithm 2 from the x_t that was shown.

    (Lugmayr et al. 2022, eq 8.)  Statistical: fixed seed, 6 standard errors.
    """
    run = Inpainting(ddpm, variance)
    run.check_normal(run.shown[3], ~run.known, "x_T")
    for t in (3, 2, 1):
        c, before = at(run.beta, t, 0.0), run.shown[t]
        after = run.shown[t - 1] if t > 1 else run.x_0
        mean = before * (1 - c.beta / c.root_om * run.denoiser.slope) / np.sqrt(c.alpha)
        if t > 1:
            z = (after - mean) / np.sqrt(sigma2(run.beta, t, 0.0, variance))
            run.check_normal(z, ~run.known, f"z_{t}")
        else:
            assert_close(after[~run.known], mean[~run.known], 1e-6, 1 + abs(mean[~run.known]),
                         "x_0 where it is not known")


# DDIM.

@st.composite
def two_times(draw):
    """β, t, and an earlier s, 0 too."""
    beta = draw(betas(smallest=1e-4))
    t = draw(st.integers(1, len(beta)))
    return beta, t, draw(st.sampled_from(sorted({0, t // 2, t - 1})))


@for_all(drawn=two_times(), eta=st.floats(0, 1))
def test_ddim_keeps_the_marginal(ddpm, drawn, eta):
    """A step from t to s ends in q(x_s|x_0), for all η and strides (Song et al. 2021, eq 7, 12).

    The coefficient of x_0 is √ᾱ_s, (coefficient of ε)² + σ² = 1 − ᾱ_s, and ᾱ_0 = 1.
    """
    beta, t, s = drawn
    log_ab, om, _ = tables(beta)
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    root_t, root_s = np.exp(log_ab[[t, s]] / 2)

    def step(x_0, eps, z):
        x_t = root_t * x_0 + np.sqrt(om[t]) * eps
        return float(np.squeeze(ddpm.ddim_step(beta, x_t, t, s, eps, eta, z)))

    of_x_0, of_eps, of_z = step(one, zero, zero), step(zero, one, zero), step(zero, zero, one)
    sigma2 = eta ** 2 * om[s] / om[t] * -np.expm1(log_ab[t] - log_ab[s])
    size = 1 + 1 / root_t  # x̂_0 divides by √ᾱ_t
    lost = (t + 1) / (om[s] if s else 1) / beta.min()
    assert_close(of_x_0, root_s, 1e-11, size, "coefficient of x_0", lost, forgive=True)
    assert_close(of_z ** 2, sigma2, 1e-11, 1, "σ²", lost, forgive=True)
    square = of_eps ** 2 + of_z ** 2
    assert_close(square, om[s], 1e-10, size, "(coefficient of ε)² + σ² = 1 − ᾱ_s", lost,
                 forgive=True)
    assert_close(of_eps, abs(of_eps), 1e-10, size, "the coefficient of ε is not negative", lost,
                 forgive=True)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50), smallest=1e-4, first_t=2, largest_power=0))
def test_ddim_with_eta_one_is_ancestral_sampling(ddpm, case):
    """η = 1 with s = t − 1 is the step of Algorithm 2 with σ² = β̃ (Song et al. 2021, §4.1)."""
    t, z, x_t = int(case.t[0]), np.cos(case.eps), case.x_0
    c = at(case.beta, t, x_t)
    mean = (x_t - c.beta / c.root_om * case.eps) / np.sqrt(c.alpha)
    ancestral = mean + np.sqrt(c.beta_tilde) * z
    ddim = ddpm.ddim_step(case.beta, x_t, t, t - 1, case.eps, 1.0, z)
    size = (abs(x_t) + abs(case.eps) + 1) / c.root_ab
    assert_close(ddim, ancestral, 1e-10, size, "x_{t-1}", 10 * c.lost, forgive=True)


@for_all(case=cases(lengths=(1, 2, 3, 5, 8), smallest=1e-4, largest_power=0), eta=st.floats(0, 1))
def test_ddim_to_0_is_the_guess(ddpm, case, eta):
    """A step to s = 0 returns x̂_0, and takes z with the weight 0 (Song et al. 2021, eq 12)."""
    t, x_t, huge = int(case.t[0]), case.x_0, np.full_like(case.eps, 1e6)
    c = at(case.beta, t, x_t)
    guess = (x_t - c.root_om * case.eps) / c.root_ab
    size = (abs(x_t) + abs(case.eps) + 1) / c.root_ab
    quiet = ddpm.ddim_step(case.beta, x_t, t, 0, case.eps, eta, 0 * huge)
    assert_close(quiet, guess, 1e-10, size, "x̂_0", c.lost, forgive=True)
    loud = ddpm.ddim_step(case.beta, x_t, t, 0, case.eps, eta, huge)
    assert_close(loud, quiet, 0, 1e6 + size, "x_0 with z = 10⁶ and with z = 0",
                 root_of_round_off(), "a σ that is not exactly 0")


@for_all(case=cases(lengths=(2, 3, 5, 8), smallest=1e-3, first_t=2, largest_power=1),
         bounds=st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.3, 2.0), (0.5, 0.7)]))
def test_ddim_derives_the_noise_from_the_clipped_guess(ddpm, case, bounds):
    """x_s = √ᾱ_s·x̂_0 + √(1 − ᾱ_s)·ε̂, with ε̂ of the clipped x̂_0 (Song et al. 2021, eq 12)."""
    t, x_t, zero = int(case.t[0]), case.x_0, 0 * case.eps
    c = at(case.beta, t, x_t)
    guess = np.clip((x_t - c.root_om * case.eps) / c.root_ab, *bounds)
    eps = (x_t - c.root_ab * guess) / c.root_om
    expected = np.sqrt(c.ab_prev) * guess + np.sqrt(c.om_prev) * eps
    x = ddpm.ddim_step(case.beta, x_t, t, t - 1, case.eps, 0.0, zero, clip=bounds)
    size = (abs(x_t) + abs(case.eps) + 1) / c.root_ab + abs(x_t) / c.root_om
    assert_close(x, expected, 1e-10, size, f"x_s, x̂_0 clipped to {bounds}", c.lost, forgive=True)


@for_all(drawn=a_schedule_and_times(), slope=st.floats(-0.5, 0.5), seed=seeds)
def test_ddim_goes_from_time_to_time_in_the_list(ddpm, drawn, slope, seed):
    """x_s = √ᾱ_s·x̂_0 + √(1 − ᾱ_s)·ε̂ with s the next time in the list, then 0 (Song 2021, §4.2).

    Uneven lists, too; and the denoiser is asked at each time of the list, from the last on.
    """
    beta, times = drawn
    log_ab, om, _ = tables(beta)
    x_T, denoiser = np.random.default_rng(seed).standard_normal((3, 2)), Recorder(slope)
    found = ddpm.ddim_sample(beta, denoiser, x_T, np.array(times))
    asked = times[::-1]
    require(denoiser.times == asked, f"times {times}: the denoiser is asked at {denoiser.times}")
    x, size, lost = x_T, abs(x_T), 0.0
    for t, s in zip(asked, [*asked[1:], 0]):
        guess = (x - np.sqrt(om[t]) * slope * x) / np.exp(log_ab[t] / 2)
        size = size + abs(guess) + abs(x) / np.exp(log_ab[t] / 2)
        x = np.exp(log_ab[s] / 2) * guess + np.sqrt(om[s]) * slope * x
        lost += (t + 1) / min(om[t], om[s] if s else 1)
    assert_close(found, x, 1e-10, size, "x_0", lost, forgive=True)


@for_all(T=st.sampled_from([1, 2, 7, 10, 50, 1000]), share=st.floats(0, 1))
def test_n_steps_of_ddim_start_at_T(ddpm, T, share):
    """n different times spread over 1…T, the last is T: there x_T ~ N(0, I) (Song 2021, §4.2)."""
    n = max(1, int(share * min(T, 50)))
    times = ddpm.ddim_times(T, n)
    require(times.shape == (n,), f"{times.size} times for {n} steps of T = {T}")
    shown = list(times[:5]) + ["…"] * (n > 5)
    require(times == np.round(times), f"a time is not a whole number: {shown}")
    require(np.diff(times) > 0, f"the times do not rise: {shown}")
    require(times[0] >= 1, f"the first time is {times[0]}, and t is 1…T = {T}")
    require(times[-1] == T, f"{n} steps of T = {T} start at t = {times[-1]}")
    widest = int(np.diff(times, prepend=0).max())
    require(widest <= 2 * T / n + 2, f"{n} steps of T = {T} leave a gap of {widest}: {shown}")


def slow_schedule(T):
    """β of T steps that are uniform in log SNR, from 9 to −9; ᾱ_t and 1 − ᾱ_t, t = 1…T."""
    log_ab = -np.logaddexp(0, -np.linspace(9, -9, T))
    return -np.expm1(np.diff(log_ab, prepend=0.0)), np.exp(log_ab), -np.expm1(log_ab)


def is_halved(errors):
    """Whether halving the stride halves the error, each time."""
    return all(1.6 < before / after < 2.5 for before, after in zip(errors, errors[1:]))


def test_ddim_converges(ddpm):
    """With η = 0 the error falls as 1/steps, for the optimal denoiser of N(.7, .3).

    DDIM then integrates an ODE, whose solution takes each quantile of x_T to the same quantile of
    x_0 (Song et al. 2021, §4.3).
    """
    (beta, ab, om), m, s = slow_schedule(400), 0.7, 0.3
    x_T, denoiser = np.linspace(-2, 2, 9)[:, None], gaussian_oracle(beta, m, s)
    exact = m + np.sqrt(s) * (x_T - np.sqrt(ab[-1]) * m) / np.sqrt(ab[-1] * s + om[-1])
    errors = []
    for stride in (8, 4, 2):
        times = np.arange(400, 0, -stride)[::-1].copy()
        errors.append(float(abs(ddpm.ddim_sample(beta, denoiser, x_T, times) - exact).max()))
    require(is_halved(errors) and errors[2] < 0.02,
            f"errors with strides of 8, 4, 2 are {np.round(errors, 4)}: they do not halve")


@for_all(drawn=a_schedule_and_times(smallest=1e-3), slope=st.floats(-0.5, 0.5), seed=seeds)
def test_ddim_encodes_from_time_to_time(ddpm, drawn, slope, seed):
    """x_t = √ᾱ_t·x̂_0 + √(1 − ᾱ_t)·ε̂ from each time of the list to the next (Song 2021, §4.3).

    The first step leads from 0 to the first time; some leave it out, which is right to O(1/steps).
    """
    beta, times = drawn
    log_ab, om, _ = tables(beta)
    x_0, denoiser = np.random.default_rng(seed).standard_normal((3, 2)), Recorder(slope)
    found = ddpm.ddim_encode(beta, denoiser, x_0, np.array(times))
    starts = [max(1, s) for s in [0, *times[:-1]]]  # where a step begins; or where it ends
    usual = [starts, [times[0], *times[:-1]], times, times[:-1], times[1:]]
    require(denoiser.times in usual, f"times {times}: the denoiser is asked at {denoiser.times}")

    def encode(times):
        gain = 1.0
        for s, t in zip(times, times[1:]):
            guess = (1 - np.sqrt(om[s]) * slope) / np.exp(log_ab[s] / 2)
            gain *= np.exp(log_ab[t] / 2) * guess + np.sqrt(om[t]) * slope
        return gain * x_0

    answers = [encode([0, *times]), encode(times)]
    nearest = min(answers, key=lambda answer: abs(answer - found).max())
    size = (1 + abs(x_0)) / np.exp(log_ab[times[-1]] / 2)
    lost = (len(beta) + 1) / beta.min() * len(times)
    assert_close(found, nearest, 1e-10, size, "x at the last time", lost, forgive=True)


def test_ddim_encodes(ddpm):
    """The way back, from x_0 to x_T, is exact up to O(1/steps), too (Song et al. 2021, §4.3)."""
    (beta, ab, om), m, s = slow_schedule(400), 0.7, 0.3
    x_0, denoiser = np.linspace(-1, 2, 9)[:, None], gaussian_oracle(beta, m, s)
    exact = np.sqrt(ab[-1]) * m + (x_0 - m) / np.sqrt(s) * np.sqrt(ab[-1] * s + om[-1])
    errors = []
    for stride in (8, 4, 2):
        times = np.arange(400, 0, -stride)[::-1].copy()
        errors.append(float(abs(ddpm.ddim_encode(beta, denoiser, x_0, times) - exact).max()))
    require(is_halved(errors) and errors[2] < 0.1,
            f"errors with strides of 8, 4, 2 are {np.round(errors, 4)}: they do not halve")
