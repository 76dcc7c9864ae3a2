"""The networks: functions of (weights, x_t, t), differentiated by autograd.

A `Network` has two parts: a function `apply(weights, x_t, t)`, which guesses the noise in x_t, and
the layout of its weights, nested dicts and lists of float32 arrays.  With weights it is a denoiser.

    primitives   the operations that autograd is taught, with their gradients: affine, conv, …
    weights      layout, random start, and all weights as one vector
    layers       the dense layer, the embedding of t
    mlp          the network for points
    unet         the network for images
    threads      the two halves of a batch in two threads
"""
from .layers import Network, time_embedding
from .mlp import mlp
from .unet import conv_denoiser

__all__ = ["Network", "time_embedding", "mlp", "conv_denoiser"]
