"""What both networks are built from: dense layers, and the embedding of t."""
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from ..checks import check
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
        is_size = isinstance(size, (int, np.integer)) and size >= 1
        check(is_size, name, size, "a whole number of 1 or more")


def time_embedding(t: int | Array, dim: int, dtype: Any = np.float64) -> Array:
    """e(t): sines and cosines of t at dim/2 frequencies that fall from 1 to 1/10000, (B, dim).

    Vaswani et al. 2017 §3.5; Ho appendix B.  The dot product e(t)·e(s) depends on t − s alone, and
    |e(t)|² = dim/2.  With an odd dim the last cosine is left out.
    t: () or (B,); dtype: of the result; in float32 the error is at most 2e-7.
    ValueError: dim < 1.
    """
    check_sizes(dim=dim)
    pairs = (dim + 1) // 2
    frequencies = 10000.0 ** (-np.arange(pairs) / max(pairs - 1, 1))
    turns = np.atleast_1d(t)[:, None] * (frequencies / (2 * np.pi))
    # Whole turns change neither sine nor cosine.  They are subtracted in float64, because float32
    # cannot represent the fractional part of a large number of turns.
    angles = (2 * np.pi * (turns - np.rint(turns))).astype(dtype)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)[:, :dim]


def dense_layout(inputs: int, outputs: int, gain: float = 1.0) -> dict[str, Leaf]:
    """w (inputs, outputs) and b (outputs), which starts at zero.

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
