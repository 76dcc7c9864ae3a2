"""Training: Algorithm 1, and what turns it into a trained network.

Draw data, times and noise; ask the network for the noise; go down the gradient of the squared error.
The rest is housekeeping that every diffusion model does: Adam, a bound on the gradient's length, a
learning rate that warms up and decays, and an average of the weights (EMA) that is what one samples from.

All weights travel as one flat float32 vector, so each of these is a line of vector arithmetic.
"""
from typing import Any, NamedTuple

import numpy as np
from autograd import value_and_grad

from .elbo import simple_loss
from .gaussian import check, standard_normal
from .network.weights import expected_norm, pack, unpack
from .reverse import as_denoiser


class State(NamedTuple):
    """All that training carries from step to step: flat float32 vectors, and how many steps are done."""

    step: int
    weights: Any
    ema: Any
    first_moment: Any
    second_moment: Any


class TrainingStep(NamedTuple):
    """What `train` yields after each step: the loss (of the batch, before it), the gradient's length, the state."""

    loss: float
    gradient_norm: float
    state: State


def initial_state(network, rng):
    """Fresh weights; the average starts at them and Adam's moments at zero."""
    weights = pack(network.init(rng))
    return State(0, weights, weights, np.zeros_like(weights), np.zeros_like(weights))


def denoiser(schedule, network, weights, predicts="eps"):
    """The network with these weights as a denoiser, (x_t, t) → ε̂.  weights: nested, or all in one vector."""
    if isinstance(weights, np.ndarray):
        weights = unpack(weights, network.layout)
    return as_denoiser(schedule, lambda x_t, t: network.apply(weights, x_t, t), predicts)


def draw_times(rng, T, n):
    """n times, independent and uniform on {1, …, T}, T included (Algorithm 1, line 3)."""
    return rng.integers(1, T, size=n, endpoint=True)


def draw_times_by(share):
    """A `times` for `train`: t as often as share[t] says, one from each of n slices of equal share, in random order.

    Each t alone is distributed as the share; the batch as a whole covers it evenly, and its loss is less noisy.
    share: (T + 1,), adding to one, entry 0 zero.
    """
    edges = np.cumsum(share)

    def times(rng, T, n):
        t = np.searchsorted(edges, edges[-1] * (np.arange(n) + rng.random(n)) / n, side="right")
        return rng.permutation(np.clip(t, 1, T))
    return times


def moved(old, new, share):
    """old + share·(new − old) = (1 − share)·old + share·new, a running average, in one fresh array.

    A `State` that was handed over never changes, so old is left alone.  Without temporaries it takes two thirds of the time.
    """
    average = new - old
    average *= share
    average += old
    return average


def adam(state, gradient, rate, beta_1=0.9, beta_2=0.999, eps=1e-8):
    """One step of Adam (Kingma & Ba 2015, Algorithm 1): new weights, moments and step count.

    θ ← θ − rate·m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ), multiplied out as at the end of their §2.
    """
    step = state.step + 1
    m = moved(state.first_moment, gradient, 1 - beta_1)
    v = moved(state.second_moment, gradient ** 2, 1 - beta_2)
    # The two bias corrections, as plain floats: they must not turn a float32 vector into float64.
    shrunk = float(np.sqrt(1 - beta_2 ** step))
    size = float(rate * shrunk / (1 - beta_1 ** step))
    change = np.sqrt(v)
    change += eps * shrunk
    np.divide(m, change, out=change)
    change *= -size
    return state._replace(step=step, weights=np.add(state.weights, change, out=change), first_moment=m, second_moment=v)


def clip_norm(gradient, largest):
    """(the gradient, shortened to length `largest` where it is longer, and the length it had)."""
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(gradient))
    if not np.isfinite(norm):  # in float32 the squares overflow long before the length does
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
    return (gradient * (largest / norm) if norm > largest else gradient), norm


def ema_update(ema, weights, decay, step):
    """decay·ema + (1 − decay)·weights, with the decay at most (1 + step)/(10 + step).

    So the average forgets the random start within the first steps of a short run.
    """
    decay = min(decay, (1 + step) / (10 + step))
    return moved(ema, weights, 1 - decay)


def warm_up_and_decay(rate, warm_up=100):
    """The rate at (step, progress): a linear rise over `warm_up` steps, then half a cosine down to zero.

    progress: how much of the training is done, 0…1; by steps or by the clock, as the caller counts.
    """
    return lambda step, progress: rate * min(1.0, (step + 1) / warm_up) * 0.5 * (1 + np.cos(np.pi * min(progress, 1.0)))


def train(network, schedule, draw, rng, steps, batch=128, loss=simple_loss, predicts="eps", rate=1e-3,
          largest_gradient=1.0, ema_decay=0.999, state=None, progress=None, times=draw_times, optimiser=adam,
          differentiate=value_and_grad):
    """Algorithm 1 as a generator: yields a `TrainingStep` after each step, and a caller may look or stop.

    draw: (rng, n) → x_0, (n, …) float32; rng: numpy Generator, for data, times and noise alike.
    loss: `simple_loss`, or any function (schedule, denoiser, x_0, t, eps) → number, as in elbo.
    predicts: what the network's output is taken for ("eps", "x_0", "v", "score").
    times: (rng, T, n) → n times; Algorithm 1's by default.
    optimiser: (state, gradient, rate) → state with new weights, moments and step count.
    differentiate: a number's function → (value, gradient in its first argument); autograd's by default.
    rate: the peak of `warm_up_and_decay`, or a function (step, progress) → learning rate.
    steps: in all, counted from the state's own; state: where to go on from.
    progress: () → 0…1, where time and not `steps` ends the training.
    FloatingPointError: it has diverged: the loss or its gradient is no longer finite, or the weights have grown
    twentyfold, which in a training that works they do not.
    """
    state = initial_state(network, rng) if state is None else state
    first_size = expected_norm(network.layout)
    check(callable(rate) or 0 < rate < np.inf, "rate", rate, "a positive number, or a function (step, progress)")
    check(batch >= 1 and steps >= 0, "batch, steps", (batch, steps), "1 item or more, 0 steps or more")
    check(largest_gradient > 0, "largest_gradient", largest_gradient, "a number above 0")
    check(0 <= ema_decay <= 1, "ema_decay", ema_decay, "a number in 0..1")
    rate = rate if callable(rate) else warm_up_and_decay(rate)

    def objective(vector, x_0, t, eps):
        return loss(schedule, denoiser(schedule, network, unpack(vector, network.layout), predicts), x_0, t, eps)

    objective = differentiate(objective)
    while state.step < steps:
        x_0 = draw(rng, batch)
        t = times(rng, schedule.T, batch)
        eps = standard_normal(rng, x_0)
        done = state.step / steps if progress is None else progress()
        with np.errstate(over="ignore", invalid="ignore"):  # said in words, right below
            value, gradient = objective(state.weights, x_0, t, eps)
            gradient, norm = clip_norm(gradient, largest_gradient)
            new = optimiser(state, gradient, rate(state.step, done)) if np.isfinite(norm) else state
            growth = np.linalg.norm(new.weights) / first_size
        if not (np.isfinite(value) and np.isfinite(norm) and growth < 20):  # before anybody saves such weights
            raise FloatingPointError(f"the loss is {value:.3g}, its gradient's length {norm:.3g} and the weights have "
                                     f"{growth:.3g} times their first size at step {state.step + 1}: "
                                     f"the training has diverged; use a smaller learning rate")
        state = new._replace(ema=ema_update(new.ema, new.weights, ema_decay, new.step))
        yield TrainingStep(float(value), norm, state)
