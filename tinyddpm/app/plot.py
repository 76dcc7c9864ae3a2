"""Pictures that the commands and several demos draw, and the colours of all pictures.

The functions return matplotlib's own Figure, made without pyplot: no window opens, and no global
state changes.  `figure.savefig(path)` writes it.
Only the functions import matplotlib, so importing this module is fast.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..gaussian import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of data, of the model, of exact values, and of lines in the background.
DATA, MODEL, EXACT, FAINT = "#2a6fbb", "#e07b39", "#222222", "#b8b8b8"
OTHERS = ("#7b5aa6", "#3a9e8f", "#c2436b")  # of other models


def new_figure(columns: int = 1, width: float = 4.2, height: float = 4.2, rows: int = 1,
               **options: Any) -> tuple[Figure, Any]:
    """(Figure, its axes): axes (columns,), or (rows, columns) if there is more than one row.

    width, height: of each of the axes, in inches.  options: those of `Figure.subplots`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(rows, columns, **options))
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_points(ax: Axes, x: Array, colour: str, title: str, limit: float | None = None) -> None:
    """Points (N, D): a histogram if D is 1, otherwise the first two coordinates.

    limit: the axes show −limit…limit.
    """
    if x.shape[1] == 1:
        ax.hist(x[:, 0], bins=80, color=colour, density=True)
    else:
        ax.scatter(x[:, 0], x[:, 1], s=2, color=colour, alpha=0.5, linewidths=0)
        ax.set_aspect("equal")
        if limit is not None:
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.set_title(title)


def reach(*clouds: Array) -> float:
    """A limit for `draw_points` that shows nearly all points of every cloud."""
    return 1.1 * max(np.quantile(abs(cloud), 0.998) for cloud in clouds)


def scatter(clouds: dict[str, tuple[Array, str]]) -> Figure:
    """Clouds of points side by side.  clouds: {title: (points (N, D), colour)}."""
    figure, axes = new_figure(len(clouds))
    limit = reach(*(x for x, _ in clouds.values()))
    for ax, (title, (x, colour)) in zip(axes, clouds.items()):
        draw_points(ax, x, colour, title, limit)
    return figure


def reverse_path(data: Array, path: Array,
                 moments: tuple[float, ...] = (1, 0.5, 0.4, 0.3, 0)) -> Figure:
    """The reverse chain from noise to samples, and beside it the data.

    data: (N, 2).  path: (T + 1, M, 2), the chain from x_T to x_0.  moments: the t/T that are drawn.
    """
    figure, axes = new_figure(len(moments) + 1, 2.6, 2.9)
    limit, T = reach(data, path[0]), len(path) - 1
    names = {T: ", noise", 0: ", samples"}
    for ax, moment in zip(axes, moments):
        t = round(moment * T)
        draw_points(ax, path[T - t], MODEL, f"t = {t}" + names.get(t, ""), limit)
    draw_points(axes[-1], data, DATA, "data", limit)
    for ax in axes:
        ax.axis("off")
    return figure


def to_canvas(images: Array, columns: int | None = None, gap: int = 2) -> Array:
    """One image of many: uint8 (height, width, 3), with white gaps between its tiles.

    images: uint8 (N, H, W) or (N, H, W, C), row by row.  Of C = 3 or more channels the first three
    are red, green and blue; of fewer the first is grey.
    """
    images = images[..., None] if images.ndim == 3 else images
    N, H, W, C = images.shape
    columns = columns or int(np.ceil(np.sqrt(N)))
    rows = -(-N // columns)  # N/columns, rounded up
    canvas = np.full((rows, H + gap, columns, W + gap, C), 255, np.uint8)
    for i, image in enumerate(images):
        canvas[i // columns, :H, i % columns, :W] = image
    canvas = canvas.reshape(rows * (H + gap), columns * (W + gap), C)[:-gap, :-gap]
    return canvas[..., :3] if C >= 3 else np.repeat(canvas[..., :1], 3, 2)


def image_grid(images: Array, title: str = "", columns: int | None = None) -> Figure:
    """A grid of images, uint8 (N, H, W) or (N, H, W, C)."""
    canvas = to_canvas(images, columns)
    height = 6 * canvas.shape[0] / canvas.shape[1] + (0.4 if title else 0)
    figure, (ax,) = new_figure(1, 6, height)
    ax.imshow(canvas, interpolation="nearest")
    ax.axis("off")
    ax.set_title(title)
    return figure
