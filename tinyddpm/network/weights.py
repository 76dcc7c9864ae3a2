"""All weights as one vector, and back: optimiser, average and checkpoint then need no loops over layers."""
import math
from types import SimpleNamespace

import numpy
from autograd.core import SparseObject
from autograd.extend import defvjp, defvjp_argnums, primitive
from autograd.tracer import isbox, new_box


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
    vector, start = in_pieces(vector), 0

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
def in_pieces(vector):
    """The vector itself; its gradient comes piece by piece, [(start, gradient), …], and is put together once."""
    return vector


def _in_pieces_vjp(ans, vector):
    def vjp(pieces):
        total = numpy.zeros(vector.shape, vector.dtype)
        for start, g in pieces:
            total[start:start + g.size] = g.ravel()
        return total
    return vjp


defvjp(in_pieces, _in_pieces_vjp)


def piece(vector, start, shape):
    """The entries of `in_pieces(vector)` from `start` on, as many as fill the shape.

    autograd's own slicing works with any index, and its gradient visits the entries one by one.  What a primitive
    would put on the tape is put there by hand: there are so many pieces that it saves a twentieth of a training step.
    """
    if not isbox(vector):
        return vector[start:start + math.prod(shape)].reshape(shape)
    value = piece(vector._value, start, shape)
    return new_box(value, vector._trace, type(vector._node)(value, piece, (start,), {}, (0,), (vector._node,)))


def _piece_vjp(argnums, ans, arguments, _):
    def vjp(g):
        def add_into(pieces):
            pieces.append((arguments[0], g))
            return pieces
        return [SparseObject(SimpleNamespace(zeros=list), add_into)]
    return vjp


defvjp_argnums(piece, _piece_vjp)
