"""I. Learning: losses, times, averages, embedding.  Functions only; three statistical laws."""
import numpy as np
from exact import at, gaussian_oracle, noised, tables
from hypothesis import strategies as st
from strategies import both_variances, cases, for_all, seeds
from test_f_elbo import expected_term
from verdict import assert_close, require

ordinary = cases(lengths=(2, 5, 50), smallest=1e-3, largest_power=0)


def lost_of_noise(case):
    """Units of round-off in √(1 − ᾱ_t), where 1 − ᾱ_t is a subtraction."""
    return (case.T + 1) / at(case.beta, case.t, case.t).root_om.min()


@for_all(case=ordinary, slope=st.sampled_from([0.0, 0.5, -1.0]))
def test_simple_loss_is_the_mean_squared_error_of_the_noise(ddpm, case, slope):
    """L_simple = mean ‖ε − ε_θ(x_t, t)‖² over batch and dimensions (Ho 14)."""
    x_t = noised(case)
    expected = ((case.eps - slope * x_t) ** 2).mean()
    loss = ddpm.simple_loss(case.beta, lambda x, t: slope * x, case.x_0, case.t, case.eps)
    require(loss.size == 1, f"the loss has shape {loss.shape}: it is a number")
    size = 1 + expected + abs(x_t).max() ** 2
    assert_close(loss, expected, 1e-12, size, "L_simple", lost_of_noise(case), forgive=True)


def check_what_is_shown(case, loss):
    """loss(network): the network is shown x_t and t once, item by item."""
    shown = []

    def network(x_t, t):
        shown.append((np.array(x_t), np.array(t)))
        return np.zeros_like(x_t)

    loss(network)
    require(len(shown) == 1, f"the network is evaluated {len(shown)} times")
    (x_t, t), expected = shown[0], noised(case)
    require(np.shape(t) == case.t.shape, f"the network is given t = {t}, not {case.t}")
    require(t == case.t, f"the network is given t = {t}, not {case.t}")
    assert_close(x_t, expected, 1e-12, 1 + abs(case.x_0), "x_t that the network is shown",
                 lost_of_noise(case), forgive=True)


@for_all(case=ordinary)
def test_simple_loss_shows_the_network_x_t_and_t(ddpm, case):
    """The network is shown x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε and t, item by item (Ho 14)."""
    check_what_is_shown(case, lambda network: ddpm.simple_loss(
        case.beta, network, case.x_0, case.t, case.eps))


@for_all(case=ordinary)
def test_v_loss_shows_the_network_x_t_and_t(ddpm, case):
    """The network is shown x_t and t, item by item (Salimans & Ho 2022, §4)."""
    check_what_is_shown(case, lambda network: ddpm.v_loss(
        case.beta, network, case.x_0, case.t, case.eps))


@for_all(case=cases(lengths=(2, 5, 50), smallest=1e-3, first_t=2, largest_power=0))
def test_vlb_loss_shows_the_network_x_t_and_t(ddpm, case):
    """The network is shown x_t and t, item by item (Improved DDPM 4)."""
    check_what_is_shown(case, lambda network: ddpm.vlb_loss(
        case.beta, network, case.x_0, case.t, case.eps, "beta"))


@for_all(case=ordinary)
def test_simple_loss_of_a_perfect_network_is_zero(ddpm, case):
    """L_simple = 0 for ε_θ = ε (Ho 14)."""
    loss = ddpm.simple_loss(case.beta, lambda x, t: case.eps, case.x_0, case.t, case.eps)
    assert_close(loss, 0, 0, 1e-6, "L_simple of ε_θ = ε", 1)


@for_all(case=ordinary, slope=st.sampled_from([0.0, 0.5, -1.0]))
def test_v_loss_is_the_mean_squared_error_of_v(ddpm, case, slope):
    """mean ‖v − v_θ(x_t, t)‖², v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0 (Salimans & Ho 2022, §4)."""
    x_t, c = noised(case), at(case.beta, case.t, case.x_0)
    v = c.root_ab * case.eps - c.root_om * case.x_0
    expected = ((v - slope * x_t) ** 2).mean()
    loss = ddpm.v_loss(case.beta, lambda x, t: slope * x, case.x_0, case.t, case.eps)
    size = (abs(case.eps).max() + abs(x_t).max() + abs(case.x_0).max() + 1) ** 2 / c.ab.min()
    assert_close(loss, expected, 1e-12, size, "mean ‖v − v_θ‖²", lost_of_noise(case), forgive=True)


@for_all(case=cases(lengths=(2, 3, 5, 8, 50), smallest=1e-3, first_t=2, largest_power=0),
         variance=both_variances)
def test_vlb_loss_is_T_times_the_mean_term(ddpm, case, variance):
    """L_vlb = T·mean(L_{t−1})/D (Improved DDPM 4, with t uniform)."""
    terms, size, c = expected_term(case, 0.5 * noised(case) - case.eps, variance)
    expected = case.T * terms.mean() / case.x_0[0].size
    loss = ddpm.vlb_loss(case.beta, lambda x, t: 0.5 * x, case.x_0, case.t, case.eps, variance)
    require(loss.size == 1, f"the loss has shape {loss.shape}: it is a number")
    assert_close(loss, expected, 1e-8, case.T * size.mean(), "L_vlb", c.lost.max(), forgive=True)


@for_all(case=cases(lengths=(5,), smallest=1e-3, largest_power=0))
def test_loss_does_not_grow_with_the_batch(ddpm, case):
    """A batch that holds every item twice has the same loss as before (Ho 14).

    So the learning rate need not depend on the size of the batch.
    """
    def half(x, t):
        return 0.5 * x

    batch = (case.x_0, case.t, case.eps)
    once = ddpm.simple_loss(case.beta, half, *batch)
    twice = ddpm.simple_loss(case.beta, half, *(np.concatenate([a, a]) for a in batch))
    assert_close(twice, once, 1e-12, 1 + abs(once), "loss of the batch twice over")


def test_the_exact_denoiser_scores_its_closed_form(ddpm):
    """Data N(0, s): E(ε − ε*)² = ᾱ_t·s/(ᾱ_t·s + 1 − ᾱ_t) (Luo 130 at its optimum).

    Statistical: fixed seed, 6 standard errors.
    """
    beta, s, n, rng = np.full(5, 0.2), 0.5, 100_000, np.random.default_rng(0)
    denoiser, ab = gaussian_oracle(beta, 0.0, s), np.exp(tables(beta)[0])
    for t in (1, 3, 5):
        x_0, eps = np.sqrt(s) * rng.standard_normal((n, 1)), rng.standard_normal((n, 1))
        loss = ddpm.simple_loss(beta, denoiser, x_0, np.full(n, t), eps)
        expected = ab[t] * s / (ab[t] * s + 1 - ab[t])
        assert_close(loss, expected, 6, expected * np.sqrt(2 / n), f"E(ε − ε*)² at t = {t}")


@for_all(T=st.sampled_from([1, 2, 7, 1000, 4000]))
def test_times_are_uniform(ddpm, T):
    """t is uniform on {1…T}, both ends included (Algorithm 1, line 3).

    Statistical: fixed seed, 6 standard errors.
    """
    rng, n = np.random.default_rng(0), 100 * max(700, T)
    t = np.concatenate([ddpm.draw_times(rng, T, n // 100) for _ in range(100)])
    require(t.shape == (n,), f"{t.size} times for {n} items")
    require((t >= 1) & (t <= T), f"t from {t.min()} to {t.max()}, and T = {T}")
    require(t == np.round(t), "a t is not a whole number")
    counts = np.bincount(t.astype(int), minlength=T + 1)[1:]
    error = np.sqrt(n / T * (1 - 1 / T)) + 1e-9
    assert_close(counts, n / T, 6, error, f"counts of t, T = {T}")


@for_all(T=st.sampled_from([2, 7, 1000]))
def test_each_item_has_its_own_time(ddpm, T):
    """The mean of 16 times varies by (T² − 1)/192 at most, and calls differ (Algorithm 1, line 3).

    Less is allowed: times may be drawn in opposite pairs.  Statistical: fixed seed, 6 standard
    errors.
    """
    rng, n = np.random.default_rng(0), 2000
    means = np.array([ddpm.draw_times(rng, T, 16).mean() for _ in range(n)])
    expected = (T * T - 1) / 192
    over = max(0.0, means.var() - expected)
    assert_close(over, 0, 6, expected * np.sqrt(2 / n), "variance of a mean of 16, above its limit")
    centred = means - (T + 1) / 2
    neighbours = (centred[1:] * centred[:-1]).mean()
    assert_close(neighbours, 0, 6, expected / np.sqrt(n), "covariance of two calls")


@for_all(decay=st.floats(0.5, 0.9999), n=st.integers(1, 12), seed=seeds)
def test_ema_is_its_closed_form(ddpm, decay, n, seed):
    """ema_n = d^n·w_0 + (1 − d)·Σ_k d^{n−k}·w_k (Ho appendix B)."""
    w = np.random.default_rng(seed).standard_normal((n + 1, 3))
    ema = w[0].copy()
    for k in range(1, n + 1):
        ema = ddpm.ema_update(ema, w[k].copy(), decay)
    powers = decay ** np.arange(n, -1, -1.0)
    expected = powers[0] * w[0] + (1 - decay) * powers[1:] @ w[1:]
    assert_close(ema, expected, 1e-12, 5, "ema_n")


@for_all(decay=st.sampled_from([0.9, 0.99, 0.999, 0.9999]))
def test_ema_warms_up(ddpm, decay):
    """The decay rises with the step to its end, so that the random start is soon forgotten."""
    steps = [1, 2, 10, 100, 1000, 10 ** 4, 10 ** 6, 10 ** 9]
    used = np.array([float(ddpm.ema_decay(decay, step)) for step in steps])
    require((used >= 0) & (used <= decay + 1e-6), f"a decay of {used} with {decay} at the end")
    require(np.diff(used) >= 0, f"the decay falls: {used} at steps {steps}")
    require(used[0] < 0.75, f"a decay of {used[0]} in the first step")
    assert_close(used[-1], decay, 1e-6, law="the decay in the end")
    require(used[2] < 0.9 or decay <= 0.9, f"a decay of {used[2]} in the tenth step")


times = st.lists(st.integers(1, 4000), min_size=1, max_size=6)
even = st.sampled_from([2, 4, 8, 32, 128])


@for_all(t=times, dim=even)
def test_time_embedding_has_one_length(ddpm, t, dim):
    """|e(t)|² = dim/2, for even dim (Vaswani et al. 2017, §3.5)."""
    e = ddpm.time_embedding(np.array(t), dim)
    require(e.shape == (len(t), dim), f"e has shape {e.shape}, not {(len(t), dim)}")
    assert_close((e ** 2).sum(1), dim / 2, 1e-9, dim, "|e(t)|²", lost=4)


@for_all(t=times, dim=even)
def test_time_embedding_knows_distances(ddpm, t, dim):
    """⟨e(t), e(s)⟩ depends on t − s alone, for even dim (Vaswani et al. 2017, §3.5)."""
    e = ddpm.time_embedding(np.array(t), dim)
    later = ddpm.time_embedding(np.array(t) + 17, dim)
    assert_close(later @ later.T, e @ e.T, 1e-8, dim, "⟨e(t + 17), e(s + 17)⟩", lost=5000,
                 why="sin and cos of angles up to t")


@for_all(t=times, dim=even)
def test_time_embedding_is_of_t_alone(ddpm, t, dim):
    """Each item's embedding is that of its own t, wherever it stands in the batch."""
    e = ddpm.time_embedding(np.array(t), dim)
    one_by_one = [ddpm.time_embedding(np.array([one]), dim)[0] for one in t]
    assert_close(e, one_by_one, 1e-12, law="each item by itself")


@for_all(dim=st.sampled_from([1, 2, 3, 7, 16]))
def test_time_embedding_of_any_dimension(ddpm, dim):
    """e(t) is defined, and (B, dim), for dim 1, 2, 3, too."""
    e = ddpm.time_embedding(np.arange(1, 11), dim)
    require(e.shape == (10, dim), f"e has shape {e.shape}, not (10, {dim})")
    require(np.isfinite(e), f"e(t) of dimension {dim} is not finite")


@for_all(dim=st.sampled_from([8, 32]))
def test_times_are_told_apart(ddpm, dim):
    """e(t) of any two t in 1…1000 are ≥ .3 apart, those of neighbours < 2.5, for dim ≥ 8."""
    e = ddpm.time_embedding(np.arange(1, 1001), dim)
    squares = sum(np.subtract.outer(part, part) ** 2 for part in e.T)
    distance = np.sqrt(squares) + 9 * np.eye(1000)
    i, j = np.unravel_index(distance.argmin(), distance.shape)
    require(distance.min() > 0.3, f"e({i + 1}) and e({j + 1}) are {distance.min():.3f} apart")
    farthest = np.sqrt(((e[1:] - e[:-1]) ** 2).sum(1)).max()
    require(farthest < 2.5, f"two neighbouring times are {farthest:.3f} apart")
