"""Where points or images may not be what the user thinks.  A sentence says `array` for the data."""
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..gaussian import Array
from .inspection import label, leave_out, to_levels
from .readers import DECIMALS

MOST_LOOKED_AT = 2 ** 22  # numbers of an array; of a larger one, every k-th row is looked at
# A column is doubted if one value fills more than this share of its rows.  For 20 equally likely
# values -ELBO of the default network is hardly too low, and for 8 it is far too low.
REPEATS = 0.05
DIGITS = set(range(10))
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
    counters, repeats, outliers = [], [], []
    if _is_header(sample[0], sample[1:]):
        yield (f"the first row, {', '.join(f'{x:g}' for x in sample[0, :9])}, looks like a header "
               f"and is read as a point: use names that are not numbers")
        return
    every_second = [set(column) for column in sample.T[1::2]]
    if is_whole.all() and D % 2 == 0 and all(digits == DIGITS for digits in every_second):
        yield (f"every second column has the digits 0 to 9: if they follow decimal commas, "
               f"{DECIMALS}")
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
        elif _has_atom(counts):
            share = counts.max() / len(sample)
            repeats.append(f"{label(columns, i)} is {values[counts.argmax()] + 0:g} in {share:.0%}")
        elif high - low < 0.01 * std:
            row = abs(array[:, i] - middle).argmax()
            outliers.append(f"{label(columns, i)} is {array[row, i]:g} in row {row}, counted from "
                            f"0, and {low:g} to {high:g} in the middle half of the rows: its scale "
                            f"is that of few rows, so leave them out if they are mistakes")
    # All columns that count are a grid, not an index; of many outliers the first column says it.
    yield from (counters if len(counters) < D else []) + outliers[:1]
    if repeats:
        yield (f"values repeat, {', '.join(repeats[:4])} of the rows: a density has no bound there "
               f"and -ELBO no meaning; whole numbers are spread by "
               f"array + rng.uniform(size=array.shape)")


def _has_atom(counts: Array) -> bool:
    """Whether one value fills more than REPEATS of the rows, and not by chance."""
    *_, second, top = [0, *np.sort(counts)]
    usual = REPEATS * counts.sum()
    return bool(top > max(4, usual) and (top > 3 * second or top > usual + 3 * math.sqrt(usual)))


def _is_header(first: Array, rest: Array) -> bool:
    """Whether the first row counts, n, n + 1, …, and the rest is of another kind."""
    if len(rest) < 8 or first[0] != np.round(first[0]) or (np.diff(first) != 1).any():
        return False
    is_far = np.maximum(first - rest.max(0), rest.min(0) - first) > rest.std(0)
    is_other, is_far = (rest != np.round(rest)).all(), is_far.all()
    return bool(is_other or is_far) if len(first) > 1 else bool(is_other and is_far)


def _sample(array: Array) -> Array:
    return array[::max(1, array.size // MOST_LOOKED_AT)]
