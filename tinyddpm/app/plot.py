"""Pictures that the commands and several demos draw, and the colours of all pictures.

The functions return matplotlib's own Figure, made without pyplot: no window opens, and no global
state changes.  `figure.savefig(path)` writes it.
Only the functions import matplotlib, so importing this module is fast.
"""
from __future__ import annotations

import textwrap
from collections.abc import Sequence
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
    """The first two coordinates of points (N, D), with axes of one scale.

    limit: the axes show −limit…limit.
    """
    ax.scatter(x[:, 0], x[:, 1], s=2, color=colour, alpha=0.5, linewidths=0)
    ax.set_aspect("equal")
    if limit is not None:
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.set_title(title)


def reach(*clouds: Array) -> float:
    """A limit for `draw_points` that shows nearly all points of every cloud."""
    return 1.1 * max(np.quantile(abs(cloud), 0.998) for cloud in clouds)


MOST_POINTS = 4000  # of one colour in one of the axes
MOST_COLUMNS = 5  # in a scatter matrix


def points(samples: Array, held_out: Array, columns: Sequence[str] = ()) -> Figure:
    """Samples beside held-out data, both (N, D) in the data's own units.

    D = 1: two histograms with the same bins.  D = 2: two clouds on the same axes.  D > 2: a scatter
    matrix of the first five columns, with histograms on the diagonal.
    columns: their names; () for "column 0", "column 1", …
    """
    D = held_out.shape[1]
    width = 20 if D > 2 else 50
    names = [_short(name, width) for name in columns]
    if len(names) != D:
        names = [f"column {i}" for i in range(D)]
    limits = [axis_limits(samples[:, i], held_out[:, i]) for i in range(min(D, MOST_COLUMNS))]
    if D == 1:
        figure, (ax,) = new_figure(1, 6.4, 4.2)
        _histograms(ax, samples[:, 0], held_out[:, 0], limits[0])
        _name_axes(ax, names[0], "share")
        ax.legend(frameon=False)
    elif D == 2:
        figure = _two_clouds(samples, held_out, names, limits)
    else:
        figure = _scatter_matrix(samples, held_out, names, limits)
    return figure


def axis_limits(samples: Array, held_out: Array) -> tuple[float, float]:
    """The limits of an axis that shows the bulk of held-out data (N,) and, if near, of samples.

    A few outliers stay outside.  Samples extend the axis to three times the length at most.
    """
    low, high = _bulk(held_out)
    samples_low, samples_high = _bulk(samples)
    length = (high - low) or (samples_high - samples_low) or abs(low) or 1.0
    low = max(min(low, samples_low), low - length)
    high = min(max(high, samples_high), high + length)
    margin = 0.05 * ((high - low) or length)
    return float(low - margin), float(high + margin)


def _bulk(x: Array) -> tuple[float, float]:
    """The range of numbers (N,) without the outliers: at most 1% at each end, and those far out.

    Far out is more than three times the interquartile range outside the quartiles (Tukey).
    """
    first, third = np.quantile(x, [0.25, 0.75])
    fence = 3 * (third - first)
    inside = x[(x >= first - fence) & (x <= third + fence)]
    low, high = np.quantile(x, 0.01, method="higher"), np.quantile(x, 0.99, method="lower")
    return min(low, inside.min()), max(high, inside.max())


def _histograms(ax: Axes, samples: Array, held_out: Array, limits: tuple[float, float]) -> None:
    fewest = min(len(samples), len(held_out))
    edges = np.linspace(*limits, int(np.clip(np.sqrt(fewest), 10, 40)) + 1).tolist()
    ax.hist(held_out, edges, color=DATA, alpha=0.45, label="held-out data",
            weights=np.full(len(held_out), 1 / len(held_out)))
    ax.hist(samples, edges, color=MODEL, histtype="step", linewidth=1.8, label="samples",
            weights=np.full(len(samples), 1 / len(samples)))
    ax.set_xlim(limits)


def _cloud(ax: Axes, x: Array, colour: str, size: float = 1.0) -> None:
    """A scatter of points (N, 2): the fewer they are, the larger and the less transparent."""
    few = (1 - len(x[:MOST_POINTS]) / MOST_POINTS) ** 8  # from 0, for many, to 1
    ax.scatter(x[:MOST_POINTS, 0], x[:MOST_POINTS, 1], s=size * (2 + 10 * few), color=colour,
               alpha=0.45 + 0.4 * few, linewidths=0)


def _two_clouds(samples: Array, held_out: Array, names: list[str],
                limits: list[tuple[float, float]]) -> Figure:
    figure, axes = new_figure(2, 4.4, 4.2, sharex=True, sharey=True)
    clouds = {"held-out data": (held_out, DATA), "samples": (samples, MODEL)}
    lengths = [high - low for low, high in limits]
    for ax, (title, (x, colour)) in zip(axes, clouds.items()):
        _cloud(ax, x, colour)
        ax.set(xlim=limits[0], ylim=limits[1])
        if max(lengths) < 1.3 * min(lengths):  # the same units, most likely
            ax.set_aspect("equal")
        ax.set_title(title + _outside(x, limits))
        _name_axes(ax, names[0], names[1] if ax is axes[0] else "")
    return figure


def _scatter_matrix(samples: Array, held_out: Array, names: list[str],
                    limits: list[tuple[float, float]]) -> Figure:
    n = len(limits)
    figure, axes = new_figure(n, 1.9, 1.9, rows=n, sharex="col")
    for row, column in np.ndindex(n, n):
        ax = axes[row, column]
        if row < column:
            ax.axis("off")
            continue
        if row == column:
            _histograms(ax, samples[:, row], held_out[:, row], limits[row])
            ax.set_yticks([])
        else:
            _cloud(ax, held_out[:, [column, row]], DATA, 0.7)
            _cloud(ax, samples[:, [column, row]], MODEL, 0.7)
            ax.set(xlim=limits[column], ylim=limits[row])
        is_left = column == 0 and row > 0
        _name_axes(ax, names[column] if row == n - 1 else "", names[row] if is_left else "", 2)
        ax.tick_params(labelbottom=row == n - 1, labelleft=is_left, labelsize="small")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, -1].legend(handles, labels, frameon=False, loc="upper right")
    shown = f"the first {n} of {len(names)} columns" if len(names) > n else ""
    figure.suptitle((shown + _outside(samples[:, :n], limits, "samples ")).strip())
    return figure


def _outside(x: Array, limits: list[tuple[float, float]], noun: str = "") -> str:
    """For a title: how many of the points (N, D) the axes do not show."""
    low, high = np.transpose(limits)
    count = int(((x < low) | (x > high)).any(1).sum())
    return f" ({count} of {len(x)} {noun}outside)" if count else ""


def _short(name: str, width: int) -> str:
    """A column's name on one line of at most so many characters."""
    return textwrap.shorten(name, width, placeholder="…") or "(no name)"


def _name_axes(ax: Axes, x: str, y: str, most_ticks: int = 4) -> None:
    """Name the axes.  Their ticks are numbers in full, 5334000 and not 5.334 with 1e6 elsewhere.

    most_ticks: intervals between ticks, so few that long numbers have room.
    """
    ax.set_xlabel(x, parse_math=False)  # a name may hold a $
    ax.set_ylabel(y, parse_math=False)
    ax.ticklabel_format(useOffset=False, scilimits=(-4, 11))
    ax.locator_params(nbins=most_ticks)


def loss(steps: Array, losses: Array) -> Figure:
    """The loss of single batches and its running mean over the step, (N,) each, N ≥ 1.

    The axis is logarithmic if the running mean is positive and falls to less than a fifth.
    """
    window = 1 + len(losses) // 20
    sums = np.cumsum(np.append(0.0, losses))
    mean = (sums[window:] - sums[:-window]) / window
    middle = steps[window // 2:][:len(mean)]
    thin = -(-len(losses) // MOST_POINTS)  # one in so many is drawn
    figure, (ax,) = new_figure(1, 6.4, 4.2)
    ax.plot(steps[::thin], losses[::thin], ".", color=FAINT if window > 1 else MODEL,
            markersize=3 if window > 1 else 8, label="single batches")
    ax.plot(middle[::thin], mean[::thin], color=MODEL, linewidth=2 if window > 1 else 0.8,
            label="running mean")
    _name_axes(ax, "step", "loss", 6)
    if 0 < 5 * mean.min() < mean.max():
        ax.set_yscale("log")
    else:
        low, high = axis_limits(mean, losses)
        ax.set_ylim(low, max(high, mean.max()))
    ax.set_xlim(0, 1.02 * steps[-1])
    if window > 1:
        ax.legend(frameon=False, loc="upper right")
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
