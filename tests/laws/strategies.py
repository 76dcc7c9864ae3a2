"""What the laws draw at random, and the arithmetic that an implementation is compared with.

The arithmetic is written out here from the equations, and uses nothing of the implementation: a law
that did could not find an error in what it used.
"""
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

LENGTHS = (1, 2, 3, 5, 8, 50, 1000)
PRECISION = "float64"  # of the implementation, or "float32": set by conftest before the first draw


def round_off():
    """The unit round-off of the implementation's arithmetic."""
    return float(np.finfo(PRECISION).eps)


@st.composite
def betas(draw, lengths=LENGTHS, smallest=1e-10):
    """β_1…β_T: log-uniform in (smallest, .999) in any order, or linear, or cosine.

    For float32 no β is below 1e-4, of which 1 − β keeps three digits, and ᾱ_T is above e^−20.
    """
    T = draw(st.sampled_from(lengths))
    if PRECISION == "float32":
        smallest = max(smallest, 1e-4)
    kind = draw(st.sampled_from(["random", "linear", "cosine"]))
    if kind == "linear":
        return np.linspace(1e-4, 0.02, T) * min(1000 / T, 40)
    if kind == "cosine":
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1 - f[1:] / f[:-1], 0.999)
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 16)))
    beta = np.exp(rng.uniform(np.log(smallest), np.log(0.999), T))
    if PRECISION == "float32":
        beta = np.maximum(smallest, beta * min(1, -20 / np.log1p(-beta).sum()))
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
    shape = draw(st.sampled_from([(1,), (2,), (3,), (7,), (4, 4), (2, 3, 1)]))
    # With B = d, a broadcast along the wrong axis raises no error.
    batch = draw(st.sampled_from(sorted({1, 2, shape[0]})))
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 16)))
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


def tables(beta):
    """log ᾱ_t, 1 − ᾱ_t and β̃_t for t = 0…T, from their definitions."""
    beta = np.concatenate([[0.0], beta])
    log_ab = np.cumsum(np.log1p(-beta))
    om = -np.expm1(log_ab)
    om[1] = beta[1]
    bt = np.concatenate([[0.0, 0.0], beta[2:] * om[1:-1] / om[2:]])
    return log_ab, om, bt


def column(values, x):
    """(B,) → (B, 1, …), which broadcasts against x."""
    return np.reshape(values, np.shape(values) + (1,) * (x.ndim - 1))


def log_normal(x, mean, var):
    """log N(x; mean, var), summed over all axes but the first."""
    terms = -0.5 * (np.log(2 * np.pi) + np.log(var) + (x - mean) ** 2 / var) + 0 * x
    return terms.reshape(len(x), -1).sum(1)


def assert_close(left, right, tolerance, scale=1.0, law=""):
    """|left − right| ≤ tolerance·scale everywhere; the AssertionError shows both sides.

    For float32, at least 1e-5·(scale + |right|) is allowed.
    """
    left, right = np.asarray(left, float), np.asarray(right, float)
    try:
        left, right = np.broadcast_arrays(left, right)
    except ValueError:
        raise AssertionError(
            f"{law}: left side has shape {left.shape}, right side {right.shape}") from None
    allowed = tolerance * np.broadcast_to(scale, left.shape)
    if PRECISION == "float32":
        allowed = np.maximum(allowed, 1e-5 * (abs(right) + (scale if tolerance < 1 else 0)))
    excess = abs(left - right) - allowed
    if not (excess <= 0).all():  # NaN fails, too
        worst = np.argmax(np.where(np.isnan(excess), np.inf, excess))
        i = tuple(map(int, np.unravel_index(worst, left.shape)))
        raise AssertionError(
            f"{law}: left side {float(left[i])!r}, right side {float(right[i])!r}, difference "
            f"{left[i] - right[i]:.3g} where {allowed[i]:.3g} is allowed, at index {i}")
