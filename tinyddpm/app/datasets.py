"""Open a data set by its name: a toy, MNIST, or your own file."""
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import toys
from ..gaussian import Array
from ..images.augment import random_shift
from . import data
from .digits import mnist, mnist_full

TOY_SEED = 2006_11239  # of a toy's held-out points


class DataSet(NamedTuple):
    """Data to train on, and data held out for the ledger.

    kind            "points", (N, D) float64, or "images", (N, H, W) or (N, H, W, C) uint8
    draw            (rng, n) → n items to train on
    held_out        items that are never trained on
    shift, scale    (D,) for points: x_0 = (item − shift)/scale; not used for images
    sha256          of the items to train on; None for a toy, which is sampled anew for each batch
    """

    name: str
    kind: str
    draw: Callable[[np.random.Generator, int], Array]
    held_out: Array
    shift: Array
    scale: Array
    sha256: str | None = None


def open_data(name: str, most_held_out: int = 2000) -> DataSet:
    """The data set of that name.

    name: a toy of `toys.TOYS`, "mnist", "mnist_full", a folder of MNIST's idx files, or your own
    .npy, .npz or .csv file.
    Of your own file a tenth of the rows is held out; points are shifted and scaled to mean 0 and
    variance 1 in each coordinate.  The digits of "mnist" are so few that a network overfits to
    them; so half of each batch is shifted by up to one pixel.
    ValueError: no such data set, or data that cannot be trained on.
    """
    if name in toys.TOYS:
        return _toy(name, most_held_out)
    if name == "mnist":
        digits = mnist()
        rows, held = digits.train, digits.held_out
    elif name == "mnist_full" or os.path.isdir(name):
        digits = mnist_full(None if name == "mnist_full" else name)
        rows, held = digits.train, digits.held_out
    elif Path(name).suffix:
        rows, held = data.split(data.load(name))
    else:
        raise ValueError(f"data = {name!r} is no data set: choose among {', '.join(toys.TOYS)}, "
                         f"mnist, mnist_full, or give a .npy, .npz or .csv file")
    if len(rows) < 2 or len(held) < 2:
        raise ValueError(f"data = {name!r} has {len(rows)} rows to train on and {len(held)} held "
                         f"out: each must be 2 or more")

    def draw(rng: np.random.Generator, n: int) -> Array:
        items = rows[rng.integers(len(rows), size=n)]
        return random_shift(items, rng, 1, share=0.5) if name == "mnist" else items

    kind, shift, scale = "images", np.zeros(1), np.ones(1)
    if rows.ndim == 2:
        kind = "points"
        shift, scale = _shift_and_scale(name, rows)
    sha256 = hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()
    return DataSet(name, kind, draw, held[:most_held_out], shift, scale, sha256)


def _toy(name: str, n_held_out: int) -> DataSet:
    source = toys.toy(name)
    D = len(source.mean)

    def draw(rng: np.random.Generator, n: int) -> Array:
        return source.sample(rng, n)
    held = source.sample(np.random.default_rng(TOY_SEED), n_held_out)
    return DataSet(name, "points", draw, held, np.zeros(D), np.ones(D))


def _shift_and_scale(name: str, points: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each coordinate.  ValueError: one is not finite, or zero."""
    is_constant = points.min(0) == points.max(0)
    if is_constant.any():
        raise ValueError(f"data = {name!r} has the same value in every row of column "
                         f"{np.argmax(is_constant)}: remove that column")
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        shift, scale = points.mean(0), points.std(0)
    if not (np.isfinite(shift) & np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"data = {name!r} has numbers too large or too small for a float64 to "
                         f"hold their variance: use other units")
    return shift, scale
