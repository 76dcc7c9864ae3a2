"""What does a small denoiser learn from 4,500 handwritten digits in a few minutes?

    python demos/mnist.py --minutes 5

Trains the convolutional denoiser and writes to --out
    samples.npy                 samples, uint8 (N, 28, 28); samples.png shows them
    reverse.gif, reverse.html   the reverse chain as a film; the page plays from disk
    progressive.png             the chain x_t, and below it the guess x̂_0(x_t)
    ledger.png, report.json     the ELBO of held-out digits
    run/                        the run folder, for `python -m tinyddpm sample` and `elbo`
A second call continues the training in the same folder, until it has had its minutes.
"""
# %%
import numpy as np
from common import TINY, demo_parser, draw_table, finish, run_demo
from films import FILM_DPI, film, save_film

from tinyddpm import ancestral_sampling
from tinyddpm.app import plot
from tinyddpm.app import run as runs
from tinyddpm.app.console import (integer_at_least, ledger_to_dict, positive,
                                  progress_over, train_with_bar, write_picture)


def film_of_images(path):
    """The reverse chain as a film.  path: (F, N, H, W), uint8, from x_T to x_0.

    It has 16 grey levels, because noise does not compress, and 2×2 pixels for each of the image's.
    """
    from matplotlib.figure import Figure

    def canvas(i):
        levels = np.round(path[i] / 17).astype(np.uint8) * 17
        return plot.to_canvas(levels).repeat(2, 0).repeat(2, 1)

    height, width, _ = canvas(0).shape
    figure = Figure(figsize=(width / FILM_DPI, height / FILM_DPI), dpi=FILM_DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    picture = ax.imshow(canvas(0), interpolation="nearest")
    return film(figure, lambda i: picture.set_data(canvas(i)), len(path))


def draw_terms(ledger):
    """Every L_{t−1}, t = 2…T, with its standard error."""
    mean, error = ledger.per_t()
    figure, (ax,) = plot.new_figure(1, 6.5, 3.4)
    t, low, high = np.arange(2, len(mean)), mean - 2 * error, mean + 2 * error
    ax.fill_between(t, low[1:-1], high[1:-1], color=plot.MODEL, alpha=0.25, linewidth=0)
    ax.plot(t, mean[1:-1], color=plot.MODEL, label="model, ± 2 standard errors")
    ax.set(xlabel="t", ylabel="nats per digit", yscale="log",
           title="The terms $L_{t-1}$ of the ELBO")
    ax.legend(frameon=False)
    return figure


def main(out, seed, quick, minutes, n, held_out=100):
    # %% Train.
    dataset, folder = runs.open_data("mnist"), out / "run"
    choices = TINY if quick else {}
    if quick:
        minutes, n, held_out = 0.03, 4, 4
    runs.check_size("n", n, dataset.held_out.shape[1:])
    is_new = not (folder / "settings.json").exists()
    with runs.locked(folder, is_new):
        if is_new:
            run, rng = runs.start(dataset, seed, minutes=minutes, **choices)
        else:
            run, rng = runs.load(folder)
        run = run._replace(settings={**run.settings, "minutes": minutes})
        run = train_with_bar(run, dataset, rng, folder)

    # %% Sample by Algorithm 2, in all T steps; 36 of them are kept for film and picture.
    T, rng, kept = run.schedule.T, np.random.default_rng(seed), {}
    times = np.unique(np.linspace(1, T, 36).round().astype(int))[::-1]
    x = rng.standard_normal((n, 28, 28), np.float32)
    chain = ancestral_sampling(run.schedule, run.denoiser, x, rng,
                               variance=run.settings["variance"], clip=run.clip)
    for t, step in zip(progress_over("sampling")(range(T, 0, -1)), chain):
        if t in times:
            kept[t] = x[:36], step.x_0[:36]
        x = step.x
    samples = run.decode(x)
    np.save(out / "samples.npy", samples)
    write_picture(out / "samples.png", plot.image_grid(samples[:100]))
    frames = [run.decode(x_t) for x_t, _ in kept.values()]
    reverse = film_of_images(np.stack([*frames, samples[:36]]))
    for name in ("reverse.gif", "reverse.html"):
        save_film(reverse, out / name, "Digits on the reverse chain, from noise to samples")

    # %% The guess along the chain: how far is it from the sample at the end?
    error = np.array([((guess - x[:36]) ** 2).mean() for _, guess in kept.values()])
    half, tenth = (int(times[np.argmax(error <= share * error[0])]) for share in (0.5, 0.1))
    title = f"At t = {half} of {T} the guess x̂₀ is half as far from the sample as at t = {T}"
    moments = (1, 0.92, 0.87, 0.82, 0.77, 0.72, 0.67, 0.6, 0.5, 0)
    columns = [times[np.abs(times - moment * T).argmin()] for moment in moments]
    figure, axes = plot.new_figure(1, 8.2, 1.78, rows=min(n, 3))
    for i, ax in enumerate(axes.flat):
        rows = [[run.decode(kept[t][view][i]) for t in columns] for view in (0, 1)]
        names = [f"t = {t}" for t in columns] if i == 0 else ()
        draw_table(ax, np.array(rows), names, ("$x_t$", r"$\hat x_0(x_t)$"))
    figure.suptitle(f"{title} (squared distance)", x=0.01, ha="left", fontsize=10)
    write_picture(out / "progressive.png", figure)

    # %% The ELBO of digits that were not trained on.
    ledger = run.ledger(dataset.held_out[:held_out], rng, progress=progress_over("ledger"))
    write_picture(out / "ledger.png", draw_terms(ledger))
    print(f"\n{run.state.step} steps of {run.settings['batch']} digits; "
          f"held-out digits: {held_out}")
    print(ledger)
    bits, bits_error = (ledger.bits_per_dim(nats) for nats in ledger.summary()["total"])
    answer = (f"After {run.state.step} steps, held-out digits take {bits:.3f} ± {bits_error:.3f} "
              f"bits per dimension.  {title}, and a tenth as far at t = {tenth} (squared "
              "distance).")
    finish(out, answer, seed, minutes=minutes, steps=run.state.step, settings=run.settings,
           held_out=held_out, n=n, t_of_half_the_distance=half, t_of_a_tenth=tenth,
           ledger=ledger_to_dict(ledger))


if __name__ == "__main__":
    parser = demo_parser(__doc__, "mnist-out")
    parser.add_argument("--minutes", type=positive, default=5, help="of training (%(default)s)")
    parser.add_argument("--n", type=integer_at_least(1), default=64,
                        help="samples (%(default)s); demos/judge.py takes 500 or more")
    run_demo(main, parser)
