"""Pictures and films that the commands and several demos draw, and the colours of all pictures.

The functions return matplotlib's own Figure or animation, made without pyplot: no window opens, and
no global state changes.  `figure.savefig(path)` writes a figure, `save_animation` a film.
Only the functions import matplotlib, so importing this module is fast.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..elbo import Ledger
from ..gaussian import Array

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of data, of the model, of exact values, and of lines in the background.
DATA, MODEL, EXACT, FAINT = "#2a6fbb", "#e07b39", "#222222", "#b8b8b8"
OTHERS = ("#7b5aa6", "#3a9e8f", "#c2436b")  # of other models
FILM_DPI = 80


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
    rows = -(-N // columns)
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


def draw_table(ax: Axes, images: Array, columns: Any = (), rows: Any = ()) -> None:
    """A table of images, uint8 (R, C, H, W).  columns, rows: the words above and to the left."""
    R, C, H, W = images.shape
    ax.imshow(to_canvas(images.reshape(R * C, H, W), C), interpolation="nearest")
    ax.set_xticks((W + 2) * np.arange(len(columns)) + (W - 1) / 2, columns)
    ax.set_yticks((H + 2) * np.arange(len(rows)) + (H - 1) / 2, rows)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)


def schedules(named):
    """ᾱ_t and log SNR against t/T.  named: {name: Schedule}."""
    figure, (left, right) = new_figure(2, height=3.4)
    for name, schedule in named.items():
        t = np.arange(schedule.T + 1) / schedule.T
        left.plot(t, schedule.alpha_bar, label=name)
        right.plot(t[1:], schedule.log_snr[1:])
    left.set(title=r"$\bar\alpha_t$, signal left", xlabel="t/T")
    right.set(title="log SNR", xlabel="t/T")
    left.legend(frameon=False)
    return figure


def ledger_per_t(ledger: Ledger, exact: Array | None = None) -> Figure:
    """Every L_{t−1} with two standard errors.  exact: (T + 1,), the terms of the best denoiser."""
    mean, error = ledger.per_t()
    figure, (ax,) = new_figure(1, 6.5, 3.4)
    t = np.arange(2, len(mean))
    low, high = mean - 2 * error, mean + 2 * error
    ax.fill_between(t, low[1:-1], high[1:-1], color=MODEL, alpha=0.25, linewidth=0)
    ax.plot(t, mean[1:-1], color=MODEL, label="model, ± 2 standard errors")
    if exact is not None:
        ax.plot(t, exact[1:-1], color=EXACT, linewidth=1, label="the optimal denoiser, exact")
    ax.set(xlabel="t", ylabel="nats", title=r"$L_{t-1}$: where the nats go", yscale="log")
    ax.legend(frameon=False)
    return figure


def animate_points(path, frames=60, title="t = {t}"):
    """The reverse chain as a film: path (T + 1, N, 2) from x_T to x_0.  Returns a matplotlib animation."""
    figure, (ax,) = new_figure(1, 4, 4.2)
    limit = max(reach(path[-1]), 2.5)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.set_aspect("equal")
    dots = ax.scatter(*path[0].T, s=3, color=MODEL, alpha=0.6, linewidths=0)

    def show(i):
        dots.set_offsets(path[i])
        ax.set_title(title.format(t=len(path) - 1 - i))
    return film(figure, show, len(path), frames)


def animate_clouds(paths: dict[str, Array], limit: float = 2.6) -> FuncAnimation:
    """Several chains side by side, as a film.  paths: {name: (frames, N, 2)}."""
    figure, axes = new_figure(len(paths), 1.6, 1.85)
    dots = []
    for ax, (name, path) in zip(axes, paths.items()):
        dots.append(ax.scatter(*path[0].T, s=1.6, color=MODEL, linewidths=0))
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        ax.axis("off")
        ax.set_title(name, y=-0.14, fontsize=11)
    length = min(len(path) for path in paths.values())

    def show(i: int) -> None:
        for dot, path in zip(dots, paths.values()):
            dot.set_offsets(path[i])
    return film(figure, show, length, length)


def animate_images(path: Array, frames: int = 60, columns: int | None = None) -> FuncAnimation:
    """The reverse chain as a film.  path: uint8 (T + 1, N, H, W), from x_T to x_0.

    A film of noise makes a large file.  To keep it small there are 16 levels of grey, and each
    pixel is exactly 2×2 pixels of the film.
    """
    from matplotlib.figure import Figure

    def canvas(i: int) -> Array:
        sixteen_greys = np.round(path[i] / 17).astype(np.uint8) * 17
        return to_canvas(sixteen_greys, columns).repeat(2, 0).repeat(2, 1)

    height, width, _ = canvas(0).shape
    figure = Figure(figsize=(width / FILM_DPI, height / FILM_DPI), dpi=FILM_DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    picture = ax.imshow(canvas(0), interpolation="nearest")

    def show(i: int) -> None:
        picture.set_data(canvas(i))
    return film(figure, show, len(path), frames)


def film(figure: Figure, show: Callable[[int], None], length: int,
         frames: int = 60) -> FuncAnimation:
    """A film of at most `frames` frames, evenly spread over 0…length − 1.

    show: it changes the figure so that it shows frame i.  The last frame is repeated ten times.
    """
    from matplotlib.animation import FuncAnimation
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    show(0)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is that of frame 0; to repeat it is slow
    chosen = np.unique(np.linspace(0, length - 1, min(frames, length)).round().astype(int))
    order = [*chosen, *[length - 1] * 10]
    return FuncAnimation(figure, show, frames=order, interval=66, repeat=True)


def save_animation(animation: FuncAnimation, path: Any) -> None:
    """Write a film as .gif, by Pillow, or as .html, with matplotlib's player.

    ValueError: a path that ends in neither.
    """
    path = str(path)
    if path.endswith(".gif"):
        animation.save(path, writer="pillow", dpi=FILM_DPI)
    elif path.endswith(".html"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(animation.to_jshtml(default_mode="loop"))
    else:
        raise ValueError(f"path = {path!r}: an animation is written as .gif or .html")
