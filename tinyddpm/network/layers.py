"""What both networks are built from: weights as plain dicts, and the embedding of t."""
from typing import Callable, NamedTuple

import numpy

from ..checks import check
from .primitives import affine


class Network(NamedTuple):
    """init(rng) → weights; apply(weights, x_t, t) → ε̂, or (ε̂, v) where the variance is learned."""

    init: Callable
    apply: Callable


def check_sizes(**sizes):
    """ValueError unless every size is a whole number of 1 or more."""
    for name, size in sizes.items():
        check(isinstance(size, (int, numpy.integer)) and size >= 1, name, size, "a whole number of 1 or more")


def time_embedding(t, dim, dtype=numpy.float64):
    """e(t): sines and cosines of t at `dim`/2 frequencies falling from 1 to 1/10000, (B, dim).

    (Vaswani et al. 2017 §3.5; Ho appendix B.)  ⟨e(t), e(s)⟩ depends on t − s alone, and |e|² = dim/2.
    An odd dim leaves out the last cosine.  t: () or (B,); dim ≥ 1.  ValueError: dim < 1.
    In float32 it takes a quarter of the time, and is off by 2e−7 at most.
    """
    check_sizes(dim=dim)
    pairs = (dim + 1) // 2
    frequencies = 10000.0 ** (-numpy.arange(pairs) / max(pairs - 1, 1))
    turns = numpy.atleast_1d(t)[:, None] * (frequencies / (2 * numpy.pi))
    # Whole turns say nothing, and are taken off in float64: in float32 a large t has no digits left for the rest.
    angles = (2 * numpy.pi * (turns - numpy.rint(turns))).astype(dtype)
    return numpy.concatenate([numpy.sin(angles), numpy.cos(angles)], 1)[:, :dim]


def dense_init(rng, inputs, outputs, gain=1.0):
    """Weights (inputs, outputs) of variance gain²/inputs, and zeros for the bias.  gain 0: a layer that starts silent."""
    w = gain * rng.standard_normal((inputs, outputs), numpy.float32) / numpy.float32(numpy.sqrt(inputs))
    return {"w": w.astype(numpy.float32), "b": numpy.zeros(outputs, numpy.float32)}


def dense(layer, x):
    """x @ w + b over the last axis."""
    return affine(x, layer["w"], layer["b"])


def in_dtype_of(weights, x):
    """x in the dtype of the weights, and a function that takes results back to that of x.

    In training both are float32 and nothing happens; a float64 ledger keeps its own digits.
    """
    dtype = weights.dtype
    if x.dtype == dtype:
        return x, lambda y: y
    return x.astype(dtype), lambda y: y.astype(x.dtype)
