"""A small multilayer perceptron, for points: x_t and t in, the guessed noise out."""
from autograd.tracer import isbox
from numpy import ndarray as Array

from .layers import Network, check_sizes, dense, dense_layout, in_dtype_of, time_embedding
from .primitives import residual, silu
from .weights import Weights


def residual_block(block: Weights, h: Array) -> Array:
    """h + W₂·silu(W₁·silu(h) + b₁) + b₂.  h: (B, width)."""
    if isbox(h):  # autograd is recording: one primitive is faster than five
        first, second = block["in"], block["out"]
        return residual(h, first["w"], first["b"], second["w"], second["b"])
    return h + dense(block["out"], silu(dense(block["in"], silu(h))))


def mlp(dimensions: int = 2, width: int = 128, depth: int = 3, embedding: int = 64,
        learn_variance: bool = False) -> Network:
    """A residual MLP of `depth` blocks for points (B, dimensions).

    The hidden state h is (B, width).  It starts as a linear map of x_t plus a linear map of the
    embedding of t, and each block adds a correction to it.  The last layer starts at zero, so an
    untrained network guesses ε̂ = 0.
    learn_variance: the output is the pair (ε̂, log_var_fraction), both of the shape of x_t.  A
    log_var_fraction of 0 means the variance β̃_t, and 1 means β_t; it starts at ½.
    ValueError: a size below 1.
    """
    check_sizes(dimensions=dimensions, width=width, depth=depth, embedding=embedding)
    outputs = 2 * dimensions if learn_variance else dimensions
    blocks = [{"in": dense_layout(width, width), "out": dense_layout(width, width)}
              for _ in range(depth)]
    layout = {"time": dense_layout(embedding, width),
              "first": dense_layout(dimensions, width),
              "blocks": blocks,
              "last": dense_layout(width, outputs, gain=0.0)}

    def apply(weights: Weights, x_t: Array, t: int | Array) -> Array | tuple[Array, Array]:
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        time = time_embedding(t, embedding, x.dtype)
        h = dense(weights["first"], x) + dense(weights["time"], time)
        for block in weights["blocks"]:
            h = residual_block(block, h)
        output = back(dense(weights["last"], silu(h)))
        if learn_variance:
            return output[:, :dimensions], output[:, dimensions:] + 0.5
        return output

    return Network(layout, apply)
