"""The weights of a network: their layout, their random start, and all of them as one vector.

Weights are nested dicts and lists of arrays.  A layout is nested in the same way and has a `Leaf`
for each array, so that a network knows its shapes before it has weights.  As one vector, all
weights can be updated, averaged and saved without a loop over layers.
"""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from autograd.core import SparseObject, vspace
from autograd.extend import defvjp, primitive
from numpy import ndarray as Array
from numpy.random import Generator

Weights = Any  # nested dicts and lists of arrays
Layout = Any  # nested dicts and lists of `Leaf`s


class Leaf(NamedTuple):
    """One array of weights: its shape, and how it starts.

    gain: the first entries have mean 0 and variance gain²/fan_in; None: they are zero.
    """

    shape: tuple[int, ...]
    gain: float | None = None

    @property
    def fan_in(self) -> int:
        """The number of inputs that are summed in each output, for (C, C') and (k, k, C, C')."""
        return math.prod(self.shape[:-1])


def map_leaves(f: Callable, nested: Any) -> Any:
    """f applied to every leaf; the nesting is kept.  Depth first, in the order of insertion."""
    if isinstance(nested, dict):
        return {name: map_leaves(f, part) for name, part in nested.items()}
    if isinstance(nested, list):
        return [map_leaves(f, part) for part in nested]
    return f(nested)


def leaves(nested: Any) -> list:
    """The leaves of nested dicts and lists, depth first, in the order of insertion."""
    found: list = []
    map_leaves(found.append, nested)
    return found


def count(layout: Layout) -> int:
    """The number of weights, biases included."""
    return sum(math.prod(leaf.shape) for leaf in leaves(layout))


def initial_weights(layout: Layout, rng: Generator) -> Weights:
    """Random weights of this layout, float32; drawn leaf by leaf, in the order of `leaves`."""
    def draw(leaf: Leaf) -> Array:
        if leaf.gain is None:
            return np.zeros(leaf.shape, np.float32)
        standard = rng.standard_normal(leaf.shape, np.float32)
        return leaf.gain * standard / np.float32(np.sqrt(leaf.fan_in))
    return map_leaves(draw, layout)


def expected_norm(layout: Layout) -> float:
    """√E‖weights‖² of the weights that `initial_weights` draws."""
    drawn = [leaf for leaf in leaves(layout) if leaf.gain is not None]
    return math.sqrt(sum(leaf.gain ** 2 * math.prod(leaf.shape) / leaf.fan_in for leaf in drawn))


def pack(weights: Weights) -> Array:
    """Nested weights → one vector of all entries."""
    return np.concatenate([leaf.ravel() for leaf in leaves(weights)])


def unpack(vector: Array, layout: Layout) -> Weights:
    """One vector → weights of this layout; each array is a view of its piece of the vector.

    Differentiable in the vector.  layout: of `Leaf`s, or of arrays that have the wanted shapes.
    ValueError: a vector whose length differs from `count(layout)`.
    """
    size = count(layout)
    if vector.shape != (size,):
        raise ValueError(f"the vector of weights has shape {vector.shape}, "
                         f"but this network has {size} weights")
    start = 0

    def next_piece(leaf: Leaf) -> Array:
        nonlocal start
        first = start
        start += math.prod(leaf.shape)
        return piece(vector, first, leaf.shape)
    return map_leaves(next_piece, layout)


@primitive
def piece(vector: Array, start: int, shape: tuple[int, ...]) -> Array:
    """The entries of the vector from `start` on, as many as the shape has, in that shape."""
    return vector[start:start + math.prod(shape)].reshape(shape)


def _piece_vjp(ans: Array, vector: Array, start: int, shape: tuple[int, ...]) -> Callable:
    """The gradient of the vector: g at the entries of the piece, zero elsewhere.

    autograd sums the gradients of all pieces.  Instead of a long vector that is nearly all zeros,
    it gets a `SparseObject`: a function that adds g to the piece's place in that sum.
    """
    def vjp(g: Array) -> SparseObject:
        def add_to(total: Array) -> Array:
            total[start:start + g.size] += g.ravel()
            return total
        return SparseObject(vspace(vector), add_to)
    return vjp


defvjp(piece, _piece_vjp, argnums=(0,))
