"""A small convolutional denoiser, for images: a U-Net of two resolutions.

Pixels are first folded 2×2 into channels, so that the widest layers work on a quarter of them; the
hidden state is folded once more for the middle of the network, where each pixel sees the whole image,
unfolded again, and added to what it was before.
"""
import autograd.numpy as np

from .layers import Network, check_sizes, dense, dense_init, in_dtype_of, time_embedding
from .primitives import conv, silu, silu_of_normalised


def space_to_depth(x):
    """Fold 2×2 pixels into channels: (B, H, W, C) → (B, H/2, W/2, 4C)."""
    B, H, W, C = x.shape
    x = np.transpose(np.reshape(x, (B, H // 2, 2, W // 2, 2, C)), (0, 1, 3, 2, 4, 5))
    return np.reshape(x, (B, H // 2, W // 2, 4 * C))


def depth_to_space(x):
    """Unfold them: (B, H, W, 4C) → (B, 2H, 2W, C)."""
    B, H, W, C = x.shape
    x = np.transpose(np.reshape(x, (B, H, W, 2, 2, C // 4)), (0, 1, 3, 2, 4, 5))
    return np.reshape(x, (B, 2 * H, 2 * W, C // 4))


def conv_init(rng, inputs, outputs, k=3, gain=1.0):
    """Weights (k, k, inputs, outputs) of variance gain²/(k²·inputs), and zeros for the bias."""
    layer = dense_init(rng, k * k * inputs, outputs, gain)
    return {"w": layer["w"].reshape(k, k, inputs, outputs), "b": layer["b"]}


def conv_layer(layer, x, offset=0):
    """The convolution, with an offset of its own for each item where there is one, (B, outputs)."""
    return conv(x, layer["w"], layer["b"] + offset)


def block_init(rng, channels, time_width):
    return {"in": conv_init(rng, channels, channels), "time": dense_init(rng, time_width, channels),
            "out": conv_init(rng, channels, channels, gain=0.2)}


def residual_block(block, h, time):
    """h + conv(silu(norm(conv(silu(norm(h))) + time))): two convolutions, and between them what t has to say."""
    inner = conv_layer(block["in"], silu_of_normalised(h), dense(block["time"], time))
    return h + conv_layer(block["out"], silu_of_normalised(inner))


def conv_denoiser(channels=1, width=32, outer_blocks=1, inner_blocks=4, embedding=64, learned_variance=False, outputs=None):
    """A U-Net-shaped denoiser for images (B, H, W, channels), or (B, H, W) where channels is 1.

    `outer_blocks` residual blocks of `width` channels at half resolution on the way down and again on the
    way up, `inner_blocks` of 2·width at a quarter.  At the default sizes 0.4 million weights.  Any H and
    W: what does not divide by 4 is padded with zeros inside.  The last layer starts at zero.
    learned_variance: the output is the pair (ε̂, v), v starting at ½.  outputs: channels of the answer, where it is
    something else than a guess in the shape of x_t.  ValueError: a size below 1.
    """
    check_sizes(channels=channels, width=width, outer_blocks=outer_blocks, inner_blocks=inner_blocks, embedding=embedding)
    time_width = 4 * width
    outputs = outputs or channels * (2 if learned_variance else 1)

    def init(rng):
        return {"time": [dense_init(rng, embedding, time_width), dense_init(rng, time_width, time_width)],
                "first": conv_init(rng, 4 * channels, width),
                "down": [block_init(rng, width, time_width) for _ in range(outer_blocks)],
                "fold": dense_init(rng, 4 * width, 2 * width),
                "middle": [block_init(rng, 2 * width, time_width) for _ in range(inner_blocks)],
                "unfold": dense_init(rng, 2 * width, 4 * width),
                "up": [block_init(rng, width, time_width) for _ in range(outer_blocks)],
                "last": conv_init(rng, width, 4 * outputs, gain=0.0)}

    def apply(weights, x_t, t):
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        flat = x.ndim == 3
        if flat:
            x = x[..., None]
        H, W = x.shape[1:3]
        if H % 4 or W % 4:
            x = np.pad(x, ((0, 0), (0, -H % 4), (0, -W % 4), (0, 0)), "constant")

        time = dense(weights["time"][0], time_embedding(t, embedding).astype(x.dtype))
        time = silu(dense(weights["time"][1], silu(time)))
        h = conv_layer(weights["first"], space_to_depth(x))
        for block in weights["down"]:
            h = residual_block(block, h, time)
        inner = dense(weights["fold"], space_to_depth(h))
        for block in weights["middle"]:
            inner = residual_block(block, inner, time)
        h = h + depth_to_space(dense(weights["unfold"], inner))
        for block in weights["up"]:
            h = residual_block(block, h, time)
        out = back(depth_to_space(conv_layer(weights["last"], silu_of_normalised(h))))
        if H % 4 or W % 4:  # autograd goes through an index slowly, entry by entry
            out = out[:, :H, :W]
        parts = (out[..., :channels], out[..., channels:] + 0.5) if learned_variance else (out,)
        if flat:
            parts = tuple(np.reshape(part, part.shape[:3]) for part in parts)
        return parts if learned_variance else parts[0]

    return Network(init, apply)
