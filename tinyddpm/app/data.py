"""Your own data files: points or images."""
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..gaussian import Array
from . import digits, inspection
from .pictures import SUFFIXES, read_pictures
from .readers import LARGEST, Table, choose_columns, read_csv, read_file, read_npy, read_npz

WHAT_IS_READ = ("a .npy, .npz, .csv, .tsv or .txt file, an idx file, or a folder of pictures "
                "or of MNIST's idx files")


def load(path: str | Path, columns: Sequence[str] = ()) -> Array:
    """Your data from a file or a folder: `read`, then `check`."""
    return check(str(path), read(path, columns).items)


def read(path: str | Path, columns: Sequence[str] = ()) -> Table:
    """Your data from one of WHAT_IS_READ.

    A .npz file holds one array, or several of which one is named data, images, x or x_train.  Held
    out are x_test beside x_train, and MNIST's t10k files.
    columns: of points, their names or numbers from 0; () reads all.
    ValueError: any other file, or columns that it has not.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return read_file(path, partial(read_csv, columns=columns), suffix)
    if path.is_dir():
        parts: Any = digits.mnist_images(path) or [read_pictures(path)]
        table = Table(*parts)
    elif "ubyte" in path.name:
        table = Table(digits.read_idx(path))
        if table.items.ndim == 1:
            raise ValueError(f"data = {str(path)!r} holds labels: give the file of the images")
    elif suffix == ".npy":
        table = Table(read_file(path, read_npy, suffix))
    elif suffix == ".npz":
        table = Table(*read_file(path, _read_npz, suffix))
    else:
        what = "is one picture" if suffix in SUFFIXES else f"ends in {suffix!r}"
        raise ValueError(f"data = {str(path)!r} {what}: give {WHAT_IS_READ}; "
                         f"np.save('data.npy', array) writes an array")
    if columns and table.items.ndim != 2:
        raise ValueError(f"columns = {','.join(columns)!r}: data = {str(path)!r} is no table")
    if columns:
        chosen = choose_columns(columns, (), table.items.shape[1])
        table = Table(table.items[:, chosen], columns=columns)
    return table


def check(name: str, array: Any) -> Array:
    """The array, as float64 if it has points.  ValueError: neither points nor images, a NaN."""
    array = np.asarray(array)
    if reason := inspection.refusal(array):
        raise ValueError(f"data = {name!r} {reason}")
    if array.ndim > 2:
        return array
    # 8 bytes a number, and 8 for each row number that `split` shuffles
    if 8 * (array.size + len(array)) > LARGEST:
        raise ValueError(f"data = {name!r} holds {array.shape} numbers: "
                         f"as float64 they take more than {LARGEST} bytes")
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        points = array.astype(np.float64, copy=False)
    bad_rows = np.flatnonzero(~np.isfinite(points).all(1))
    if bad_rows.size:
        raise ValueError(f"data = {name!r} has a NaN or an infinity in row {bad_rows[0]}, counted "
                         f"from 0: keep the others, array[np.isfinite(array).all(1)]")
    return points


def _read_npz(file: BinaryIO) -> list[Array]:
    """The data of an open .npz file; of one with training and test images, both."""
    def choose(names: list[str]) -> list[str]:
        if {"x_train", "x_test"} <= set(names):
            return ["x_train", "x_test"]
        usual = ("data", "images", "x", "x_train")
        chosen = names if len(names) == 1 else [name for name in names if name.lower() in usual]
        if len(chosen) != 1:
            raise ValueError(f"it holds {', '.join(names[:9]) or 'nothing'}, not one array or one "
                             f"named {', '.join(usual)}: np.save('data.npy', np.load(path)[name])")
        return chosen

    return list(read_npz(file, choose).values())
