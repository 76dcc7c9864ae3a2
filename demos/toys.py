"""Can one small network learn seven distributions of the plane?

    python demos/toys.py                  # --steps N: training steps for each of the seven

The same small MLP is trained on every distribution of tinyddpm.toys, as `python -m tinyddpm
train` does it, and Algorithm 2 draws the samples.  Each density p_data is known, so the answer is
a number: E[−ELBO] minus the data's entropy is an upper bound of KL(p_data ‖ p_θ), which training
makes small (1.1).  The best possible −ELBO is that of the exact denoiser, with this schedule and
this σ_t².  Writes toys.png, report.json, and the film toys.gif and toys.html.
"""
# %%
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from common import demo_parser, finish, run_demo
from films import film, save_film

from tinyddpm import ancestral_sampling, ddim_sampling, final_sample, ledger, toy
from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, progress_bar, write_picture
from tinyddpm.app.run import fit, open_data, start
from tinyddpm.elbo import mean_and_error
from tinyddpm.network.threads import one_blas_thread
from tinyddpm.oracle import excess
from tinyddpm.toys import TOYS


def minus_elbo(run, data, rng, n):
    """In nats: E[−ELBO] of the network, its standard error, and E[−ELBO] of the exact denoiser.

    The last is None where it is not known.
    """
    if hasattr(data, "optimal_terms"):
        best = data.optimal_terms(run.schedule, fineness=0.7).sum()  # within 0.002 nats
        above, error = excess(run.schedule, run.denoiser, data, rng, n=n)
        return best + above, error, best
    terms = ledger(run.schedule, run.denoiser, data.sample(rng, 4 * n), rng).terms
    return *mean_and_error(terms.sum(1)), None


def path_of(schedule, denoiser, x):
    """From x_T to x_0, frame by frame: (F, N, 2).  DDIM adds no noise, so the paths are smooth."""
    path = {schedule.T: x, **{step.t: step.x for step in ddim_sampling(schedule, denoiser, x)}}
    # With almost no signal, or almost no noise, the points hardly move: these times are left out.
    moving = [t for t in range(schedule.T, 0, -1) if -2 < schedule.log_snr[t] < 7]
    return np.stack([path[t] for t in [schedule.T] * 4 + moving + [0]])


def film_of_clouds(paths, limit=2.6):
    """Several sets of points side by side, with their names: {name: (F, N, 2), frame by frame}."""
    figure, axes = plot.new_figure(len(paths), 1.6, 1.85)
    dots = []
    for ax, (name, path) in zip(axes, paths.items()):
        dots.append(ax.scatter(*path[0].T, s=1.6, color=plot.MODEL, linewidths=0))
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        ax.axis("off")
        ax.set_title(name, y=-0.14, fontsize=11)
    length = min(len(path) for path in paths.values())

    def show(i):
        for dot, path in zip(dots, paths.values()):
            dot.set_offsets(path[i])
    return film(figure, show, length, length)


def learn(name, seed, steps, n, dots):
    """Train on one distribution: samples (dots, 2), the paths of the film, and the nats."""
    dataset, data = open_data(name), toy(name)
    x_T = np.random.default_rng(seed).standard_normal((dots, 2))  # the same for every distribution
    with one_blas_thread():  # the matrix products are small
        run, rng = start(dataset, seed, steps=steps)
        run = fit(run, dataset, rng)
        samples = final_sample(ancestral_sampling(run.schedule, run.denoiser, x_T, rng))
        bound, error, best = minus_elbo(run, data, rng, n)
        path = path_of(run.schedule, run.denoiser, x_T)
    nats = {"bound": bound, "standard_error": error, "at_best": best, "entropy": data.entropy()}
    return samples, path, nats


def main(out, seed, quick, steps):
    names = ("gaussian", "checkerboard") if quick else tuple(TOYS)
    steps, n, dots = (20, 20, 200) if quick else (steps, 1000, 1200)

    # %% Each distribution in a process of its own, two at a time.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        futures = [pool.submit(learn, name, seed, steps, n, dots) for name in names]
        with progress_bar(len(names), "distributions", "set") as bar:
            for future in futures:
                future.add_done_callback(lambda done: bar.update(1))
            results = {name: future.result() for name, future in zip(names, futures)}
    paths = {name.replace("_", " "): path for name, (_, path, _) in results.items()}
    nats = {name: numbers for name, (_, _, numbers) in results.items()}

    # %% Data above, samples below, and the nats.
    excesses = {name: found["bound"] - found["at_best"] for name, found in nats.items()
                if found["at_best"] is not None}
    worst = max(excesses, key=excesses.get)
    board = nats["checkerboard"]["bound"] - nats["checkerboard"]["entropy"]
    hardest = worst.replace("_", " ")
    title = f"The same small MLP learns {len(names)} distributions; {hardest} is the hardest"
    figure, axes = plot.new_figure(len(names), 1.6, 2.2, rows=2)
    for (upper, lower), (name, (samples, _, found)) in zip(axes.T, results.items()):
        x_0 = toy(name).sample(np.random.default_rng(seed), dots)
        plot.draw_points(upper, x_0, plot.DATA, name.replace("_", " "), 2.4)
        plot.draw_points(lower, samples, plot.MODEL, "", 2.4)
        best = "–" if found["at_best"] is None else f"{found['at_best']:.2f}"
        numbers = [("its −ELBO, nats", f"{found['bound']:.2f}", plot.MODEL),
                   ("best possible", best, plot.EXACT),
                   ("entropy of data", f"{found['entropy']:.2f}", plot.DATA)]
        for row, (label, number, colour) in enumerate(numbers):
            style = dict(y=-0.14 - 0.17 * row, color=colour, transform=lower.transAxes, fontsize=12)
            lower.text(x=0.5, s=number, ha="center", **style)
            if lower is axes[1, 0]:
                lower.text(x=-0.02, s=label, ha="right", **style)
    for ax, label, colour in zip(axes[:, 0], ("data", "samples of\nthe network"),
                                 (plot.DATA, plot.MODEL)):
        ax.text(-0.02, 0.5, label, color=colour, ha="right", va="center", fontsize=12,
                transform=ax.transAxes)
    for ax in axes.flat:
        ax.axis("off")
    figure.get_layout_engine().set(h_pad=0.09)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14)
    figure.supxlabel("best possible: −ELBO of the exact denoiser (for the checkerboard it is not "
                     "known); no bound is below the entropy", x=0.01, ha="left", fontsize=11)
    write_picture(out / "toys.png", figure)

    # %% The film; in HTML each frame is a whole picture, so there are fewer frames and points.
    stride = 8 if quick else 1
    held = {}
    for name, path in paths.items():
        frames = [*range(0, len(path), stride)] + [-1] * 20  # the end stays for two seconds
        held[name] = path[frames]
    save_film(film_of_clouds(held), out / "toys.gif")
    few = {name: path[::8 if quick else 2, :500] for name, path in paths.items()}
    save_film(film_of_clouds(few), out / "toys.html",
              "Points on the reverse chain (DDIM), from noise to samples")
    answer = (f"Yes: on every mixture of Gaussians, −ELBO is within {excesses[worst]:.2f} nats of "
              f"the best possible ({hardest} is the hardest).  The checkerboard is "
              f"no mixture; there −ELBO is within {board:.2f} nats of the entropy.")
    finish(out, answer, seed, steps=steps, nats=nats)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "toys-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=5000, metavar="N",
                        help="training steps for each distribution (%(default)s)")
    run_demo(main, parser)
