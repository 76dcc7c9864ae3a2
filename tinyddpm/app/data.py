"""Your own data files: points or images."""
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..gaussian import Array
from .readers import LARGEST, read_csv, read_file, read_npy, read_npz

WHAT_IS_READ = "a .npy, .npz or .csv file"


class Table(NamedTuple):
    """What a file holds: items to train on, items held out if it has its own, names of columns."""

    items: Array
    held_out: Array | None = None
    columns: tuple[str, ...] = ()


def load(path: str | Path, columns: Sequence[str] = ()) -> Array:
    """Your data from a file or a folder, see `read`; of one with a test part, the training part."""
    return read(path, columns).items


def read(path: str | Path, columns: Sequence[str] = ()) -> Table:
    """Your data from a .npy, .npz or .csv file.

    Points are (N, D) and returned as float64; images are (N, H, W) or (N, H, W, C), uint8.
    A .npz file holds one array, or several of which one is named data, images or x.  A .csv file
    holds numbers separated by commas, and its first line may hold names.
    ValueError: any other file, or a point with a NaN or an infinity.
    """
    path = Path(path)
    read = {".npy": read_npy, ".npz": _read_npz, ".csv": read_csv}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"data file {str(path)!r} ends in {path.suffix!r}: "
                         "it must be .npy, .npz or .csv")
    return Table(check(str(path), read_file(path, read, path.suffix)))


def check(name: str, array: Array) -> Array:
    """Points (N, D) as float64, or images, uint8 (N, H, W) or (N, H, W, C).

    ValueError: any other array, or a point with a NaN or an infinity.
    """
    array = np.asarray(array)
    is_points = array.ndim == 2 and array.dtype.kind in "fiu"
    is_images = array.ndim in (3, 4) and array.dtype == np.uint8
    if not (is_points or is_images) or not array.size:
        raise ValueError(f"data = {name!r} holds {array.dtype} of shape {array.shape}: "
                         "it must hold points, (N, D) numbers, or images, (N, H, W) or "
                         "(N, H, W, C) uint8, with N >= 2")
    if is_images:
        return array
    # 8 bytes a number, and 8 for each row number that `split` shuffles
    if 8 * (array.size + len(array)) > LARGEST:
        raise ValueError(f"data = {name!r} holds {array.shape} numbers: "
                         f"as float64 they take more than {LARGEST} bytes")
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        points = array.astype(np.float64, copy=False)
    bad_rows = np.flatnonzero(~np.isfinite(points).all(1))
    if bad_rows.size:
        raise ValueError(f"data = {name!r} has a NaN or an infinity in row {bad_rows[0]}, "
                         "counted from 0: every coordinate must be a finite float64")
    return points


def _read_npz(file: BinaryIO) -> np.ndarray:
    """The only array of an open .npz file, or the one named data, images or x."""
    def choose(names: list[str]) -> list[str]:
        chosen = [name for name in names if name in ("data", "images", "x") or len(names) == 1]
        if len(chosen) != 1:
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}, "
                             "not one array or one named data, images or x")
        return chosen

    return read_npz(file, choose).popitem()[1]


def split(data: np.ndarray, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle, always in the same way, and split: N − n rows to train on, n rows held out.

    n is share·N rounded, but at least 2 and at most N − 2.
    ValueError: share outside (0, 1), N < 4.
    """
    if not 0 < share < 1:
        raise ValueError(f"share = {share}: it must be a fraction strictly between 0 and 1")
    N = len(data)
    if N < 4:
        raise ValueError(f"data has {N} rows: a split needs 4 or more, 2 to train on for their "
                         f"variance and 2 held out for a standard error")
    rng = np.random.RandomState(0)  # NumPy guarantees that its stream never changes
    shuffled = data[rng.permutation(N)]
    n = min(max(round(share * N), 2), N - 2)
    return shuffled[:-n], shuffled[-n:]
