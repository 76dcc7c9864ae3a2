"""A small convolutional denoiser, for images: a U-Net of two resolutions.

Pixels are first folded 2×2 into channels, which halves height and width.  The middle of the network
is folded once more, so it works at a quarter of height and width, where a 3×3 convolution sees a
larger part of the image.  Its output is unfolded and added to the state before that fold.
"""
import autograd.numpy as anp
from numpy import ndarray as Array

from .layers import Network, check_sizes, dense, dense_layout, in_dtype_of, time_embedding
from .primitives import conv, silu, silu_of_normalised
from .weights import Layout, Leaf, Weights


def space_to_depth(x: Array) -> Array:
    """Fold 2×2 pixels into channels: (B, H, W, C) → (B, H/2, W/2, 4C)."""
    B, H, W, C = x.shape
    x = anp.reshape(x, (B, H // 2, 2, W // 2, 2, C))
    x = anp.transpose(x, (0, 1, 3, 2, 4, 5))
    return anp.reshape(x, (B, H // 2, W // 2, 4 * C))


def depth_to_space(x: Array) -> Array:
    """The inverse of `space_to_depth`: (B, H, W, 4C) → (B, 2H, 2W, C)."""
    B, H, W, C = x.shape
    x = anp.reshape(x, (B, H, W, 2, 2, C // 4))
    x = anp.transpose(x, (0, 1, 3, 2, 4, 5))
    return anp.reshape(x, (B, 2 * H, 2 * W, C // 4))


def conv_layout(inputs: int, outputs: int, k: int = 3, gain: float = 1.0) -> dict[str, Leaf]:
    """The layout of w, (k, k, inputs, outputs), and b, (outputs), which starts at zero."""
    return {"w": Leaf((k, k, inputs, outputs), gain), "b": Leaf((outputs,))}


def conv_layer(layer: dict[str, Array], x: Array, offset: float | Array = 0) -> Array:
    """conv(x, w, b + offset); offset: 0, or (B, outputs), one for each item."""
    return conv(x, layer["w"], layer["b"] + offset)


def block_layout(channels: int, time_width: int) -> Layout:
    """Two convolutions and a dense layer for t; the block's output starts small."""
    return {"in": conv_layout(channels, channels), "time": dense_layout(time_width, channels),
            "out": conv_layout(channels, channels, gain=0.2)}


def residual_block(block: Weights, h: Array, time: Array) -> Array:
    """h + conv_out(silu(n(conv_in(silu(n(h))) + W·time))), with n = `normalise`.

    h: (B, H, W, channels); time: (B, time_width).
    """
    inner = conv_layer(block["in"], silu_of_normalised(h), dense(block["time"], time))
    return h + conv_layer(block["out"], silu_of_normalised(inner))


def conv_denoiser(channels: int = 1, width: int = 32, outer_blocks: int = 1, inner_blocks: int = 4,
                  embedding: int = 64, learn_variance: bool = False,
                  outputs: int | None = None) -> Network:
    """A denoiser for images (B, H, W, channels), or (B, H, W) where channels is 1.

    At half resolution there are `outer_blocks` residual blocks of `width` channels on the way down
    and as many on the way up; between them, at a quarter, `inner_blocks` of 2·width.  The default
    sizes have 0.4 million weights.  Any H and W: the input is padded with zeros to multiples of 4.
    The last layer starts at zero, so an untrained network guesses ε̂ = 0.
    learn_variance: the output is the pair (ε̂, log_var_fraction), both of the shape of x_t.  A
    log_var_fraction of 0 means the variance β̃_t, and 1 means β_t; it starts at ½.
    outputs: the number of output channels, if it is not that of ε̂ or of the pair.
    ValueError: a size below 1.
    """
    check_sizes(channels=channels, width=width, outer_blocks=outer_blocks,
                inner_blocks=inner_blocks, embedding=embedding)
    time_width = 4 * width
    if outputs is None:
        outputs = 2 * channels if learn_variance else channels
    check_sizes(outputs=outputs)
    layout = {"time": [dense_layout(embedding, time_width), dense_layout(time_width, time_width)],
              "first": conv_layout(4 * channels, width),
              "down": [block_layout(width, time_width) for _ in range(outer_blocks)],
              "fold": dense_layout(4 * width, 2 * width),
              "middle": [block_layout(2 * width, time_width) for _ in range(inner_blocks)],
              "unfold": dense_layout(2 * width, 4 * width),
              "up": [block_layout(width, time_width) for _ in range(outer_blocks)],
              "last": conv_layout(width, 4 * outputs, gain=0.0)}

    def hidden(weights: Weights, x: Array, time: Array) -> Array:
        """(B, H, W, channels) → (B, H/2, W/2, width), H and W multiples of 4."""
        h = conv_layer(weights["first"], space_to_depth(x))
        for block in weights["down"]:
            h = residual_block(block, h, time)
        inner = dense(weights["fold"], space_to_depth(h))
        for block in weights["middle"]:
            inner = residual_block(block, inner, time)
        h = h + depth_to_space(dense(weights["unfold"], inner))
        for block in weights["up"]:
            h = residual_block(block, h, time)
        return h

    def apply(weights: Weights, x_t: Array, t: int | Array) -> Array | tuple[Array, Array]:
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        has_channels = x.ndim == 4
        if not has_channels:
            x = x[..., None]
        H, W = x.shape[1:3]
        must_pad = H % 4 > 0 or W % 4 > 0
        if must_pad:
            x = anp.pad(x, ((0, 0), (0, -H % 4), (0, -W % 4), (0, 0)), "constant")

        time = dense(weights["time"][0], time_embedding(t, embedding).astype(x.dtype))
        time = silu(dense(weights["time"][1], silu(time)))
        h = hidden(weights, x, time)
        output = back(depth_to_space(conv_layer(weights["last"], silu_of_normalised(h))))
        if must_pad:  # not always: autograd differentiates an index slowly
            output = output[:, :H, :W]

        parts = [output]
        if learn_variance:
            parts = [output[..., :channels], output[..., channels:] + 0.5]
        if not has_channels:
            parts = [anp.reshape(part, part.shape[:3]) for part in parts]
        return (parts[0], parts[1]) if learn_variance else parts[0]

    return Network(layout, apply)
