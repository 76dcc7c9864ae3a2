"""The networks: functions of (weights, x_t, t) with gradients by autograd.

A network is a pair of functions: `init(rng)` makes its weights, plain nested dicts and lists of
float32 arrays, and `apply(weights, x_t, t)` guesses the noise in x_t.  With the weights filled in it
is a denoiser.  Read `primitives` (what autograd is taught), then `layers`, then `mlp` for points,
with its block in `residual`, and `conv` for images.
"""
from .unet import conv_denoiser
from .layers import Network, time_embedding
from .mlp import mlp

__all__ = ["Network", "time_embedding", "mlp", "conv_denoiser"]
