"""Training: Algorithm 1 as the paper prints it, and the same with options.

Draw data, times and noise; predict the noise; take a gradient step on the squared error.
`algorithm_1` is that and nothing else.  `train` adds what diffusion models are usually trained
with: Adam, a maximum norm for the gradient, a learning rate that rises and then decays, and a
running average of the weights (EMA), which varies less than the weights and is used for sampling.

In `train` all weights are one flat float32 vector: Adam, the norm and the average are vector
arithmetic.
"""
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from .checks import check, check_generator
from .elbo import simple_loss
from .forward import diffuse
from .gaussian import Array, noise_like
from .network.threads import one_blas_thread
from .network.weights import expected_norm, pack, unpack
from .reverse import Denoiser, as_denoiser
from .schedule import Schedule

Draw = Callable[[np.random.Generator, int], Array]


def algorithm_1(schedule: Schedule, network: Any, weights: Array, draw: Draw,
                rng: np.random.Generator, steps: int, batch: int = 128,
                learning_rate: float = 0.1) -> Array:
    """Algorithm 1 of Ho et al., line by line, with plain gradient descent.

    weights: one flat vector, `pack(network.init(rng))`; draw: (rng, n) → x_0, (n, …) float32.
    Returns the trained weights.  `train` is the same with options.
    """
    def squared_error(weights: Array, x_0: Array, t: Array, eps: Array) -> Any:
        x_t = diffuse(schedule, x_0, t, eps)              # √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε
        predict_noise = denoiser(schedule, network, weights)
        eps_hat = predict_noise(x_t, t)
        return anp.mean((eps - eps_hat) ** 2)             # ‖ε − ε_θ(x_t, t)‖², per dimension

    check_generator(rng)
    value_and_gradient = value_and_grad(squared_error)
    for _ in range(steps):                                # line 1
        x_0 = draw(rng, batch)                            # line 2
        t = draw_times(rng, schedule.T, batch)            # line 3
        eps = noise_like(rng, x_0)                        # line 4
        _, gradient = value_and_gradient(weights, x_0, t, eps)
        weights = weights - learning_rate * gradient      # line 5
    return weights


def draw_times(rng: np.random.Generator, T: int, n: int) -> Array:
    """n times, independent and uniform on {1, …, T}, T included (Algorithm 1, line 3)."""
    return rng.integers(1, T, size=n, endpoint=True)


def denoiser(schedule: Schedule, network: Any, weights: Any, predicts: str = "eps") -> Denoiser:
    """The network as a denoiser (x_t, t) → ε̂.  weights: nested, or one flat vector."""
    if not isinstance(weights, (dict, list)):
        weights = unpack(weights, network.layout)
    return as_denoiser(schedule, lambda x_t, t: network.apply(weights, x_t, t), predicts)


# The parts that `train` adds.

class State(NamedTuple):
    """The state of training: flat float32 vectors, and the number of steps done."""

    step: int
    weights: Any
    ema: Any
    first_moment: Any
    second_moment: Any


def initial_state(network: Any, rng: np.random.Generator) -> State:
    """Fresh weights; their average starts equal to them, Adam's moments at zero."""
    weights = pack(network.init(rng))
    return State(0, weights, weights, np.zeros_like(weights), np.zeros_like(weights))


Optimiser = Callable[[State, Array, float], State]


def adam(state: State, gradient: Array, learning_rate: float, beta_1: float = 0.9,
         beta_2: float = 0.999, eps: float = 1e-8) -> State:
    """One step of Adam, as its paper writes it (Kingma & Ba 2015, Algorithm 1).

    m and v there are the first and the second moment here: running averages of the gradient and of
    its square.  Dividing by 1 − β^step corrects for their start at zero.
    """
    step = state.step + 1
    first = beta_1 * state.first_moment + (1 - beta_1) * gradient
    second = beta_2 * state.second_moment + (1 - beta_2) * gradient ** 2
    first_hat = first / (1 - beta_1 ** step)
    second_hat = second / (1 - beta_2 ** step)
    weights = state.weights - learning_rate * first_hat / (np.sqrt(second_hat) + eps)
    return state._replace(step=step, weights=weights, first_moment=first, second_moment=second)


def adam_in_place(state: State, gradient: Array, learning_rate: float, beta_1: float = 0.9,
                  beta_2: float = 0.999, eps: float = 1e-8) -> State:
    """The same as `adam`, with fewer passes over the vectors: `train` uses this one.

    √(second_hat) + eps = (√second + eps·c)/c with c = √(1 − β₂^step): so the two corrections become
    one factor, and eps becomes eps·c (Kingma & Ba, §2).
    """
    step = state.step + 1
    first = lerp(state.first_moment, gradient, 1 - beta_1)
    second = lerp(state.second_moment, gradient ** 2, 1 - beta_2)
    c = float(np.sqrt(1 - beta_2 ** step))  # a plain float leaves a float32 vector float32
    factor = float(learning_rate * c / (1 - beta_1 ** step))
    change = np.sqrt(second)
    change += eps * c
    np.divide(first, change, out=change)
    change *= -factor
    weights = np.add(state.weights, change, out=change)
    return state._replace(step=step, weights=weights, first_moment=first, second_moment=second)


def lerp(old: Array, new: Array, share: float) -> Array:
    """old + share·(new − old) = (1 − share)·old + share·new, in one new array."""
    average = new - old
    average *= share
    average += old
    return average


def ema_update(ema: Array, weights: Array, decay: float, step: int) -> Array:
    """decay·ema + (1 − decay)·weights, with a decay of at most (1 + step)/(10 + step).

    In the first steps this decay is small, so the average soon forgets the random start.
    """
    decay = min(decay, (1 + step) / (10 + step))
    return lerp(ema, weights, 1 - decay)


def clip_norm(gradient: Array, max_norm: float) -> tuple[Array, float]:
    """(gradient, norm): the gradient scaled down to `max_norm`, and its norm before that."""
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(gradient))
    if not np.isfinite(norm):  # the float32 sum of squares can overflow
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
    if norm > max_norm:
        gradient = gradient * (max_norm / norm)
    return gradient, norm


LearningRate = Callable[[int, float], float]


def warm_up_and_decay(learning_rate: float, warm_up: int = 100) -> LearningRate:
    """A linear rise over `warm_up` steps, multiplied by a cosine that falls from 1 to 0.

    Returns a function (step, progress) → learning rate, with progress the fraction of the training
    that is done, 0…1.
    """
    def at(step: int, progress: float) -> float:
        rise = min(1.0, (step + 1) / warm_up)
        return learning_rate * rise * 0.5 * (1 + np.cos(np.pi * min(progress, 1.0)))
    return at


class TrainingStep(NamedTuple):
    """After a step: the loss of its batch, the norm of the gradient, the new state."""

    loss: float
    gradient_norm: float
    state: State


MAX_GROWTH = 20.0  # largest norm of the weights, relative to that of a random start


def train(schedule: Schedule, network: Any, draw: Draw, rng: np.random.Generator, steps: float,
          batch: int = 128, loss: Callable = simple_loss, predicts: str = "eps",
          learning_rate: float | LearningRate = 1e-3, max_norm: float = 1.0,
          ema_decay: float = 0.999, state: State | None = None,
          progress: Callable[[], float] | None = None, draw_times: Callable = draw_times,
          optimiser: Optimiser = adam_in_place,
          differentiate: Callable = value_and_grad) -> Iterator[TrainingStep]:
    """Algorithm 1 with options, as a generator: it yields a `TrainingStep` after each step.

    draw            (rng, n) → x_0, (n, …) float32
    rng             the source of data, times and noise
    steps           the total, including the steps that `state` has already done
    batch           items of a step
    loss            `simple_loss`, or any function (schedule, denoiser, x_0, t, eps) → number
    predicts        what the network's output is: "eps", "x_0", "v" or "score"
    learning_rate   the peak of `warm_up_and_decay`, or a function (step, progress) → number
    max_norm        the largest norm of the gradient; a longer one is scaled down
    ema_decay       the decay of `ema_update`
    state           the state to continue from; None: a fresh one
    progress        () → 0…1, the share of the time that is over; None: the share of the steps
    draw_times      (rng, T, n) → n times
    optimiser       (state, gradient, learning rate) → state with new weights and moments
    differentiate   a function → the function that returns its value and its gradient

    BLAS uses one thread during each step: for matrix products as small as those of the networks
    here, more threads are slower when another process is busy.
    ValueError: an option outside its range; rng is no Generator.
    FloatingPointError: the training has diverged: the loss or its gradient is not finite, or the
    norm of the weights is twenty times that of random initial weights.
    """
    check_generator(rng)
    _check_options(steps, batch, learning_rate, max_norm, ema_decay)
    rate_at = learning_rate if callable(learning_rate) else warm_up_and_decay(learning_rate)
    state = initial_state(network, rng) if state is None else state
    random_norm = expected_norm(network.layout)

    def objective(weights: Array, x_0: Array, t: Array, eps: Array) -> Any:
        return loss(schedule, denoiser(schedule, network, weights, predicts), x_0, t, eps)

    value_and_gradient = differentiate(objective)
    while state.step < steps:
        x_0 = draw(rng, batch)
        t = draw_times(rng, schedule.T, batch)
        eps = noise_like(rng, x_0)
        done = state.step / steps if progress is None else progress()
        rate = rate_at(state.step, done)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # checked below
            value, gradient = value_and_gradient(state.weights, x_0, t, eps)
            gradient, norm = clip_norm(gradient, max_norm)
            # An infinite gradient is reported below, and must not change the weights.
            new = optimiser(state, gradient, rate) if np.isfinite(norm) else state
            growth = np.linalg.norm(new.weights) / random_norm
        if not (np.isfinite(value) and np.isfinite(norm) and growth < MAX_GROWTH):
            raise FloatingPointError(
                f"the training has diverged at step {state.step + 1}: the loss is {value:.3g}, its "
                f"gradient's norm {norm:.3g}, and the weights' norm is {growth:.3g} times that of "
                f"a random start; use a smaller learning rate")
        state = new._replace(ema=ema_update(new.ema, new.weights, ema_decay, new.step))
        yield TrainingStep(float(value), norm, state)


def _check_options(steps: float, batch: int, learning_rate: Any, max_norm: float,
                   ema_decay: float) -> None:
    check(batch >= 1, "batch", batch, "1 item or more")
    check(steps >= 0, "steps", steps, "0 or more")
    check(max_norm > 0, "max_norm", max_norm, "a number above 0")
    check(0 <= ema_decay <= 1, "ema_decay", ema_decay, "a number in 0..1")
    check(callable(learning_rate) or 0 < learning_rate < np.inf, "learning_rate", learning_rate,
          "a positive number, or a function (step, progress)")
