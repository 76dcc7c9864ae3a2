"""Where points or images may not be what the user thinks.  A sentence says `array` for the data."""
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..gaussian import Array
from .inspection import label, leave_out, to_levels

MOST_LOOKED_AT = 2 ** 22  # numbers of an array; of a larger one, every k-th row is looked at
# A column is doubted if one value fills more than this share of its rows.  Of 20 equally likely
# values, -ELBO of the default network is hardly below that of the spread values; of 8, far below.
REPEATS = 0.05
FEW_LEVELS = 32  # images are doubted if they use no more than so many grey levels


def doubts(array: Array, columns: Sequence[str] = ()) -> list[str]:
    """Where points or images may not be what the user thinks, a sentence each."""
    if array.ndim > 2:
        return list(_of_images(array.shape, _sample(array)))
    if sentence := looks_like_images(array):
        return [sentence]
    return list(_of_points(array, _sample(array).astype(float), columns))


def looks_like_images(array: Array) -> str:
    """A sentence about points (N, D) that may be one image, or images in rows; or ""."""
    (N, D), sample = array.shape, _sample(array)
    low, high = sample.min(), sample.max()
    is_grey = 0 <= low < high <= 255 and (sample == np.round(sample)).all()
    is_scaled = 0 == low < high <= 1 and np.mean(sample == 0) > 0.1
    if D < 8 or not (is_grey or is_scaled):
        return ""
    one = (f"{N} rows of {D} numbers may be one image: np.stack(list_of_images) makes images, "
           f"(N, H, W)")
    if N == D:
        return one
    rows = "array[:, 1:]" if np.ptp(sample[:, 0]) > 0 else "array[:, :-1]"  # a corner is constant
    for pixels, numbers in ((D, "array"), (D - 1, rows)):
        for channels, last in ((1, ""), (3, ", 3")):
            side = math.isqrt(pixels // channels)
            if side >= 8 and channels * side ** 2 == pixels:
                images = f"{numbers}.reshape(-1, {side}, {side}{last})"
                return (f"rows of {D} numbers from {low:g} to {high:g} may be images of "
                        f"{side} × {side}: {to_levels(sample, images)} makes images, where array "
                        f"is tinyddpm.load(file)")
    return one if array.dtype == np.uint8 and D < 2 * N < 4 * D else ""


def _of_images(shape: tuple[int, ...], sample: Array) -> Iterator[str]:
    N, H, *last = shape
    if H >= 8 and (last in ([3], [4]) or N in (3, 4) and last[0] >= 8 and len(last) == 1):
        yield (f"an array {shape} is read as {N} grey images: if it is one image in colour, "
               f"np.stack(list_of_images) makes images, (N, H, W, C)")
    levels = np.flatnonzero(np.bincount(sample.ravel()))
    if len(levels) <= FEW_LEVELS and sample.size > 100 * len(levels):
        top = levels[-1]
        step = f", so use np.round(255 / {top} * array).astype(np.uint8)" if 0 < top < 128 else ""
        yield (f"the images use {len(levels)} grey levels, {levels[0]} to {top}, and bits/dim "
               f"counts 256{step}")


def _of_points(array: Array, sample: Array, columns: Sequence[str]) -> Iterator[str]:
    (N, D), is_whole = array.shape, (sample == np.round(sample)).all(0)
    counters, repeats = [], []
    if _is_header(sample[0], sample[1:]):
        yield (f"the first row, {', '.join(f'{x:g}' for x in sample[0, :9])}, looks like a header "
               f"and is read as a point: use names that are not numbers")
        return
    if is_whole.all() and D % 2 == 0 and _are_decimals(sample[:, 1::2]):
        yield ("every second column looks like the digits after a decimal comma: if so, write "
               "decimals with a point, or separate the columns by semicolons")
        return
    for i in range(D):
        values, counts = np.unique(sample[:, i], return_counts=True)
        low, middle, high = np.quantile(sample[:, i], [0.25, 0.5, 0.75])
        furthest = max(array[:, i].max() - middle, middle - array[:, i].min())
        std = max(sample[:, i].std(), furthest / math.sqrt(N))  # of the sample, or of an outlier
        if is_whole[i] and counts.max() == 1 and N >= 6:
            if np.ptp(values) / np.diff(values).min() < (2 * N if N >= 20 else N):
                counters.append(f"{label(columns, i)} counts the rows, {values[0]:g} to "
                                f"{values[-1]:g}: {leave_out([i], D)}")
        elif counts.max() > max(4, REPEATS * len(sample)):
            share = counts.max() / len(sample)
            repeats.append(f"{label(columns, i)} is {values[counts.argmax()] + 0:g} in {share:.0%}")
        elif high - low < 0.01 * std:
            row = abs(array[:, i] - middle).argmax()
            yield (f"{label(columns, i)} is {array[row, i]:g} in row {row}, counted from 0, and "
                   f"differs by {high - low:.2g} in the middle half of the rows: outliers set its "
                   f"scale, so leave them out")
    if len(counters) < D:
        yield from counters
    if repeats:
        yield (f"values repeat, {', '.join(repeats[:4])} of the rows: a density has no bound there "
               f"and -ELBO no meaning; whole numbers are spread by "
               f"array + rng.uniform(size=array.shape)")


def _is_header(first: Array, rest: Array) -> bool:
    """Whether the first row counts, n, n + 1, …, and the rest is of another kind."""
    if len(rest) < 8 or first[0] != np.round(first[0]) or (np.diff(first) != 1).any():
        return False
    is_far = np.maximum(first - rest.max(0), rest.min(0) - first) > rest.std(0)
    return bool((rest != np.round(rest)).all() or is_far.all() and len(first) > 1)


def _are_decimals(digits: Array) -> bool:
    """Whether whole numbers are spread over 0…9, 0…99, … in every column."""
    top = 10.0 ** np.ceil(np.log10(np.maximum(digits.max(0), 0) + 1))
    low, mean, high = digits.min(0) / top, digits.mean(0) / top, digits.max(0) / top
    is_spread = (low >= 0) & (low < 0.1) & (abs(mean - 0.5) < 0.15) & (high > 0.85)
    return len(digits) >= 20 and bool(is_spread.all())


def _sample(array: Array) -> Array:
    return array[::max(1, array.size // MOST_LOOKED_AT)]
