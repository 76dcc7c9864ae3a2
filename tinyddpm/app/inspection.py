"""An array in words: what it is, and why it cannot be trained on.  A sentence calls it `array`."""
from collections.abc import Sequence

import numpy as np

from ..gaussian import Array


def describe(name: str, items: Array, n_train: int, n_held_out: int,
             columns: Sequence[str] = ()) -> str:
    """What was read, in one line: how many items, of which shape, in which range."""
    size = " × ".join(map(str, items.shape[1:]))
    what, ranges = f"images of {size}", [f"uint8 {items.min()} to {items.max()}"]
    if items.ndim == 2:
        what, D = "points of 1 number" if size == "1" else f"points of {size} numbers", len(items.T)
        shown = range(D) if D <= 6 else (0, 1, 2, D - 1)
        ranges = [f"{label(columns, i)} {items[:, i].min():.6g} to {items[:, i].max():.6g}"
                  for i in shown]
        ranges[3:3] = [f"{D - 4} more"] if D > 6 else []
    return (f"{name}: {n_train + n_held_out} {what}, {n_train} to train on, {n_held_out} held out; "
            f"{', '.join(ranges)}")


def label(columns: Sequence[str], i: int) -> str:
    return repr(columns[i]) if i < len(columns) and columns[i] else f"column {i}"


def leave_out(dropped: list[int], D: int) -> str:
    """The step that leaves columns out, of a file or of an array."""
    rest = ",".join(str(i) for i in range(D) if i not in dropped)
    option = f"--columns {rest} or " if rest and D <= 9 else ""
    array = f"np.delete(array, {dropped}, axis=1)"
    if len(dropped) > 9:
        array = "array[:, array.min(0) < array.max(0)]"
    return f"choose the others by {option}{array}"


def refusal(array: Array) -> str:
    """Why the array is neither points nor images, with the step that mends it; "" if it is."""
    is_first = array.ndim == 4 and array.shape[1] <= 4 < array.shape[3]  # channels, before H and W
    if array.size == 0:
        step = "there must be a number"
    elif array.dtype.kind not in "fiub":
        real = "array.real" if array.dtype.kind == "c" else "np.array(array.tolist(), float)"
        step = f"{real} makes numbers"
    elif array.ndim == 1:
        step = "array[:, None] makes N points of one number"
    elif array.ndim == 2 and array.dtype.kind != "b":
        return ""
    elif array.ndim in (3, 4) and array.dtype == np.uint8 and not is_first:
        return ""
    elif array.ndim in (3, 4) and (images := to_levels(array)):
        channels_last = ".transpose(0, 2, 3, 1)" if is_first else ""
        step = f"{images}{channels_last} makes images"
    else:
        step = "array.reshape(len(array), -1).astype(float) makes points"
    return (f"holds {array.dtype} of shape {array.shape}, not points, (N, D) numbers, or images, "
            f"uint8 (N, H, W) or (N, H, W, C): {step}")


def to_levels(array: Array, name: str = "array") -> str:
    """The line of NumPy that makes grey levels 0…255; "" if the range of the array is unusual."""
    low, high = float(array.min()), float(array.max())
    is_whole = array.dtype.kind in "iu"
    if array.dtype == np.uint8 and name == "array":
        return name
    if 0 <= low and high <= 1:
        return f"np.round(255.0 * {name}).astype(np.uint8)"
    if -1 <= low and high <= 1:
        return f"np.round(127.5 * ({name} + 1)).astype(np.uint8)"
    if 0 <= low and high <= 16:
        return f"np.round(255 / 16 * {name}).astype(np.uint8)"
    if 0 <= low and high <= 255:
        return f"{name}.astype(np.uint8)" if is_whole else f"np.round({name}).astype(np.uint8)"
    return f"np.round(255 / array.max() * {name}).astype(np.uint8)" if 0 <= low and is_whole else ""
