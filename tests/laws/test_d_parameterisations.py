"""D. Four names for one guess: ε, x_0, v, score; and p_θ.  Functions only, nothing random."""
import numpy as np
from exact import at, column, noised, sigma2, tables
from hypothesis import strategies as st
from strategies import both_variances, cases, for_all
from verdict import assert_at_most, assert_close, require

moderate = cases(largest_power=4)


def setting(case):
    """x_t, the coefficients, and the sizes of what is added up for x_0 and for ε."""
    x_t, c = noised(case), at(case.beta, case.t, case.x_0)
    size = abs(x_t) + c.root_ab * abs(case.x_0) + c.root_om * abs(case.eps)
    return x_t, c, size / c.root_ab, size / c.root_om


@for_all(case=moderate)
def test_x_0_from_eps(ddpm, case):
    """x_0 = (x_t − √(1 − ᾱ_t)·ε)/√ᾱ_t, each item with its own t (Ho 15)."""
    x_t, c, size, _ = setting(case)
    x_0 = ddpm.x_0_from_eps(case.beta, x_t, case.eps, case.t)
    assert_close(x_0, case.x_0, 1e-14, size, "x_0 from ε", (case.T + 1) / c.om)


@for_all(case=moderate)
def test_eps_from_x_0(ddpm, case):
    """ε = (x_t − √ᾱ_t·x_0)/√(1 − ᾱ_t) (Ho 15)."""
    x_t, c, _, size = setting(case)
    eps = ddpm.eps_from_x_0(case.beta, x_t, case.x_0, case.t)
    assert_close(eps, case.eps, 1e-14, size, "ε from x_0", (case.T + 1) / c.om)


@for_all(case=moderate)
def test_v_from_eps(ddpm, case):
    """v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0 (Salimans & Ho 2022, §4)."""
    x_t, c, on_x_0, _ = setting(case)
    v = ddpm.v_from_eps(case.beta, x_t, case.eps, case.t)
    expected = c.root_ab * case.eps - c.root_om * case.x_0
    assert_close(v, expected, 1e-14, abs(case.eps) + on_x_0, "v", (case.T + 1) / c.om)


@for_all(case=moderate)
def test_eps_from_v(ddpm, case):
    """ε = √ᾱ_t·v + √(1 − ᾱ_t)·x_t (Salimans & Ho 2022, §4)."""
    x_t, c, on_x_0, on_eps = setting(case)
    v = c.root_ab * case.eps - c.root_om * case.x_0
    eps = ddpm.eps_from_v(case.beta, x_t, v, case.t)
    size = abs(case.eps) + on_x_0 + on_eps
    assert_close(eps, case.eps, 1e-14, size, "ε from v", (case.T + 1) / c.om)


@for_all(case=moderate)
def test_v_is_a_rotation(ddpm, case):
    """|x_t|² + |v|² = |x_0|² + |ε|² (Salimans & Ho 2022, appendix D)."""
    x_t, c, on_x_0, _ = setting(case)
    v = ddpm.v_from_eps(case.beta, x_t, case.eps, case.t)
    size = (on_x_0 + abs(case.eps)) ** 2 / c.root_ab
    assert_close(x_t ** 2 + v ** 2, case.x_0 ** 2 + case.eps ** 2, 1e-13, size, "|x_t|² + |v|²",
                 (case.T + 1) / c.om, forgive=True)


@for_all(case=moderate)
def test_score_from_eps(ddpm, case):
    """score = ∇ log q(x_t|x_0) = −(x_t − √ᾱ_t·x_0)/(1 − ᾱ_t) = −ε/√(1 − ᾱ_t) (from Ho 4)."""
    x_t, c, _, _ = setting(case)
    score = ddpm.score_from_eps(case.beta, x_t, case.eps, case.t)
    size, lost = abs(case.eps) / c.root_om, (case.T + 1) / c.om
    assert_close(score, -case.eps / c.root_om, 1e-14, size, "score", lost)


@for_all(case=moderate)
def test_eps_from_score(ddpm, case):
    """ε = −√(1 − ᾱ_t)·score (Luo 151)."""
    x_t, c, _, _ = setting(case)
    score = -case.eps / c.root_om
    eps = ddpm.eps_from_score(case.beta, x_t, score, case.t)
    assert_close(eps, case.eps, 1e-14, abs(case.eps), "ε from the score", (case.T + 1) / c.om)


@for_all(case=moderate)
def test_score_leads_to_x_0(ddpm, case):
    """x_0 = (x_t + (1 − ᾱ_t)·score)/√ᾱ_t, Tweedie's formula (Luo 133)."""
    x_t, c, on_x_0, _ = setting(case)
    score = ddpm.score_from_eps(case.beta, x_t, case.eps, case.t)
    x_0 = (x_t + c.om * score) / c.root_ab
    assert_close(x_0, case.x_0, 1e-14, on_x_0, "Tweedie's x_0", (case.T + 1) / c.om)


def mean_and_size(case, x_t, c, x_0):
    """μ̃_t at this x_0, and the size of what ε̂ and x_t add to it."""
    terms = c.c_0 * x_0, c.c_t * x_t
    size = abs(x_t) + c.root_ab * abs(case.x_0) + c.root_om * abs(case.eps)
    return sum(terms), sum(map(abs, terms)) + size / np.sqrt(c.alpha)


@for_all(case=moderate, variance=both_variances)
def test_mean_of_the_reverse_step(ddpm, case, variance):
    """μ_θ = (x_t − β_t/√(1 − ᾱ_t)·ε̂)/√α_t, each item with its own t (Ho 11)."""
    x_t, c, _, _ = setting(case)
    expected, size = mean_and_size(case, x_t, c, case.x_0)
    mean = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance)[0]
    right = (x_t - c.beta / c.root_om * case.eps) / np.sqrt(c.alpha)
    assert_close(mean, right, 1e-13, size, "μ_θ", c.lost)
    assert_close(mean, expected, 1e-12, size, "μ_θ = c_0·x̂_0 + c_t·x_t", c.lost)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50, 1000), first_t=2, largest_power=4),
         variance=both_variances)
def test_variance_of_the_reverse_step(ddpm, case, variance):
    """σ_t² = β_t or β̃_t, t ≥ 2, each item with its own t (Ho §3.2)."""
    var = ddpm.p_step(case.beta, case.x_0, case.t, case.eps, variance)[1]
    expected = sigma2(case.beta, case.t, case.x_0, variance)
    lost = at(case.beta, case.t, case.x_0).lost
    assert_close(var, expected + 0 * case.x_0, 1e-12, expected, "σ_t²", lost)


@for_all(case=cases(), variance=both_variances)
def test_variance_of_the_last_reverse_step(ddpm, case, variance):
    """σ_1² is β_1, or β̃_2 as in Ho's code; for "beta_tilde" it may be β̃_1 = 0 (Ho §3.2)."""
    t = np.ones_like(case.t)
    var = ddpm.p_step(case.beta, case.x_0, t, case.eps, variance)[1]
    answers = [case.beta[0], *tables(case.beta)[2][2:3]]
    if variance == "beta_tilde":
        answers.append(0.0)
    nearest = min(answers, key=lambda answer: float(np.max(abs(var - answer))))
    size = case.beta[0]
    assert_close(var, nearest, 1e-12, size, "σ_1²", 3 / min(case.beta[:2]))


@for_all(case=moderate)
def test_mean_from_x_0(ddpm, case):
    """μ_θ = c_0·x̂_0 + c_t·x_t, each item with its own t (Ho 7 with x_0 guessed)."""
    x_t, c, _, _ = setting(case)
    terms = c.c_0 * case.eps, c.c_t * x_t
    mean = ddpm.p_mean_from_x_0(case.beta, x_t, case.eps, case.t)
    assert_close(mean, sum(terms), 1e-11, sum(map(abs, terms)), "μ_θ from x̂_0", c.lost)


sides = st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.3, 2.0), (0.5, 0.7), (-0.1, 0.1)])
for_clipping = cases(smallest=1e-3, largest_power=2)


@for_all(case=for_clipping, bounds=sides, variance=both_variances)
def test_clipping_comes_before_the_mean(ddpm, case, bounds, variance):
    """With x̂_0 clipped, as in Ho's code, the mean is c_0·clip(x̂_0) + c_t·x_t, for any bounds."""
    x_t, c, on_x_0, _ = setting(case)
    expected, size = mean_and_size(case, x_t, c, np.clip(case.x_0, *bounds))
    mean = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance, clip=bounds)[0]
    assert_close(mean, expected, 1e-12, size + on_x_0, f"μ_θ, x̂_0 clipped to {bounds}", c.lost,
                 forgive=True)


@for_all(case=for_clipping, variance=both_variances)
def test_a_bound_out_of_reach_changes_nothing(ddpm, case, variance):
    """x̂_0 is clipped to the given bounds, not to others."""
    x_t, c, on_x_0, _ = setting(case)
    expected, size = mean_and_size(case, x_t, c, case.x_0)
    mean = ddpm.p_step(case.beta, x_t, case.t, case.eps, variance, clip=(-1e6, 1e6))[0]
    assert_close(mean, expected, 1e-12, size + on_x_0, "μ_θ with bounds of ±10⁶", c.lost,
                 forgive=True)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-8, first_t=2, largest_power=0),
         share=st.floats(0, 1))
def test_learned_variance_interpolates_logs(ddpm, case, share):
    """σ_t² = β_t^v·β̃_t^{1−v}, √(β_t·β̃_t) for v = ½; each item has its t (Improved DDPM 15)."""
    c, v = at(case.beta, case.t, case.x_0), share * np.cos(case.eps) ** 2
    var = ddpm.learned_variance(case.beta, case.x_0, case.t, v)
    require(var > 0, f"σ_t² = {var.min()}")
    expected = v * np.log(c.beta) + (1 - v) * np.log(c.beta_tilde)
    assert_close(np.log(var), expected, 1e-11, 1 + abs(np.log(c.beta_tilde)), "log σ_t²", c.lost)


@for_all(case=cases(lengths=(1, 2, 3, 8), smallest=1e-8, largest_power=0), share=st.floats(0, 1))
def test_learned_variance_of_the_last_step(ddpm, case, share):
    """σ_1² is a number from 0 to β_1, though log β̃_1 is none, and β_1 for v = 1; T = 1, too.

    (Improved DDPM §3.1)
    """
    t, v = np.ones_like(case.t), np.full_like(case.x_0, share)
    var = ddpm.learned_variance(case.beta, case.x_0, t, v)
    require(np.isfinite(var) & (var >= 0), f"σ_1² = {var.flat[0]}")
    beta = case.beta[0]
    assert_at_most(var, beta, beta, "σ_1² ≤ β_1", 2 / beta, forgive=True)
    largest = ddpm.learned_variance(case.beta, case.x_0, t, np.ones_like(v))
    assert_close(largest, beta + 0 * v, 1e-12, beta, "σ_1² for v = 1", 2 / beta, forgive=True)


@st.composite
def respaced(draw):
    """β, some of its times, and the places of three of them that are not the first."""
    beta = draw(cases(lengths=(3, 5, 8, 50), smallest=1e-3)).beta
    times = sorted(draw(st.sets(st.integers(1, len(beta)), min_size=2, max_size=5)))
    place = st.integers(1, len(times) - 1)
    return beta, np.array(times), np.array(draw(st.lists(place, min_size=3, max_size=3)))


@for_all(drawn=respaced(), share=st.floats(0, 1))
def test_respaced_variance_is_that_of_the_short_chain(ddpm, drawn, share):
    """log σ² from τ_i to τ_{i−1} is v·log β′ + (1 − v)·log β̃′, item by item (Improved DDPM §4).

    β′ = 1 − ᾱ_{τ_i}/ᾱ_{τ_{i−1}}.
    """
    beta, times, i = drawn
    log_ab, om, _ = tables(beta)
    t, s = times[i], times[i - 1]
    large = -np.expm1(log_ab[t] - log_ab[s])
    small = large * om[s] / om[t]
    x, v = np.zeros((3, 2)), np.full((3, 2), share)
    var = ddpm.respaced_variance(beta, times, x, t, v)
    require(var > 0, f"σ² = {var.min()}")
    expected = column(share * np.log(large) + (1 - share) * np.log(small), x)
    lost = column((t + 1) / np.minimum(large, om[s]), x)
    assert_close(np.log(var), expected + 0 * x, 1e-10, 1 + abs(expected), "log σ²", lost,
                 forgive=True)
