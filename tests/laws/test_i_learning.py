"""I. Learning: loss, times, average, embedding.  Functions only; two statistical laws."""
import numpy as np
from exact import at_one_time, gaussian_oracle
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, betas, cases, tables


@given(betas(lengths=(2, 3, 5, 8, 50, 1000), smallest=1e-8), st.floats(0, 1), st.data())
def test_learned_variance_interpolates_logs(ddpm, beta, v, data):
    """σ² = β_t^v·β̃_t^{1−v}, and so √(β_t·β̃_t) for v = ½ (Improved DDPM 15).

    At t = 1, where β̃_1 = 0, σ² is finite and positive.
    """
    t = data.draw(st.integers(2, len(beta)))
    x, bt = np.zeros((1, 1)), tables(beta)[2]
    var = float(np.squeeze(ddpm.learned_variance(beta, x, t, np.full((1, 1), v))))
    expected = v * np.log(beta[t - 1]) + (1 - v) * np.log(bt[t])
    assert_close(np.log(var), expected, 1e-11, 1 + abs(np.log(bt[t])), "log σ²")
    first = ddpm.learned_variance(beta, x, 1, np.full((1, 1), v))
    assert np.isfinite(first).all() and (first > 0).all(), f"σ_1² = {first}"


@given(cases(lengths=(2, 5, 50), smallest=1e-3, largest_power=0))
def test_simple_loss_is_the_mean_squared_error_of_the_noise(ddpm, case):
    """L_simple = mean ‖ε − ε_θ(x_t, t)‖² (Ho 14).

    So it is 0 for ε_θ = ε, and mean ε² for ε_θ = 0; and the network is given x_t and t.
    """
    inputs = []

    def zero(x_t, t):
        inputs.append((np.array(x_t), np.array(t)))
        return np.zeros_like(x_t)

    loss = ddpm.simple_loss(case.beta, zero, case.x_0, case.t, case.eps)
    assert_close(loss, (case.eps ** 2).mean(), 1e-12, law="loss of ε_θ = 0")
    loss = ddpm.simple_loss(case.beta, lambda x, t: case.eps, case.x_0, case.t, case.eps)
    assert_close(loss, 0, 0, law="loss of ε_θ = ε")
    x_t, t = inputs[0]
    expected = ddpm.q_sample(case.beta, case.x_0, case.t, case.eps)
    assert_close(x_t, expected, 1e-12, 1 + abs(case.x_0), "the network's input")
    assert (t == case.t).all(), f"the network is given t = {t}, not {case.t}"


@given(cases(lengths=(5,), smallest=1e-3, largest_power=0))
def test_loss_does_not_grow_with_the_batch(ddpm, case):
    """A batch that holds every item twice has the same loss as before.

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
        loss = ddpm.simple_loss(beta, at_one_time(denoiser), x_0, np.full(n, t), eps)
        expected = ab[t] * s / (ab[t] * s + 1 - ab[t])
        assert_close(loss, expected, 6, expected * np.sqrt(2 / n), f"E(ε − ε*)² at t = {t}")


def test_times_are_uniform_and_one_for_each_item(ddpm):
    """t is uniform on {1…T}, both ends included (Algorithm 1, line 3), one draw for each item.

    Statistical: fixed seed, 6 standard errors.
    """
    rng, T, n = np.random.default_rng(0), 7, 70_000
    t = np.concatenate([ddpm.draw_times(rng, T, 700) for _ in range(100)])
    assert t.shape == (n,) and t.min() == 1 and t.max() == T, (
        f"t from {t.min()} to {t.max()}, not from 1 to {T}")
    counts = np.bincount(t, minlength=T + 1)[1:]
    assert_close(counts, n / T, 6, np.sqrt(n * (1 / T) * (1 - 1 / T)), "counts of t")
    centred = (t - 4) / 2
    correlation = (centred[1:] * centred[:-1]).mean()
    assert_close(correlation, 0, 6, 1 / np.sqrt(n), "correlation of neighbours")


@given(st.floats(0.5, 0.9999), st.integers(1, 12), st.integers(0, 2 ** 16))
def test_ema_is_its_closed_form(ddpm, decay, n, seed):
    """ema_n = d^n·w_0 + (1 − d)·Σ_k d^{n−k}·w_k; the raw weights stay as they are."""
    w = np.random.default_rng(seed).standard_normal((n + 1, 3))
    before, ema = w.copy(), w[0].copy()
    for k in range(1, n + 1):
        ema = ddpm.ema_update(ema, w[k], decay)
    powers = decay ** np.arange(n, -1, -1.0)
    expected = powers[0] * w[0] + (1 - decay) * powers[1:] @ w[1:]
    assert_close(ema, expected, 1e-12, 5, "ema_n")
    assert (w == before).all(), "the raw weights have changed"


times = st.lists(st.integers(1, 4000), min_size=1, max_size=6)


@given(times, st.sampled_from([2, 4, 8, 32, 128]))
def test_time_embedding(ddpm, t, dim):
    """|e(t)|² = dim/2, and ⟨e(t), e(s)⟩ depends on t − s alone (Vaswani et al. 2017, §3.5)."""
    t = np.array(t)
    e, later = ddpm.time_embedding(t, dim), ddpm.time_embedding(t + 17, dim)
    assert e.shape == (len(t), dim), f"e has shape {e.shape}, not {(len(t), dim)}"
    assert_close((e ** 2).sum(1), dim / 2, 1e-9, law="|e(t)|²")
    assert_close(later @ later.T, e @ e.T, 1e-8, dim, "⟨e(t + 17), e(s + 17)⟩")
    one_by_one = [ddpm.time_embedding(t[i:i + 1], dim)[0] for i in range(len(t))]
    assert_close(e, one_by_one, 1e-12, law="each item by itself")


def test_times_are_told_apart(ddpm):
    """The embeddings of any two t in 1…1000 are ≥ .3 apart for dim ≥ 8.

    Those of neighbouring t are < 2.5 apart; and dim 1 and 2 are defined.
    """
    for dim in (8, 32):
        e = ddpm.time_embedding(np.arange(1, 1001), dim)
        distance = np.sqrt(np.maximum(dim - 2 * e @ e.T, 0)) + 9 * np.eye(1000)
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        assert distance.min() > 0.3, f"e({i + 1}) and e({j + 1}) are {distance.min():.3f} apart"
        farthest = np.sqrt(((e[1:] - e[:-1]) ** 2).sum(1)).max()
        assert farthest < 2.5, f"two neighbouring times are {farthest:.3f} apart"
    for dim in (1, 2):
        e = ddpm.time_embedding(np.arange(1, 11), dim)
        assert np.isfinite(e).all(), f"e(t) of dimension {dim} is not finite"
