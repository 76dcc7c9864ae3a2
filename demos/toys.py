"""Can a small network learn a plane?

    python demos/toys.py                  # --steps N: training steps for each of the seven networks

The same small MLP learns every set of tinyddpm.toys (5,000 steps, as `python -m tinyddpm train` takes them), and
Algorithm 2 samples it.  Each density p_data is known, so the answer is a number: E[−ELBO] lies above the data's entropy,
and by how much bounds KL(p_data ‖ p_θ), which is what "match the data's distribution" means (1.1).  "At best" is the −ELBO
of the exact denoiser: with this schedule and σ_t² no network has a smaller one.  Writes toys.png; toys.gif and toys.html, the film.
"""
# %%
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from tinyddpm import ancestral_sampling, ddim_sampling, final_sample, ledger, toy
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, progress_bar, integer_at_least, write_picture
from tinyddpm.elbo import mean_and_error
from tinyddpm.oracle import excess
from tinyddpm.app.run import fit, open_data, start
from tinyddpm.network.threads import one_blas_thread
from tinyddpm.toys import TOYS


def bound(run, data, rng, n):
    """E[−ELBO] of the network, its standard error, and E[−ELBO] of the exact denoiser where that is known, in nats."""
    if hasattr(data, "optimal_terms"):
        best = data.optimal_terms(run.schedule, fineness=0.7).sum()  # by quadrature, within 0.002 nats
        above, error = excess(run.schedule, run.denoiser, data, rng, n=n)
        return best + above, error, best
    return *mean_and_error(ledger(run.schedule, run.denoiser, data.sample(rng, 4 * n), rng).terms.sum(1)), None


def film(schedule, denoiser, x):
    """x_T turning into x_0, frame by frame: (F, N, 2).  DDIM adds no noise, so each dot goes its own smooth way."""
    path = {schedule.T: x, **{step.t: step.x for step in ddim_sampling(schedule, denoiser, x)}}
    # Nothing is to be seen while there is next to no signal, nor once there is next to no noise.
    moving = [t for t in range(schedule.T, 0, -1) if -2 < schedule.log_snr[t] < 7]
    return np.stack([path[t] for t in [schedule.T] * 4 + moving + [0]])


def learned(name, seed, steps, n, dots):
    """A network for one set, and everything that is asked of it: samples, film, nats."""
    dataset, data = open_data(name), toy(name)
    noise = np.random.default_rng(seed).standard_normal((dots, 2))  # x_T, the same for every set
    with one_blas_thread():  # its products are small
        run, rng = start(dataset, seed, steps=steps)
        run = fit(run, dataset, rng)
        samples = final_sample(ancestral_sampling(run.schedule, run.denoiser, noise, rng))
        nats = dict(zip(("bound", "standard_error", "at_best"), bound(run, data, rng, n)), entropy=data.entropy())
        return samples, film(run.schedule, run.denoiser, noise), nats


def main(out, seed, quick, steps):
    names = ("gaussian", "checkerboard") if quick else tuple(TOYS)
    steps, n, dots = (20, 20, 200) if quick else (steps, 1000, 1200)
    out.mkdir(parents=True, exist_ok=True)

    # %% Each set in a process of its own, two at a time.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        futures = [pool.submit(learned, name, seed, steps, n, dots) for name in names]
        with progress_bar(len(names), "sets", "set") as bar:
            for future in futures:
                future.add_done_callback(lambda done: bar.update(1))
            samples, films, nats = zip(*[future.result() for future in futures])
    samples, nats = dict(zip(names, samples)), dict(zip(names, nats))
    films = {name.replace("_", " "): path for name, path in zip(names, films)}

    # %% Data above, samples below, and what they cost.
    lost = {name: found["bound"] - found["at_best"] for name, found in nats.items() if found["at_best"] is not None}
    worst = max(lost, key=lost.get)
    board = nats["checkerboard"]["bound"] - nats["checkerboard"]["entropy"]
    answer = (f"Within {lost[worst]:.2f} nats of the best possible denoiser on every mixture, "
              f"and within {board:.2f} of the checkerboard's entropy")
    figure, axes = plot.new_figure(len(names), 1.6, 2.2, rows=2)
    for (upper, lower), (name, found) in zip(axes.T, nats.items()):
        plot.draw_points(upper, toy(name).sample(np.random.default_rng(seed), dots), plot.DATA, name.replace("_", " "), 2.4)
        plot.draw_points(lower, samples[name], plot.MODEL, "", 2.4)
        best = "–" if found["at_best"] is None else f"{found['at_best']:.2f}"
        rows = [("−ELBO", f"{found['bound']:.2f}", plot.MODEL), ("at best", best, plot.EXACT),
                ("entropy", f"{found['entropy']:.2f}", plot.DATA)]
        for row, (label, number, colour) in enumerate(rows):
            style = dict(y=-0.14 - 0.17 * row, color=colour, transform=lower.transAxes, fontsize=12)
            lower.text(x=0.5, s=number, ha="center", **style)
            if lower is axes[1, 0]:
                lower.text(x=-0.02, s=label, ha="right", **style)
    for ax in axes.flat:
        ax.axis("off")
    figure.get_layout_engine().set(h_pad=0.09)
    figure.suptitle(answer, x=0.01, ha="left")
    write_picture(out / "toys.png", figure)
    held = {name: path[[*range(0, len(path), 8 if quick else 1)] + [-1] * 20] for name, path in films.items()}  # two seconds
    plot.save_animation(plot.animate_clouds(held), out / "toys.gif")
    few = {name: path[::8 if quick else 2, :500] for name, path in films.items()}  # in HTML each frame is a whole picture
    plot.save_animation(plot.animate_clouds(few), out / "toys.html")
    finish(out, f"{answer} ({worst.replace('_', ' ')} loses most).", seed, steps=steps, nats=nats)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "toys-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=5000, metavar="N", help="training steps for each set (%(default)s)")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
