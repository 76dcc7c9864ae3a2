"""B. The forward process.  Functions only: no oracle; two statistical laws."""
import numpy as np
from exact import at, tables
from strategies import betas, cases, for_all
from verdict import assert_close, assert_standard_normal, require


@for_all(case=cases())
def test_step_scales_and_adds_beta(ddpm, case):
    """q(x_t|x_{t−1}) = N(√(1 − β_t)·x_{t−1}, β_t), each item with its own t (Ho 2)."""
    c = at(case.beta, case.t, case.x_0)
    mean, var = ddpm.q_step(case.beta, case.x_0, case.t)
    size = abs(case.x_0)
    assert_close(mean, np.sqrt(c.alpha) * case.x_0, 1e-15, 4 * size, "mean of q(x_t | x_{t-1})")
    assert_close(var, c.beta + 0 * case.x_0, 1e-15, 4 * c.beta, "variance of q(x_t | x_{t-1})",
                 lost=1 / c.beta, why="β_t as 1 − α_t")


@for_all(case=cases())
def test_marginal(ddpm, case):
    """q(x_t|x_0) = N(√ᾱ_t·x_0, 1 − ᾱ_t), each item with its own t (Ho 4)."""
    c = at(case.beta, case.t, case.x_0)
    mean, var = ddpm.q_marginal(case.beta, case.x_0, case.t)
    size = abs(case.x_0) * c.root_ab
    assert_close(mean, c.root_ab * case.x_0, 1e-12, size, "mean of q(x_t | x_0)", case.T)
    lost = (np.max(case.t) + 1) / c.om
    assert_close(var, c.om + 0 * case.x_0, 1e-12, c.om, "variance of q(x_t | x_0)", lost)


@for_all(beta=betas(lengths=(1, 2, 3, 5, 8, 50)))
def test_marginal_is_the_composition_of_steps(ddpm, beta):
    """t steps together are the marginal: √ᾱ_t and 1 − ᾱ_t (Ho 2 and 4, Luo 61–70).

    Step by step, mean ← √α_t·mean and variance ← α_t·variance + β_t, from 1 and 0.
    """
    one = np.ones((1, 1))
    mean, var, om = 1.0, 0.0, tables(beta)[1]
    for t in range(1, len(beta) + 1):
        step_mean, step_var = ddpm.q_step(beta, one, t)
        gain = float(np.squeeze(step_mean))
        mean, var = gain * mean, gain ** 2 * var + float(np.squeeze(step_var))
        if t in (1, 2, len(beta) // 2, len(beta)):
            whole_mean, whole_var = ddpm.q_marginal(beta, one, t)
            lost = (t + 1) / om[t]
            assert_close(whole_mean, mean, 1e-12, abs(mean), f"√ᾱ_{t} = ∏ √α", t)
            assert_close(whole_var, var, 1e-12, var, f"1 − ᾱ_{t} = the steps' noise, added up",
                         lost)


@for_all(case=cases())
def test_draw_is_the_marginal_with_its_noise_outside(ddpm, case):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, each item with its own t (5.1.2)."""
    c = at(case.beta, case.t, case.x_0)
    x_t = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    kept, added = c.root_ab * case.x_0, c.root_om * case.eps
    lost = (case.T + 1) / c.om
    assert_close(x_t, kept + added, 1e-12, abs(kept) + abs(added), "x_t", lost)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-4, first_t=2))
def test_transition(ddpm, case):
    """q(x_t|x_s) has the mean √(ᾱ_t/ᾱ_s)·x_s and the variance 1 − ᾱ_t/ᾱ_s (5.1.2).

    Each item has its own s and t.
    """
    log_ab, t = tables(case.beta)[0], case.t
    s = np.maximum(1, t - 1 - np.arange(len(t)))
    mean, var = ddpm.q_transition(case.beta, case.x_0, s, t)
    shape = (-1,) + (1,) * (case.x_0.ndim - 1)
    gap = (log_ab[t] - log_ab[s]).reshape(shape)
    expected = np.exp(gap / 2) * case.x_0
    size, ratio = abs(expected), -np.expm1(gap)
    assert_close(mean, expected, 1e-10, size, "mean of q(x_t | x_s)", case.T)
    lost = (case.T + 1) / ratio
    assert_close(var, ratio + 0 * case.x_0, 1e-10, ratio, "variance of q(x_t | x_s)", lost,
                 why="1 − ᾱ_t/ᾱ_s by subtraction", forgive=True)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-4, first_t=2))
def test_transitions_compose(ddpm, case):
    """What q(x_t|x_s) keeps of the noise of x_s, and what it adds, are 1 − ᾱ_t together (5.1.2)."""
    log_ab, om, _ = tables(case.beta)
    t, one = int(case.t[0]), np.ones((1, 1))
    for s in {1, t // 2, t - 1}:
        if not 1 <= s < t:
            continue
        mean, var = (float(np.squeeze(a)) for a in ddpm.q_transition(case.beta, one, s, t))
        noise = mean ** 2 * om[s] + var
        lost = (t + 1) / om[t]
        assert_close(noise, om[t], 1e-11, om[t], "(ᾱ_t/ᾱ_s)·(1 − ᾱ_s) + variance = 1 − ᾱ_t", lost,
                     forgive=True)
        assert_close(mean ** 2 + var, 1, 1e-11, law="unit variance stays unit variance", lost=t)


def test_noise_is_independent_and_normal(ddpm):
    """The noise that is drawn inside is i.i.d. N(0, 1) over the batch, dimensions and calls.

    T = 3, a t of each item's own, images, x_0 ≠ 0; noise = (x_t − √ᾱ_t·x_0)/√(1 − ᾱ_t).
    Statistical: fixed seed, 6 standard errors.
    """
    beta, n, rng = np.array([0.36, 0.5, 0.2]), 50_000, np.random.default_rng(0)
    x_0 = np.random.default_rng(1).standard_normal((n, 2, 3))
    t = np.random.default_rng(2).integers(1, 3, size=n, endpoint=True)
    c, calls = at(beta, t, x_0), []
    for _ in range(2):
        x_t = ddpm.q_draw(beta, x_0, t, rng)
        require(x_t.shape == x_0.shape, f"x_t has shape {x_t.shape}, x_0 {x_0.shape}")
        calls.append(((x_t - c.root_ab * x_0) / c.root_om).reshape(n, -1))
    noise = np.concatenate(calls, 1)  # (n, 12): six dimensions, two calls
    assert_standard_normal(noise, "the noise over dimensions and calls")


def test_noise_has_the_tails_of_a_normal(ddpm):
    """Of the noise, 6.3e-5 lie beyond 4 standard deviations, and 4.7e-4 beyond 3½.

    Statistical: fixed seed, 6 standard errors.
    """
    beta, n, rng = np.array([0.36]), 10 ** 6, np.random.default_rng(0)
    noise = ddpm.q_draw(beta, np.zeros((n, 1)), np.ones(n, int), rng) / 0.6
    for bound, share in ((3.5, 4.6526e-4), (4.0, 6.3342e-5)):
        found = float((abs(noise) > bound).mean())
        error = np.sqrt(share / n)
        assert_close(found, share, 6, error, f"share beyond {bound} standard deviations")
