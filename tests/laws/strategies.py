"""What the laws draw at random: schedules, batches, and numbers."""
from typing import Any, NamedTuple

import numpy as np
import verdict
from hypothesis import strategies as st

LENGTHS = (1, 2, 3, 5, 8, 50, 1000)
SHAPES = [(1,), (2,), (3,), (7,), (4, 4), (2, 3, 1), (2, 2, 3)]


def for_all(examples=25, **drawn):
    """The law holds for whatever these strategies draw.  `judge` reads and runs it."""
    def decorate(law):
        def tried(ddpm):
            raise RuntimeError("judge.judge runs the laws")
        tried.__name__, tried.__doc__, tried.__module__ = law.__name__, law.__doc__, law.__module__
        tried.law, tried.drawn, tried.examples = law, drawn, examples
        return tried
    return decorate


both_variances = st.sampled_from(["beta", "beta_tilde"])
seeds = st.integers(0, 2 ** 16)


def linear(T):
    """β of Ho's linear schedule, scaled to T steps; for small T with a smaller factor."""
    return np.linspace(1e-4, 0.02, T) * min(1000 / T, 40)


def cosine(T):
    """β of the cosine schedule."""
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


@st.composite
def betas(draw, lengths=LENGTHS, smallest=1e-10):
    """β_1…β_T: linear, cosine, or log-uniform in (smallest, .999) in any order.

    In the sharp stage all are within a factor of 100 of the smallest.  In the everyday stages
    none is below 1e-4, of which 1 − β keeps three digits in float32, and ᾱ_T is above e^−20.
    """
    T = draw(st.sampled_from(lengths))
    largest = 0.999
    if verdict.stage.sharp:
        kind, largest = "random", min(0.9, 100 * smallest)
    else:
        kind = draw(st.sampled_from(["random", "linear", "cosine"]))
    if verdict.everyday():
        smallest = max(smallest, 1e-4)
    beta = {"linear": linear, "cosine": cosine}.get(kind, lambda T: None)(T)
    if beta is None:
        rng = np.random.default_rng(draw(seeds))
        beta = np.exp(rng.uniform(np.log(smallest), np.log(largest), T))
    if verdict.everyday():
        total = -np.log1p(-beta).sum()
        beta = np.maximum(smallest, beta * (min(1, 20 / total) if kind == "random" else 1))
    return beta


class Case(NamedTuple):
    """A schedule, a batch, and a t of its own for each item."""

    beta: Any
    x_0: Any
    eps: Any
    t: Any

    @property
    def T(self):
        return len(self.beta)


@st.composite
def cases(draw, lengths=LENGTHS, smallest=1e-10, first_t=1, largest_power=30):
    """Batches of 1, 2 or d points of d ∈ {1, 2, 3, 7} dimensions, or of images.

    Values are of every size up to 2**largest_power, and the first t is `first_t` or T.
    """
    beta = draw(betas([T for T in lengths if T >= first_t], smallest))
    shape = draw(st.sampled_from(SHAPES))
    # With B = d, a broadcast along the wrong axis raises no error.
    batch = draw(st.sampled_from(sorted({1, 2, shape[0]})))
    rng = np.random.default_rng(draw(seeds))
    normal = rng.standard_normal((batch, *shape))
    x_0 = draw(st.sampled_from([normal, np.sign(normal), 0 * normal]))
    x_0 = x_0 * 2.0 ** draw(st.sampled_from([0, -largest_power, largest_power]))
    eps = rng.standard_normal((batch, *shape))
    if draw(st.booleans()):
        eps = np.zeros_like(eps)
        eps[..., rng.integers(shape[-1])] = 1
    t = rng.integers(first_t, len(beta), size=batch, endpoint=True)
    t[0] = draw(st.sampled_from([first_t, len(beta)]))
    return Case(beta, x_0, eps, t)


@st.composite
def a_schedule_and_t(draw, lengths=LENGTHS, smallest=1e-10, first_t=1):
    """β_1…β_T, and one t in first_t…T."""
    beta = draw(betas([T for T in lengths if T >= first_t], smallest))
    T = len(beta)
    near = [t for t in (1, 2, 3, T // 2, T) if first_t <= t <= T]
    return beta, draw(st.sampled_from(near))


@st.composite
def a_schedule_and_times(draw, lengths=(2, 3, 5, 8, 50), smallest=1e-4, most=6):
    """β_1…β_T, and a rising list of its times: all, n spread evenly, or a few here and there."""
    beta = draw(betas(lengths, smallest))
    T, every = len(beta), list(range(1, len(beta) + 1))
    n = draw(st.integers(1, min(T, most)))
    spread = sorted({max(1, round(T - i * T / n)) for i in range(n)})
    few = st.sets(st.sampled_from(every), min_size=1, max_size=most)
    return beta, draw(st.sampled_from([every, spread]) | few.map(sorted))
