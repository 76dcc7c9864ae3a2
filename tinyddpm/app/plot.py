"""Every picture that more than one place draws; the colours of all: one for data, one for the model, one for what is exact.

Each function returns a Figure.  They are matplotlib's own objects, made without pyplot: no window opens and no global state changes.
`figure.savefig(path)` writes one.
"""
import numpy as np

DATA, MODEL, EXACT, FAINT = "#2a6fbb", "#e07b39", "#222222", "#b8b8b8"
OTHERS = ("#7b5aa6", "#3a9e8f", "#c2436b")  # for models beside the model


def new_figure(columns=1, width=4.2, height=4.2, rows=1, **options):
    """(Figure, its axes: (columns,), or (rows, columns) of more rows), each `width` × `height` inches; options of `subplots`."""
    from matplotlib.figure import Figure  # here, because those who only compute need not wait for it

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(rows, columns, **options))
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_points(ax, x, colour, title, limit=None):
    """Points on one axis: a histogram in one dimension, otherwise the first two coordinates."""
    if x.shape[1] == 1:
        ax.hist(x[:, 0], bins=80, color=colour, density=True)
    else:
        ax.scatter(x[:, 0], x[:, 1], s=2, color=colour, alpha=0.5, linewidths=0)
        ax.set_aspect("equal")
        if limit is not None:
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.set_title(title)


def reach(*clouds):
    """Half the side of a square about the origin that shows nearly all of every cloud."""
    return 1.1 * max(np.quantile(abs(cloud), 0.998) for cloud in clouds)


def scatter(clouds):
    """Clouds of points side by side.  clouds: {title: (points (N, D), colour)}."""
    figure, axes = new_figure(len(clouds))
    limit = reach(*(x for x, _ in clouds.values()))
    for ax, (title, (x, colour)) in zip(axes, clouds.items()):
        draw_points(ax, x, colour, title, limit)
    return figure


def reverse_path(data, path, moments=(1, 0.5, 0.4, 0.3, 0)):
    """The reverse chain from noise to samples at a few moments t/T, and the data it should end as.

    data: (N, 2); path: (T + 1, M, 2), the chain from x_T (first) to x_0 (last).
    """
    figure, axes = new_figure(len(moments) + 1, 2.6, 2.9)
    limit, T = reach(data, path[0]), len(path) - 1
    for ax, moment in zip(axes, moments):
        t = round(moment * T)
        draw_points(ax, path[T - t], MODEL, f"t = {t}" + {0: ", samples", T: ", noise"}.get(t, ""), limit)
    draw_points(axes[-1], data, DATA, "data", limit)
    for ax in axes:
        ax.axis("off")
    return figure


def to_canvas(images, columns=None, gap=2):
    """Images (N, H, W) or (N, H, W, C), uint8, tiled into one (rows·(H + gap), columns·(W + gap), C or 3)."""
    images = images[..., None] if images.ndim == 3 else images
    N, H, W, C = images.shape
    columns = columns or int(np.ceil(np.sqrt(N)))
    rows = -(-N // columns)
    canvas = np.full((rows, H + gap, columns, W + gap, C), 255, np.uint8)
    for i, image in enumerate(images):
        canvas[i // columns, :H, i % columns, :W] = image
    canvas = canvas.reshape(rows * (H + gap), columns * (W + gap), C)[:-gap, :-gap]
    return np.repeat(canvas, 3, 2) if C == 1 else canvas[..., :3] if C >= 3 else np.repeat(canvas[..., :1], 3, 2)


def image_grid(images, title="", columns=None):
    """A grid of images, uint8 (N, H, W) or (N, H, W, C)."""
    canvas = to_canvas(images, columns)
    figure, (ax,) = new_figure(1, 6, 6 * canvas.shape[0] / canvas.shape[1] + (0.4 if title else 0))
    ax.imshow(canvas, interpolation="nearest")
    ax.axis("off")
    ax.set_title(title)
    return figure
