"""A small multilayer perceptron, for points: x_t and t in, the guessed noise out."""

from .layers import Network, check_sizes, dense, dense_init, in_dtype_of, time_embedding
from .primitives import silu
from .residual import residual


def mlp(dimensions=2, width=128, depth=3, embedding=64, learned_variance=False):
    """A residual MLP of `depth` blocks for points (B, dimensions).

    The hidden state h starts as a linear map of x_t plus what its embedding says of t, and each block
    adds W₂·silu(W₁·silu(h)) to it.  The last layer starts at zero, so an untrained network guesses zero noise.
    learned_variance: the output is the pair (ε̂, v), v starting at ½.  ValueError: a size below 1.
    """
    check_sizes(dimensions=dimensions, width=width, depth=depth, embedding=embedding)
    outputs = dimensions * (2 if learned_variance else 1)

    def init(rng):
        return {"time": dense_init(rng, embedding, width),
                "first": dense_init(rng, dimensions, width),
                "blocks": [{"in": dense_init(rng, width, width), "out": dense_init(rng, width, width)} for _ in range(depth)],
                "last": dense_init(rng, width, outputs, gain=0.0)}

    def apply(weights, x_t, t):
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        h = dense(weights["first"], x) + dense(weights["time"], time_embedding(t, embedding, x.dtype))
        for block in weights["blocks"]:
            h = residual(block, h)
        out = back(dense(weights["last"], silu(h)))
        return (out[:, :dimensions], out[:, dimensions:] + 0.5) if learned_variance else out

    return Network(init, apply)
