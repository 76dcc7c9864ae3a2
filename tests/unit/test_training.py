"""Algorithm 1 and its housekeeping against closed forms; a short training that must learn."""
import itertools
import threading

import numpy as np
import pytest

from autograd import value_and_grad

from tinyddpm import (State, ancestral_sampling, as_denoiser, cosine, final_sample, log_snr_uniform, mlp,
    oracle, simple_loss, toy, train)
from tinyddpm.network import threads
from tinyddpm.network.weights import pack, unpack
from tinyddpm.sampling import SamplingStep
from tinyddpm.network.threads import denoise_in_halves, gradient_in_halves
from tinyddpm.training import adam, adam_in_place, algorithm_1, clip_norm, denoiser, draw_times, ema_update, initial_state, warm_up_and_decay

NETWORK = mlp(2, width=32, depth=1, embedding=16)


def draw(rng, n):
    return toy("eight_gaussians").sample(rng, n).astype(np.float32)


def test_adam_follows_the_paper_and_its_fast_form_follows_it():
    """Against the recursions written out in float64; the fast form in one step after another, too."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(5)
    plain = fast = State(0, weights, weights, np.zeros(5), np.zeros(5))
    m, v, theta = 0, 0, weights
    for step in range(1, 20):
        g = rng.standard_normal(5)
        before = fast.weights.copy()
        plain, previous, fast = adam(plain, g, 0.01), fast, adam_in_place(fast, g, 0.01)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        theta = theta - 0.01 * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)
        for state in (plain, fast):
            assert state.step == step and state.weights == pytest.approx(theta, rel=1e-12)
        assert (previous.weights == before).all()  # a State that was handed over never changes


def test_algorithm_1_is_training_without_options():
    """The bare loop and `train` with plain gradient descent go through the same weights."""
    def descent(state, gradient, learning_rate):
        return state._replace(step=state.step + 1, weights=state.weights - learning_rate * gradient)

    schedule, weights = cosine(20), pack(NETWORK.init(np.random.default_rng(1)))
    bare = algorithm_1(schedule, NETWORK, weights, draw, np.random.default_rng(0), 5, 16)
    state = State(0, weights, weights, 0 * weights, 0 * weights)
    *_, last = train(schedule, NETWORK, draw, np.random.default_rng(0), 5, 16, state=state, max_norm=1e9,
                     learning_rate=lambda step, progress: 0.1, optimiser=descent)
    assert (bare == last.state.weights).all() and (bare != weights).any()
    assert last.state.step == 5 and last.loss < 1.2


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
    for step in train(schedule, NETWORK, draw, rng, 400, learning_rate=warm_up_and_decay(5e-3)):
        pass
    after = oracle.excess(schedule, denoiser(schedule, NETWORK, step.state.ema), data, np.random.default_rng(1), n=200)[0]
    assert after < before / 4


def test_training_is_a_generator_of_float32_states_and_leaves_them_alone():
    seen = [(step.state, step.state.weights.copy(), step.state.ema.copy())
            for step in train(cosine(20), NETWORK, draw, np.random.default_rng(0), 5)]
    assert [state.step for state, _, _ in seen] == [1, 2, 3, 4, 5]
    for state, weights, ema in seen:
        assert all(array.dtype == np.float32 for array in state[1:])
        assert (state.weights == weights).all() and (state.ema == ema).all()


def test_a_step_shortens_the_gradient_and_averages_the_weights():
    """Adam's first moment is a tenth of the gradient it was given; the average begins with 2/11 of the start."""
    start = initial_state(NETWORK, np.random.default_rng(0)).weights
    state = next(train(cosine(20), NETWORK, draw, np.random.default_rng(0), 1, max_norm=1e-3, learning_rate=lambda *_: 0.1)).state
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
    step = next(train(cosine(20), NETWORK, draw, np.random.default_rng(0), 1, batch=7, loss=loss, predicts=predicts))
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
        list(train(cosine(20), NETWORK, draw, np.random.default_rng(0), 4, learning_rate=lambda *at: seen.append(at) or 1e-3, **options))
        return seen
    assert told() == [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert told(progress=lambda: 0.9) == [(0, 0.9), (1, 0.9), (2, 0.9), (3, 0.9)]


def test_the_same_seed_gives_the_same_bytes_and_a_state_goes_on_from_where_it_was():
    def states(rng, state=None, first=0, steps=6):
        return [step.state for step in train(cosine(20), NETWORK, draw, rng, steps, state=state)]
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    whole, half = states(rng), list(itertools.islice(train(cosine(20), NETWORK, draw, again, 6), 3))[-1].state
    rest = states(again, half)
    assert all((a == b).all() for a, b in zip(whole[-1][1:], rest[-1][1:])) and rest[-1].step == 6


def test_a_divergence_is_said():
    rng = np.random.default_rng(0)
    broken = initial_state(NETWORK, rng)
    broken = broken._replace(weights=np.full_like(broken.weights, np.nan))
    with pytest.raises(FloatingPointError, match="diverged"):
        next(train(cosine(20), NETWORK, draw, rng, 5, state=broken))


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


def test_without_threadpoolctl_the_halves_come_one_after_the_other(monkeypatch):
    """And so give the same numbers; in a half, a batch stays whole."""
    where = lambda x: (x.tolist(), threading.current_thread() is threading.main_thread(), len(threads.in_halves(lambda y: y, x)))
    both = [threads.in_halves(where, np.arange(4))]
    monkeypatch.setattr(threads, "_blas", lambda: None)
    both.append(threads.in_halves(where, np.arange(4)))
    assert [[half for _, half in halves] for halves in both] == [[([0, 1], here, 1), ([2, 3], True, 1)] for here in (False, True)]


def test_both_halves_ignore_what_is_ignored():
    with np.errstate(over="ignore"):
        assert [part for _, part in threads.in_halves(lambda x: x ** 2, np.full(2, 1e300))] == [np.inf, np.inf]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_chain_in_halves_is_two_chains(n):
    """Each with its own generator, whose seeds come from the one that is given: the same again for the same seed."""
    schedule, x = cosine(20), np.random.default_rng(3).standard_normal((n, 2))
    one = denoiser(schedule, NETWORK, NETWORK.init(np.random.default_rng(0)))
    sampler = lambda x, rng: ancestral_sampling(schedule, one, x, rng)
    generators = np.random.default_rng(7).spawn(2)
    parts = [(x[:n // 2], generators[0]), (x[n // 2:], generators[1])] if n > 1 else [(x, generators[0])]
    for _ in range(2):
        found = threads.last_in_halves(sampler, x, np.random.default_rng(7))
        assert found.shape == x.shape
    assert found == pytest.approx(np.concatenate([final_sample(sampler(*part)) for part in parts]), rel=1e-12)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_chain_that_breaks_ends_in_both_threads(broken):
    """By Ctrl-C or an error, which the other thread would otherwise not hear of before its end."""
    steps = [0, 0]

    def sampler(x, rng):
        half = int(x[0])
        for steps[half] in range(10 ** 6):
            if half == broken and steps[half] == 3:
                raise KeyboardInterrupt
            yield SamplingStep(0, x, x)
    with pytest.raises(KeyboardInterrupt):
        threads.last_in_halves(sampler, np.array([0.0, 1.0]), np.random.default_rng(0))
    threads.pool().submit(int).result()  # free again
    assert steps[1 - broken] < 10 ** 6 - 1
