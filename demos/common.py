"""What several demos share: their command line, the run on digits, a table of images, the report.

A demo is a script in this folder, so Python finds this file for `from common import …`.
"""
import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from tinyddpm import FiniteData, Schedule, marginal
from tinyddpm.app import plot, shipped
from tinyddpm.app import run as runs
from tinyddpm.app.console import (integer_at_least, one_sentence_for_mistakes, train_with_bar,
                                  write_json)
from tinyddpm.app.process import keep_freed_memory
from tinyddpm.schedule import respace

TINY = dict(T=20, batch=16, network=dict(width=8, outer_blocks=1, inner_blocks=1))  # for --quick


# %% The command line, and the end of a demo.
def demo_parser(doc: str, out: str) -> argparse.ArgumentParser:
    """The options of all demos: --out, --seed, --quick.  doc: the demo's docstring, for --help."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR",
                        help="folder for pictures and report.json (%(default)s)")
    parser.add_argument("--seed", type=integer_at_least(0), default=0, metavar="N",
                        help="of all random numbers (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="take seconds only, to see that everything works")
    return parser


def run_demo(main: Callable, parser: argparse.ArgumentParser) -> None:
    """Parse the command line, create the folder --out, and call main with the options."""
    keep_freed_memory()
    with one_sentence_for_mistakes():
        arguments = parser.parse_args()
        arguments.out.mkdir(parents=True, exist_ok=True)
        main(**vars(arguments))


def finish(out: Path, answer: str, seed: int, **numbers: Any) -> None:
    """Print the demo's answer, and write it with the numbers to report.json."""
    write_json(out / "report.json", {"answer": answer, "seed": seed, **numbers})
    names = sorted(path.name for path in out.iterdir() if path.is_file())
    print(f"{answer}\n{out}: {', '.join(names)}")


# %% A trained denoiser of digits.
def add_digit_run(parser: argparse.ArgumentParser) -> None:
    """The option --run of the demos that call `digit_run`."""
    parser.add_argument("--run", type=Path, metavar="RUN",
                        help="run folder of a denoiser of digits; if there is none, one is "
                             "trained there for 75 seconds (the trained denoiser that comes with "
                             "the package)")


def digit_run(folder: Path | None, seed: int = 0, quick: bool = False,
              minutes: float = 1.25) -> runs.Run:
    """The denoiser of digits in a run folder; if there is none, it is trained there first.

    folder: None for the trained denoiser that comes with the package.
    quick: too short for useful results: a tiny network that is trained for two seconds; of the
    package's denoiser, a chain of 20 steps.
    ValueError: a run on other data.
    """
    if folder is None:
        run = shipped.digits()
        return shortened(run, 20) if quick else run
    if not (folder / "settings.json").exists():
        dataset = runs.open_data("mnist")
        minutes, choices = (0.03, TINY) if quick else (minutes, {})
        run, rng = runs.start(dataset, seed, minutes=minutes, **choices)
        print(f"no run in {folder} yet: training one for {60 * minutes:.0f} seconds",
              file=sys.stderr)
        with runs.locked(folder, new=True):
            train_with_bar(run, dataset, rng, folder)
    run = runs.load(folder)[0]
    shape = tuple(run.settings["shape"])
    if shape != (28, 28):
        raise ValueError(f"run = {str(folder)!r} is trained on items of shape {shape}: this demo "
                         f"takes a run on digits, of shape (28, 28)")
    return run


def shortened(run: runs.Run, steps: int) -> runs.Run:
    """The run with only so many of its times; its learned variances are those of the long chain."""
    schedule, times = respace(run.schedule, spread_times(1, run.schedule.T, steps))
    network = run.network._replace(
        apply=lambda weights, x, i: run.network.apply(weights, x, times[i - 1]))
    return run._replace(schedule=schedule, network=network)


def respaced(run: runs.Run, times: Sequence | Array) -> tuple[Schedule, Callable]:
    """The run's schedule with only some of its times, and the run's denoiser for that schedule.

    times: of 1…T; step i of the new schedule is the i-th of them.
    """
    schedule, kept = respace(run.schedule, times)
    return schedule, lambda x, i: run.denoiser(x, kept[i - 1])


def spread_times(first: float, last: float, count: int) -> Array:
    """At most `count` different whole times from first to last, evenly spread."""
    return np.unique(np.linspace(first, last, count).round().astype(int))


# %% Recognising digits.
def time_of_noise(schedule: Schedule, sigma: float) -> int:
    """The t whose noise is nearest to sigma: x_t/√ᾱ_t is x_0 plus noise of that deviation."""
    return 1 + int(np.abs(schedule.log_snr[1:] + 2 * np.log(sigma)).argmin())


def classify(schedule: Schedule, x_0: Array, classes: Sequence[Array], sigma: float = 0.5) -> Array:
    """The class with the largest kernel density at each x_0, (N,): a classifier without training.

    classes: for each class its training images, (n, …).  The kernel is a Gaussian of standard
    deviation sigma about each of them, and all classes are equally likely beforehand (Bayes).
    """
    t = time_of_noise(schedule, sigma)
    x_t = marginal(schedule, x_0.astype(float), t).mean
    return np.argmax([FiniteData(images).log_q(schedule, x_t, t) for images in classes], 0)


# %% Pictures.
def draw_table(ax: Any, images: Array, columns: Sequence = (), rows: Sequence = ()) -> None:
    """Images (R, C, H, W), uint8, as a table on one axis, with names of its columns and rows."""
    R, C, H, W = images.shape
    ax.imshow(plot.to_canvas(images.reshape(R * C, H, W), C), interpolation="nearest")
    ax.set_xticks((W + 2) * np.arange(len(columns)) + (W - 1) / 2, columns)
    ax.set_yticks((H + 2) * np.arange(len(rows)) + (H - 1) / 2, rows)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
