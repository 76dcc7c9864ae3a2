"""All weights as one vector, and back: optimiser, average and checkpoint then need no loops over layers."""
import math

import numpy
from autograd.core import SparseObject, vspace
from autograd.extend import defvjp, primitive


def leaves(weights):
    """The arrays of nested dicts and lists, depth first, in the order they were put in."""
    if isinstance(weights, numpy.ndarray):
        return [weights]
    nested = weights.values() if isinstance(weights, dict) else weights
    return [leaf for part in nested for leaf in leaves(part)]


def pack(weights):
    """Nested weights → one vector of all their entries."""
    return numpy.concatenate([leaf.ravel() for leaf in leaves(weights)])


def unpack(vector, template):
    """One vector → weights nested and shaped like the template, each a view of its piece of the vector.

    Differentiable in the vector.  ValueError: a vector of another length than the template's.
    """
    size = sum(leaf.size for leaf in leaves(template))
    if vector.shape != (size,):
        raise ValueError(f"the vector of weights has shape {vector.shape}, but this network has {size} weights")
    start = 0

    def shaped_like(part):
        nonlocal start
        if isinstance(part, dict):
            return {name: shaped_like(inner) for name, inner in part.items()}
        if isinstance(part, list):
            return [shaped_like(inner) for inner in part]
        start += part.size
        return piece(vector, start - part.size, part.shape)
    return shaped_like(template)


@primitive
def piece(vector, start, shape):
    """The entries of the vector from `start` on, as many as fill the shape.

    autograd's own slicing works with any index, and pays for it: its gradient visits the entries one by
    one.  Here the gradient is added into its place in one stroke, without a zero for all other places.
    """
    return vector[start:start + math.prod(shape)].reshape(shape)


def _piece_vjp(ans, vector, start, shape):
    def vjp(g):
        def add_into(total):
            total[start:start + g.size] += g.ravel()
            return total
        return SparseObject(vspace(vector), add_into)
    return vjp


defvjp(piece, _piece_vjp, argnums=(0,))
