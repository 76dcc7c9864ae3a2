"""Open a data set by its name: a toy, MNIST, or your own file."""
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import toys
from ..gaussian import Array
from ..images.augment import random_shift
from . import data, inspection
from .digits import mnist, mnist_full
from .doubts import doubts, looks_like_images

TOY_SEED = 2006_11239  # of a toy's held-out points


class DataSet(NamedTuple):
    """Data to train on, and data held out for the ledger.

    kind            "points", (N, D) float64, or "images", (N, H, W) or (N, H, W, C) uint8
    draw            (rng, n) → n items to train on
    held_out        items that are never trained on
    shift, scale    (D,) for points: x_0 = (item − shift)/scale; not used for images
    sha256          of the items to train on; None for a toy, which is sampled anew for each batch
    columns         names of the columns of points, where the file has some; otherwise ()
    description     what was read, in one line, for the user
    doubts          where the data may not be what the user thinks, a sentence each
    """

    name: str
    kind: str
    draw: Callable[[np.random.Generator, int], Array]
    held_out: Array
    shift: Array
    scale: Array
    sha256: str | None = None
    columns: tuple[str, ...] = ()
    description: str = ""
    doubts: tuple[str, ...] = ()


def open_data(name: str, most_held_out: int = 2000, columns: Sequence[str] = ()) -> DataSet:
    """The data set of that name.

    name: a toy of `toys.TOYS`, "mnist", "mnist_full", or the path of your own data, see
    `data.read`.
    columns: of points in a file, their names or numbers from 0; () takes all.
    The digits of "mnist" are so few that a network overfits to them; so half of each batch is
    shifted by up to one pixel.
    ValueError: no such data set, or data that cannot be trained on.
    """
    if columns and name in (*toys.TOYS, "mnist", "mnist_full"):
        raise ValueError(f"columns = {','.join(columns)!r} with data = {name!r}: "
                         f"columns can be chosen only from a file of points")
    if name in toys.TOYS:
        return _toy(name, most_held_out)
    if name == "mnist":
        digits = mnist()
        dataset = from_array(name, digits.train, digits.held_out, most_held_out=most_held_out)
        return dataset._replace(draw=lambda rng, n: random_shift(dataset.draw(rng, n), rng, 1, 0.5))
    if name == "mnist_full":
        digits = mnist_full()
        return from_array(name, digits.train, digits.held_out, most_held_out=most_held_out)
    if not os.path.exists(name) and not Path(name).suffix:
        raise ValueError(f"data = {name!r} is no data set: choose among {', '.join(toys.TOYS)}, "
                         f"mnist, mnist_full, or give {data.WHAT_IS_READ}")
    table = data.read(name, columns)
    return from_array(name, *table, most_held_out=most_held_out)


def from_array(name: str, items: Any, held_out: Any = None, columns: Sequence[str] = (),
               told: Sequence[str] = (), most_held_out: int = 2000) -> DataSet:
    """The data set of an array: points (N, D), or images (N, H, W) or (N, H, W, C), uint8.

    name: for messages, and for the settings of a run.
    held_out: an array of the same kind; None: a tenth of `items`, of at least 2.
    columns: names of the columns of points.  told: doubts about how they were read.
    Points are shifted and scaled to mean 0 and variance 1 in each coordinate.
    ValueError: an array that is neither points nor images, or one that cannot be trained on.
    """
    raw = np.asarray(items)
    items = data.check(name, raw)
    if held_out is None:
        rows, held = _split(name, items)
    else:
        rows, held = items, data.check(name, held_out)
    if len(rows) < 2 or len(held) < 2 or rows.shape[1:] != held.shape[1:]:
        raise ValueError(f"data = {name!r} has {rows.shape} to train on and {held.shape} held "
                         f"out: each must have 2 or more items, of one shape")

    def draw(rng: np.random.Generator, n: int) -> Array:
        return rows[rng.integers(len(rows), size=n)]

    kind, shift, scale = "images", np.zeros(1), np.ones(1)
    if rows.ndim == 2:
        kind = "points"
        shift, scale = _shift_and_scale(name, raw, rows, columns)
    sha256 = hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()
    description = inspection.describe(name, items, len(rows), len(held), columns)
    return DataSet(name, kind, draw, held[:most_held_out], shift, scale, sha256, tuple(columns),
                   description, (*told, *doubts(raw, columns)))


def _split(name: str, items: Array) -> tuple[Array, Array]:
    """Shuffle, always in the same way, and hold out a tenth of the items, but at least 2."""
    N = len(items)
    if N < 4:
        raise ValueError(f"data = {name!r} has {N} of the 4 or more items that are needed: 2 to "
                         f"train on, for a variance, and 2 held out, for a standard error")
    rng = np.random.RandomState(0)  # NumPy guarantees that its stream never changes
    shuffled = items[rng.permutation(N)]
    n = max(round(0.1 * N), 2)
    return shuffled[:-n], shuffled[-n:]


def _toy(name: str, n_held_out: int) -> DataSet:
    source = toys.toy(name)
    D = len(source.mean)

    def draw(rng: np.random.Generator, n: int) -> Array:
        return source.sample(rng, n)
    held = source.sample(np.random.default_rng(TOY_SEED), n_held_out)
    description = f"{name}: points of {D} numbers, drawn anew for each batch; {len(held)} held out"
    return DataSet(name, "points", draw, held, np.zeros(D), np.ones(D), description=description)


def _shift_and_scale(name: str, raw: Array, rows: Array,
                     columns: Sequence[str]) -> tuple[Array, Array]:
    """Mean and standard deviation of each coordinate of the rows.

    raw: the array as it was read, for the error message.
    ValueError: a standard deviation is zero or not finite.
    """
    constant = np.flatnonzero(rows.min(0) == rows.max(0)).tolist()
    if constant:
        column, images = inspection.label(columns, constant[0]), looks_like_images(raw)
        step = f", and {images}" if images else f": {inspection.leave_out(constant, len(rows.T))}"
        raise ValueError(f"data = {name!r} has the same value in {column} in every "
                         f"row to train on{step}")
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        shift, scale = rows.mean(0), rows.std(0)
    if not (np.isfinite(shift) & np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"data = {name!r} has numbers too large or too small for a float64 to "
                         f"hold their variance: use other units")
    return shift, scale
