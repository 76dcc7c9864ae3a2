"""Algorithm 1 and the parts of `train` against closed forms; a short training that must learn."""
import itertools
import subprocess
import sys

import numpy as np
import pytest

from tinyddpm import (
    State,
    as_denoiser,
    cosine,
    log_snr_uniform,
    mlp,
    oracle,
    simple_loss,
    toy,
    train,
)
from tinyddpm.network.weights import pack
from tinyddpm.training import (
    adam,
    adam_in_place,
    algorithm_1,
    clip_norm,
    denoiser,
    ema_update,
    initial_state,
    warm_up_and_decay,
)

NETWORK = mlp(2, width=32, depth=1, embedding=16)


def draw(rng, n):
    return toy("eight_gaussians").sample(rng, n).astype(np.float32)


def test_adam_follows_the_paper_and_its_fast_form_follows_it():
    """Both against the recursions of the paper, written out in float64, over many steps."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(5)
    plain = fast = State(0, weights, weights, np.zeros(5), np.zeros(5))
    m, v, theta = 0, 0, weights
    for step in range(1, 20):
        g = rng.standard_normal(5)
        before = fast.weights.copy()
        plain = adam(plain, g, 0.01)
        previous, fast = fast, adam_in_place(fast, g, 0.01)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g ** 2
        theta = theta - 0.01 * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)
        for state in (plain, fast):
            assert state.step == step and state.weights == pytest.approx(theta, rel=1e-12)
        assert (previous.weights == before).all()  # the State before is unchanged


def test_algorithm_1_is_training_without_options():
    """The bare loop and `train` with plain gradient descent go through the same weights."""
    def descent(state, gradient, learning_rate):
        return state._replace(step=state.step + 1, weights=state.weights - learning_rate * gradient)

    schedule, weights = cosine(20), pack(NETWORK.init(np.random.default_rng(1)))
    bare = algorithm_1(schedule, NETWORK, weights, draw, np.random.default_rng(0), 5, 16)
    state = State(0, weights, weights, 0 * weights, 0 * weights)
    steps = train(schedule, NETWORK, draw, np.random.default_rng(0), 5, 16, state=state,
                  max_norm=1e9, learning_rate=lambda step, progress: 0.1, optimiser=descent)
    *_, last = steps
    assert (bare == last.state.weights).all() and (bare != weights).any()
    assert last.state.step == 5 and last.loss < 1.2




def test_the_average_forgets_a_random_start():
    """The decay is at most (1 + step)/(10 + step): 2/11 after the first step."""
    w = np.random.default_rng(0).standard_normal((2, 4))
    expected = 2 / 11 * w[0] + 9 / 11 * w[1]
    assert ema_update(w[0], w[1], 0.999, step=1) == pytest.approx(expected)


def test_long_gradients_are_shortened_and_short_ones_are_not():
    clipped, norm = clip_norm(np.array([3.0, 4.0]), 1.0)
    assert norm == 5 and clipped == pytest.approx([0.6, 0.8])
    clipped, norm = clip_norm(np.array([3e30, 4e30], np.float32), 1.0)  # the squares overflow
    assert norm == pytest.approx(5e30) and clipped == pytest.approx([0.6, 0.8])
    assert clip_norm(np.array([0.3, 0.4]), 1.0)[0].tolist() == [0.3, 0.4]


def test_learning_rate_warms_up_and_decays():
    learning_rate = warm_up_and_decay(2.0, warm_up=10)
    found = [learning_rate(*at) for at in ((0, 0), (9, 0), (99, 0.5), (99, 1.0))]
    assert found == pytest.approx([0.2, 2.0, 1.0, 0.0])


def test_training_learns():
    """After 400 small steps the excess over the optimum is below a quarter of the zero network's.

    Algorithm 1, with its options.
    """
    data, schedule = toy("eight_gaussians"), log_snr_uniform(50)

    def excess(denoiser):
        return oracle.excess(schedule, denoiser, data, np.random.default_rng(1), n=200)[0]

    steps = train(schedule, NETWORK, draw, np.random.default_rng(0), 400, learning_rate=5e-3)
    *_, last = steps
    trained = denoiser(schedule, NETWORK, last.state.ema)
    assert excess(trained) < excess(lambda x, t: 0 * x) / 4


def test_training_is_a_generator_of_float32_states_and_leaves_them_alone():
    seen = [(step.state, step.state.weights.copy(), step.state.ema.copy())
            for step in train(cosine(20), NETWORK, draw, np.random.default_rng(0), 5)]
    assert [state.step for state, _, _ in seen] == [1, 2, 3, 4, 5]
    for state, weights, ema in seen:
        assert all(array.dtype == np.float32 for array in state[1:])
        assert (state.weights == weights).all() and (state.ema == ema).all()


def test_a_step_shortens_the_gradient_and_averages_the_weights():
    """The first moment is a tenth of the gradient; the average begins with 2/11 of the start."""
    start = initial_state(NETWORK, np.random.default_rng(0)).weights
    steps = train(cosine(20), NETWORK, draw, np.random.default_rng(0), 1, max_norm=1e-3,
                  learning_rate=lambda step, progress: 0.1)
    state = next(steps).state
    assert np.linalg.norm(state.first_moment) == pytest.approx(0.1 * 1e-3, rel=1e-3)
    assert abs(state.weights - start).max() > 0.05
    assert state.ema == pytest.approx(2 / 11 * start + 9 / 11 * state.weights, abs=1e-6)


@pytest.mark.parametrize("predicts", ["eps", "x_0", "v", "score"])
def test_the_loss_is_given_a_batch_with_a_t_each_and_a_denoiser(predicts):
    """The untrained network outputs zero; `predicts` decides which ε̂ that is."""
    shapes, losses = [], []

    def loss(schedule, denoiser, x_0, t, eps):
        zero = as_denoiser(schedule, lambda x, t: 0 * x, predicts)
        shapes.append((x_0.shape, eps.shape, t.shape))
        losses.append(float(simple_loss(schedule, zero, x_0, t, eps)))
        return simple_loss(schedule, denoiser, x_0, t, eps)

    steps = train(cosine(20), NETWORK, draw, np.random.default_rng(0), 1, batch=7, loss=loss,
                  predicts=predicts)
    assert losses == [] and next(steps).loss == pytest.approx(losses[0], rel=1e-5)
    assert shapes == [((7, 2), (7, 2), (7,))]


def test_a_denoiser_takes_its_weights_nested_or_in_one_vector():
    weights = NETWORK.init(np.random.default_rng(0))
    weights["last"]["b"] += 0.3
    x = np.random.default_rng(1).standard_normal((3, 2))
    expected = as_denoiser(cosine(20), lambda x, t: NETWORK.apply(weights, x, t), "v")(x, 9)
    for given in (weights, pack(weights)):
        assert (denoiser(cosine(20), NETWORK, given, "v")(x, 9) == expected).all()
        assert (denoiser(cosine(20), NETWORK, given)(x, 9) == NETWORK.apply(weights, x, 9)).all()


@pytest.mark.parametrize("progress, expected", [
    (None, [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75)]),
    (lambda: 0.9, [(0, 0.9), (1, 0.9), (2, 0.9), (3, 0.9)])])
def test_the_learning_rate_is_given_the_step_and_the_progress(progress, expected):
    given = []

    def learning_rate(step, progress):
        given.append((step, progress))
        return 1e-3

    list(train(cosine(20), NETWORK, draw, np.random.default_rng(0), 4,
               learning_rate=learning_rate, progress=progress))
    assert given == expected


def test_the_same_seed_gives_the_same_bytes_and_a_training_resumes_from_a_state():
    def steps(rng, state=None):
        return train(cosine(20), NETWORK, draw, rng, 6, state=state)

    *_, whole = steps(np.random.default_rng(3))
    rng = np.random.default_rng(3)
    *_, third = itertools.islice(steps(rng), 3)
    *_, resumed = steps(rng, third.state)
    assert whole.state.step == resumed.state.step == 6 and third.state.step == 3
    for a, b in zip(whole.state[1:], resumed.state[1:]):
        assert (a == b).all()


def test_a_divergence_raises_an_error():
    rng = np.random.default_rng(0)
    broken = initial_state(NETWORK, rng)
    broken = broken._replace(weights=np.full_like(broken.weights, np.nan))
    with pytest.raises(FloatingPointError, match="diverged"):
        next(train(cosine(20), NETWORK, draw, rng, 5, state=broken))


IN_A_LOOP_OF_ONES_OWN = """
import numpy as np
from threadpoolctl import threadpool_info
from tinyddpm import cosine, mlp, simple_loss, train

def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

def draw(rng, n):
    return rng.standard_normal((n, 2), np.float32)

def loss(*arguments):
    print("inside", set(blas_threads()) <= {1})
    return simple_loss(*arguments)

before = blas_threads()
for _ in train(cosine(20), mlp(2, 8, 1), draw, np.random.default_rng(0), 2, 16, loss=loss):
    print("between", blas_threads() == before)
"""


def test_a_step_limits_blas_to_one_thread_and_leaves_the_caller_as_it_was():
    """In a process of its own, as threads of a BLAS that another test has loaded do not count."""
    pytest.importorskip("threadpoolctl")
    done = subprocess.run([sys.executable, "-c", IN_A_LOOP_OF_ONES_OWN], capture_output=True,
                          text=True)
    assert done.stdout.splitlines() == ["inside True", "between True"] * 2, done.stderr
