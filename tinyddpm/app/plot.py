"""Every picture that more than one place draws; the colours of all: one for data, one for the model, one for what is exact.

Each function returns a Figure.  They are matplotlib's own objects, made without pyplot: no window opens and no global state changes.
`figure.savefig(path)` writes one; an animation goes through `save_animation`.
"""
import numpy as np

DATA, MODEL, EXACT, FAINT = "#2a6fbb", "#e07b39", "#222222", "#b8b8b8"
OTHERS = ("#7b5aa6", "#3a9e8f", "#c2436b")  # for models beside the model
FILM_DPI = 80


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


def draw_table(ax, images, columns=(), rows=()):
    """Images (R, C, H, W), uint8, on one axis as a table, with words above its columns and to the left of its rows."""
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


def ledger_per_t(ledger, exact=None):
    """Every L_{t−1} with its standard error, and the exact terms (T + 1,) where they are known."""
    mean, error = ledger.per_t()
    figure, (ax,) = new_figure(1, 6.5, 3.4)
    t = np.arange(2, len(mean))
    ax.fill_between(t, (mean - 2 * error)[1:-1], (mean + 2 * error)[1:-1], color=MODEL, alpha=0.25, linewidth=0)
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


def animate_clouds(paths, limit=2.6):
    """Several chains side by side, their names under them: {name: (F, N, 2), frame by frame}.  Returns a matplotlib animation."""
    figure, axes = new_figure(len(paths), 1.6, 1.85)
    dots = []
    for ax, (name, path) in zip(axes, paths.items()):
        dots.append(ax.scatter(*path[0].T, s=1.6, color=MODEL, linewidths=0))
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        ax.axis("off")
        ax.set_title(name, y=-0.14, fontsize=11)
    length = min(map(len, paths.values()))

    def show(i):
        for dot, path in zip(dots, paths.values()):
            dot.set_offsets(path[i])
    return film(figure, show, length, length)


def animate_images(path, frames=60, columns=None):
    """The reverse chain as a film: path (T + 1, N, H, W), uint8, from x_T to x_0.  Returns a matplotlib animation.

    Noise does not compress: so there are 16 greys, and every pixel is exactly 2×2 of the film's.
    """
    from matplotlib.figure import Figure

    def canvas(i):
        return to_canvas(np.round(path[i] / 17).astype(np.uint8) * 17, columns).repeat(2, 0).repeat(2, 1)

    height, width, _ = canvas(0).shape
    figure = Figure(figsize=(width / FILM_DPI, height / FILM_DPI), dpi=FILM_DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    picture = ax.imshow(canvas(0), interpolation="nearest")
    return film(figure, lambda i: picture.set_data(canvas(i)), len(path), frames)


def film(figure, show, length, frames=60):
    """An animation of `length` moments, of which `frames` are seen: show(i) makes the figure show the i-th."""
    from matplotlib.animation import FuncAnimation
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    show(0)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: it would take as long as the drawing, frame by frame
    chosen = np.unique(np.linspace(0, length - 1, min(frames, length)).round().astype(int))
    # The last frame stays for a moment: it is what one came to see.
    return FuncAnimation(figure, show, frames=[*chosen, *[length - 1] * 10], interval=66, repeat=True)


def save_animation(animation, path):
    """Write .gif (by Pillow) or .html (matplotlib's player; opens from disk).  ValueError: another ending."""
    path = str(path)
    if path.endswith(".gif"):
        animation.save(path, writer="pillow", dpi=FILM_DPI)
    elif path.endswith(".html"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(animation.to_jshtml(default_mode="loop"))
    else:
        raise ValueError(f"path = {path!r}: an animation is written as .gif or .html")
