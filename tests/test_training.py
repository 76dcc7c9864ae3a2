"""Algorithm 1 and its housekeeping against closed forms; a short training that must learn."""
import itertools

import numpy as np
import pytest

from autograd import value_and_grad

from tinyddpm import State, as_denoiser, cosine, log_snr_uniform, mlp, oracle, simple_loss, threads, toy, train
from tinyddpm.network.weights import pack, unpack
from tinyddpm.threads import denoise_in_halves, gradient_in_halves
from tinyddpm.training import adam, clip_norm, denoiser, draw_times, ema_update, initial_state, warm_up_and_decay

NETWORK = mlp(2, width=32, depth=1, embedding=16)


def draw(rng, n):
    return toy("eight_gaussians").sample(rng, n).astype(np.float32)


def test_adam_follows_the_paper():
    """Against the recursions written out in float64."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(5)
    state, m, v, theta = State(0, weights, weights, np.zeros(5), np.zeros(5)), 0, 0, weights
    for step in range(1, 20):
        g = rng.standard_normal(5)
        state = adam(state, g, 0.01)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        theta = theta - 0.01 * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)
        assert state.step == step and state.weights == pytest.approx(theta, rel=1e-12)


def test_ema_is_its_closed_form():
    """ema_n = decay^n·w_0 + (1 − decay)·Σ decay^{n−k}·w_k, once the decay has its value."""
    w = np.random.default_rng(0).standard_normal((30, 4))
    ema = w[0]
    for k in range(1, 30):
        ema = ema_update(ema, w[k], 0.9, step=10 ** 6)
    powers = 0.9 ** np.arange(29, -1, -1)
    assert ema == pytest.approx(powers[0] * w[0] + 0.1 * powers[1:] @ w[1:], rel=1e-12)
    assert ema_update(w[0], w[1], 0.999, step=1) == pytest.approx(2 / 11 * w[0] + 9 / 11 * w[1])


def test_long_gradients_are_shortened_and_short_ones_are_not():
    clipped, norm = clip_norm(np.array([3.0, 4.0]), 1.0)
    assert norm == 5 and clipped == pytest.approx([0.6, 0.8])
    clipped, norm = clip_norm(np.array([3e30, 4e30], np.float32), 1.0)  # their squares are no float32
    assert norm == pytest.approx(5e30) and clipped == pytest.approx([0.6, 0.8])
    assert clip_norm(np.array([0.3, 0.4]), 1.0)[0].tolist() == [0.3, 0.4]


def test_rate_warms_up_and_decays():
    rate = warm_up_and_decay(2.0, warm_up=10)
    assert [rate(0, 0), rate(9, 0), rate(99, 0.5), rate(99, 1.0)] == pytest.approx([0.2, 2.0, 1.0, 0.0])


def test_times_are_uniform_on_1_to_T():
    """Statistical: fixed seed, 6 standard errors; both ends drawn, one t an item."""
    t = draw_times(np.random.default_rng(0), 10, 100_000)
    counts = np.bincount(t, minlength=11)
    assert counts[0] == 0 and len(counts) == 11
    assert (abs(counts[1:] - 10_000) < 6 * np.sqrt(100_000 * 0.09)).all()


def test_training_learns():
    """400 small steps bring the network to a quarter of the excess nats that the zero network has."""
    data, schedule, rng = toy("eight_gaussians"), log_snr_uniform(50), np.random.default_rng(0)
    before = oracle.excess(schedule, lambda x, t: 0 * x, data, np.random.default_rng(1), n=200)[0]
    for step in train(NETWORK, schedule, draw, rng, 400, rate=warm_up_and_decay(5e-3)):
        pass
    after = oracle.excess(schedule, denoiser(schedule, NETWORK, step.state.ema), data, np.random.default_rng(1), n=200)[0]
    assert after < before / 4


def test_training_is_a_generator_of_float32_states_and_leaves_them_alone():
    seen = [(step.state, step.state.weights.copy(), step.state.ema.copy())
            for step in train(NETWORK, cosine(20), draw, np.random.default_rng(0), 5)]
    assert [state.step for state, _, _ in seen] == [1, 2, 3, 4, 5]
    for state, weights, ema in seen:
        assert all(array.dtype == np.float32 for array in state[1:])
        assert (state.weights == weights).all() and (state.ema == ema).all()


def test_a_step_shortens_the_gradient_and_averages_the_weights():
    """Adam's first moment is a tenth of the gradient it was given; the average begins with 2/11 of the start."""
    start = initial_state(NETWORK, np.random.default_rng(0)).weights
    state = next(train(NETWORK, cosine(20), draw, np.random.default_rng(0), 1, largest_gradient=1e-3, rate=lambda *_: 0.1)).state
    assert np.linalg.norm(state.first_moment) == pytest.approx(0.1 * 1e-3, rel=1e-3)
    assert abs(state.weights - start).max() > 0.05
    assert state.ema == pytest.approx(2 / 11 * start + 9 / 11 * state.weights, abs=1e-6)


@pytest.mark.parametrize("predicts", ["eps", "x_0", "v", "score"])
def test_the_loss_is_handed_a_batch_with_a_t_each_and_the_guess_under_its_name(predicts):
    """The untrained network says zero, and what zero means for ε is told by `predicts`."""
    seen = []
    def loss(schedule, guessed, x_0, t, eps):
        zero = as_denoiser(schedule, lambda x, t: 0 * x, predicts)
        seen.append((x_0.shape, eps.shape, t.shape, float(simple_loss(schedule, zero, x_0, t, eps))))
        return simple_loss(schedule, guessed, x_0, t, eps)
    step = next(train(NETWORK, cosine(20), draw, np.random.default_rng(0), 1, batch=7, loss=loss, predicts=predicts))
    assert seen == [((7, 2), (7, 2), (7,), pytest.approx(step.loss, rel=1e-5))]


def test_a_denoiser_takes_its_weights_nested_or_in_one_vector_and_the_network_at_its_word():
    weights = NETWORK.init(np.random.default_rng(0))
    weights["last"]["b"] += 0.3
    x = np.random.default_rng(1).standard_normal((3, 2))
    expected = as_denoiser(cosine(20), lambda x, t: NETWORK.apply(weights, x, t), "v")(x, 9)
    for given in (weights, pack(weights)):
        assert (denoiser(cosine(20), NETWORK, given, "v")(x, 9) == expected).all()
        assert (denoiser(cosine(20), NETWORK, given)(x, 9) == NETWORK.apply(weights, x, 9)).all()


def test_the_rate_is_told_the_step_and_the_progress():
    def told(**options):
        seen = []
        list(train(NETWORK, cosine(20), draw, np.random.default_rng(0), 4, rate=lambda *at: seen.append(at) or 1e-3, **options))
        return seen
    assert told() == [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert told(progress=lambda: 0.9) == [(0, 0.9), (1, 0.9), (2, 0.9), (3, 0.9)]


def test_the_same_seed_gives_the_same_bytes_and_a_state_goes_on_from_where_it_was():
    def states(rng, state=None, first=0, steps=6):
        return [step.state for step in train(NETWORK, cosine(20), draw, rng, steps, state=state)]
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    whole, half = states(rng), list(itertools.islice(train(NETWORK, cosine(20), draw, again, 6), 3))[-1].state
    rest = states(again, half)
    assert all((a == b).all() for a, b in zip(whole[-1][1:], rest[-1][1:])) and rest[-1].step == 6


def test_a_divergence_is_said():
    rng = np.random.default_rng(0)
    broken = initial_state(NETWORK, rng)
    broken = broken._replace(weights=np.full_like(broken.weights, np.nan))
    with pytest.raises(FloatingPointError, match="diverged"):
        next(train(NETWORK, cosine(20), draw, rng, 5, state=broken))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_halves_in_threads_are_the_whole(n):
    """Value, gradient and ε̂, for even and odd batches and one item; and the state of BLAS is left as it was."""
    rng = np.random.default_rng(0)
    x, t, eps = rng.standard_normal((n, 2)), rng.integers(1, 21, n), rng.standard_normal((n, 2))
    template = NETWORK.init(rng)
    vector = pack(template).astype(float) + 0.1
    both = value_and_grad(lambda v, *batch: simple_loss(cosine(20), denoiser(cosine(20), NETWORK, unpack(v, template)), *batch))
    for whole, halves in zip(both(vector, x, t, eps), gradient_in_halves(both)(vector, x, t, eps)):
        assert halves == pytest.approx(whole, rel=1e-9, abs=1e-12)
    one = denoiser(cosine(20), NETWORK, pack(template) + np.float32(0.1))
    for time in (t, 7):
        assert denoise_in_halves(one)(x, time) == pytest.approx(one(x, time), rel=1e-5)


def test_a_batch_of_fewer_items_than_least_stays_whole():
    for n, parts in [(5, 1), (6, 2)]:
        assert [len(part) for _, part in threads.in_halves(lambda x: x, np.arange(n), least=6)] == [n // parts] * parts


def test_without_threadpoolctl_all_stays_in_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "_blas", lambda: None)
    assert threads.in_halves(lambda x: x, np.arange(4))[0][1].tolist() == [0, 1, 2, 3]
