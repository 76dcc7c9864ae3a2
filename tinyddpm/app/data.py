"""Your own data files: points or images."""
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .readers import LARGEST, read_csv, read_file, read_npy, read_npz


def load(path: str | Path) -> np.ndarray:
    """Your data from a .npy, .npz or .csv file.

    Points are (N, D) and returned as float64; images are (N, H, W) or (N, H, W, C), uint8; N ≥ 2.
    A .npz file holds one array, or several of which one is named data, images or x.  A .csv file
    holds numbers separated by commas, and its first line may hold names.
    ValueError: any other file, or a point with a NaN or an infinity.
    """
    path = Path(path)
    read = {".npy": read_npy, ".npz": _read_npz, ".csv": read_csv}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"data file {str(path)!r} ends in {path.suffix!r}: "
                         "it must be .npy, .npz or .csv")
    data = read_file(path, read, path.suffix)
    is_points = data.ndim == 2 and data.dtype.kind in "fiu"
    is_images = data.ndim in (3, 4) and data.dtype == np.uint8
    if not (is_points or is_images) or len(data) < 2 or not data.size:
        raise ValueError(f"data file {str(path)!r} holds {data.dtype} of shape {data.shape}: "
                         "it must hold points, (N, D) numbers, or images, (N, H, W) or "
                         "(N, H, W, C) uint8, with N >= 2")
    if is_images:
        return data
    # 8 bytes a number, and 8 for each row number that `split` shuffles
    if 8 * (data.size + len(data)) > LARGEST:
        raise ValueError(f"data file {str(path)!r} holds {data.shape} numbers: "
                         f"as float64 they take more than {LARGEST} bytes")
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        data = data.astype(np.float64, copy=False)
    bad_rows = np.flatnonzero(~np.isfinite(data).all(1))
    if bad_rows.size:
        raise ValueError(f"data file {str(path)!r} has a NaN or an infinity in row {bad_rows[0]}, "
                         "counted from 0: every coordinate must be a finite float64")
    return data


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

    n is share·N rounded, but at least 1 and at most N − 1.
    ValueError: share outside (0, 1), N < 2.
    """
    if not 0 < share < 1:
        raise ValueError(f"share = {share}: it must be a fraction strictly between 0 and 1")
    if len(data) < 2:
        raise ValueError(f"data has {len(data)} rows: a split needs 2 or more")
    rng = np.random.RandomState(0)  # NumPy guarantees that its stream never changes
    shuffled = data[rng.permutation(len(data))]
    n = min(max(round(share * len(data)), 1), len(data) - 1)
    return shuffled[:-n], shuffled[-n:]
