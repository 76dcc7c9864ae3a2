"""Muon: an optimiser that updates each weight matrix as a whole.

Adam gives every weight a step size of its own.  But a layer multiplies by its matrix, and the
gradient is a matrix too.  Write it as U·diag(s)·Vᵀ, its singular value decomposition.  Usually a
few s are far larger than the others, so a step along the gradient changes the layer in few
directions.  Muon steps along U·Vᵀ: the same directions, all with singular value one.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(kellerjordan.github.io/posts/muon), approximate U·Vᵀ by five Newton–Schulz iterations.  Here it is
exact up to round-off, by an eigendecomposition, which takes little time for matrices of this size.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..gaussian import Array
from ..network.threads import in_halves
from ..network.weights import Layout, count, leaves
from ..training import State, adam_in_place


def orthogonalise(matrix: Array) -> Array:
    """U·Vᵀ of the matrix G = U·diag(s)·Vᵀ, (R, C): the nearest matrix with all singular values one.

    The eigendecomposition Gᵀ·G = V·diag(s²)·Vᵀ gives s and V, and U·Vᵀ = (G·V)·diag(1/s)·Vᵀ.
    If s < √eps·(largest s), with the eps of the dtype, round-off hides its direction.  Then
    √eps·(largest s) is used for s, and the result has a singular value below one.
    A zero matrix stays zero.
    """
    if matrix.shape[0] < matrix.shape[1]:  # to decompose the smaller of GᵀG and GGᵀ
        return orthogonalise(matrix.T).T
    s_squared, V = np.linalg.eigh(matrix.T @ matrix)  # in rising order
    smallest = np.finfo(s_squared.dtype).eps * s_squared[-1] + 1e-30
    return (matrix @ V) / np.sqrt(np.maximum(s_squared, smallest)) @ V.T


class HiddenMatrix(NamedTuple):
    """A matrix of a hidden layer: its place in the vector of all weights, and its shape."""

    place: slice
    rows: int
    columns: int


def hidden_matrices(layout: Layout) -> list[HiddenMatrix]:
    """The weight matrices between hidden layers.

    A convolution (k, k, C, C') counts as a matrix with k·k·C rows and C' columns.
    All other weights are the biases, and the matrices of the network's "first", "last" and "time",
    which connect the hidden layers to the input, the output and t.  A block's "time" is a hidden
    matrix.
    """
    found, start = [], 0
    for name, part in layout.items():
        for leaf in leaves(part):
            size = count(leaf)
            if len(leaf.shape) > 1 and name not in ("first", "last", "time"):
                place = slice(start, start + size)
                rows, columns = leaf.fan_in, leaf.shape[-1]  # of a convolution: k·k·C and C'
                found.append(HiddenMatrix(place, rows, columns))
            start += size
    return found


def muon(layout: Layout, momentum: float = 0.95) -> Callable[[State, Array, float], State]:
    """An optimiser for `train`: Muon for the hidden matrices, Adam for all other weights.

    A hidden matrix θ, (R, C), with gradient g and momentum μ, is updated by
        m ← μ·m + (1 − μ)·g
        θ ← θ − learning_rate·0.2·√max(R, C)·orthogonalise(μ·m + (1 − μ)·g)
    The second line uses the new m and g once more: Nesterov's momentum.  With 0.2·√max(R, C) the
    entries of the step are about as large as Adam's (Liu et al. 2025, eq 4, arXiv 2502.16982), so
    one learning rate serves both.
    """
    matrices = hidden_matrices(layout)

    def muon_step(state: State, gradient: Array, learning_rate: float) -> State:
        new = adam_in_place(state, gradient, learning_rate)

        def update(indices: Array) -> None:  # replaces Adam's result for the hidden matrices
            for index in indices:
                place, rows, columns = matrices[index]
                g = gradient[place]
                m = momentum * state.first_moment[place] + (1 - momentum) * g
                ahead = (momentum * m + (1 - momentum) * g).reshape(rows, columns)
                length = float(learning_rate * 0.2 * max(rows, columns) ** 0.5)
                new.first_moment[place] = m
                new.weights[place] = state.weights[place] - length * orthogonalise(ahead).ravel()
        in_halves(update, np.arange(len(matrices)))
        return new
    return muon_step
