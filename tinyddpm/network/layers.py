"""What both networks are built from: dense layers, and the embedding of t."""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from ..checks import check_integer
from .primitives import affine
from .weights import Layout, Leaf, Weights, initial_weights


class Network(NamedTuple):
    """A function of (weights, x_t, t), and the layout of its weights.

    apply(weights, x_t, t) → ε̂, or the pair (ε̂, log_var_fraction) where the variance is learned.
    """

    layout: Layout
    apply: Callable

    def init(self, rng: Generator) -> Weights:
        """Random weights to start training from."""
        return initial_weights(self.layout, rng)


def check_sizes(**sizes: Any) -> None:
    """ValueError unless every size is a whole number of 1 or more."""
    for name, size in sizes.items():
        check_integer(name, size)


def time_embedding(t: int | Array, dim: int, dtype: Any = np.float64) -> Array:
    """e(t): sines, then cosines, of t at dim/2 frequencies from 1 down to 1/10000, (B, dim).

    The idea is that of Vaswani et al. 2017 §3.5; the frequencies are those of Ho's code.  If dim is
    even, e(t)·e(s) depends on t − s alone and |e(t)|² = dim/2.  If dim is odd, the last cosine is
    left out.
    t: () or (B,); dtype: of the result.
    ValueError: dim < 1.
    """
    check_sizes(dim=dim)
    pairs = (dim + 1) // 2
    exponents = -np.arange(pairs) / max(pairs - 1, 1)
    frequencies = 10000.0 ** exponents
    turns = np.atleast_1d(t)[:, None] * (frequencies / (2 * np.pi))
    # Whole turns change neither sine nor cosine.  They are subtracted in float64: a large float32
    # number has few digits left for its fractional part.
    angles = (2 * np.pi * (turns - np.rint(turns))).astype(dtype)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)[:, :dim]


def dense_layout(inputs: int, outputs: int, gain: float = 1.0) -> dict[str, Leaf]:
    """The layout of w, (inputs, outputs), and of b, (outputs), which starts at zero.

    gain: see `Leaf`; with gain 0 the layer outputs zero at first.
    """
    return {"w": Leaf((inputs, outputs), gain), "b": Leaf((outputs,))}


def dense(layer: dict[str, Array], x: Array) -> Array:
    """x @ w + b over the last axis.  x: (…, inputs) → (…, outputs)."""
    return affine(x, layer["w"], layer["b"])


def in_dtype_of(weights: Array, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """x in the dtype of the weights, and a function that converts a result to the dtype of x.

    Training gives float32 for both, and nothing is converted.  The ledger gives a float64 x.
    """
    if x.dtype == weights.dtype:
        return x, lambda y: y
    return x.astype(weights.dtype), lambda y: y.astype(x.dtype)
