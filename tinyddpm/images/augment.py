"""Random shifts: more training images from few."""
import numpy as np

from ..gaussian import Array


def random_shift(images: Array, rng: np.random.Generator, max_shift: int,
                 share: float = 1.0) -> Array:
    """The images, a random share of them shifted up or down and left or right.

    images: (N, H, W); black, 0, fills the pixels that a shift leaves empty.
    max_shift: the largest shift in pixels, along each axis; all shifts are equally likely.
    share: the probability that an image is shifted.
    """
    N, H, W = images.shape
    padded = np.pad(images, ((0, 0), (max_shift, max_shift), (max_shift, max_shift)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), (1, 2))
    is_shifted = rng.random(N) < share
    starts = rng.integers(2 * max_shift + 1, size=(2, N))
    rows, columns = np.where(is_shifted, starts, max_shift)
    return windows[np.arange(N), rows, columns]
