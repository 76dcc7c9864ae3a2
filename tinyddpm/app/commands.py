"""What the commands train, sample and elbo do with their arguments."""
import argparse
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import sampling
from ..gaussian import Array
from ..network.threads import last_in_halves
from . import data, files, plot, run as runs, settings  # `run` is a Run in this file
from .console import (ledger_to_dict, print_ledger, progress_bar, progress_over, say_why_negative,
                      train_with_bar, write_json, write_picture)

# The options of train that are settings of the run, under the same names.
CHOICES = ("steps", "minutes", "batch", "optimiser", "learning_rate", "schedule", "T", "predicts",
           "variance", "loss")


def train(arguments: argparse.Namespace) -> None:
    if arguments.resume is not None:
        return resume(arguments)
    if arguments.data is None or arguments.out is None:
        raise ValueError("train takes --data and --out, or --resume")
    folder = Path(arguments.out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {str(folder)!r} exists already: choose a folder that is new or "
                         f"empty, or continue a run with --resume")
    dataset = runs.open_data(arguments.data)
    recipe = arguments.recipe or "best"
    choices = {name: getattr(arguments, name) for name in CHOICES}
    network = network_options(arguments, recipe, dataset.kind)
    run, rng = runs.start(dataset, arguments.seed, recipe, network=network, **choices)
    with runs.locked(folder, new=True):
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def network_options(arguments: argparse.Namespace, recipe: str, kind: str) -> dict[str, int]:
    """The sizes of the network: --width and --depth, where given, in place of the recipe's."""
    options = dict(settings.RECIPES[recipe][kind]["network"])
    if arguments.width is not None:
        options["width"] = arguments.width
    if arguments.depth is not None:
        options["depth" if kind == "points" else "inner_blocks"] = arguments.depth
    return options


def resume(arguments: argparse.Namespace) -> None:
    fixed = ("out", "recipe", *CHOICES, "width", "depth", "seed")
    given = [name.replace("_", "-") for name in fixed if getattr(arguments, name)]
    if given:
        raise ValueError(f"--{given[0]} cannot be given with --resume: "
                         f"the run continues with the settings it was begun with")
    folder = Path(arguments.resume)
    with runs.locked(folder):
        run, rng = runs.load(folder)
        dataset = runs.open_data(arguments.data or run.settings["data"])
        if dataset.sha256 != run.settings.get("sha256"):
            raise ValueError(f"data = {dataset.name!r} is not what the run was trained on so far: "
                             f"give the same file by --data")
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def print_trained(folder: Path, run: runs.Run) -> None:
    print(f"{folder}: {run.state.step} steps; go on with\n"
          f"  python -m tinyddpm sample {folder}\n  python -m tinyddpm elbo {folder}")


def sample(arguments: argparse.Namespace) -> None:
    run, _ = runs.load(arguments.run)
    out = Path(arguments.out) if arguments.out else Path(arguments.run) / "samples.npy"
    if out.suffix != ".npy" or out.name == "held_out.npy":
        raise ValueError(f"--out {str(out)!r}: samples are written to a .npy file, with a .png "
                         f"beside it; held_out.npy is a run's own file")
    runs.check_size("n", arguments.n, run.settings["shape"])
    rng = np.random.default_rng(arguments.seed)
    x_T = rng.standard_normal((arguments.n, *run.settings["shape"]), np.float32)
    x_0 = draw_samples(run, x_T, rng, arguments.steps, arguments.eta)
    if not np.isfinite(x_0).all():
        raise ValueError(f"run = {arguments.run!r} gives samples that are not finite: "
                         f"its training has diverged")
    samples = run.decode(x_0)
    files.replace(out, lambda file: np.save(file, samples))
    if run.is_images:
        figure = plot.image_grid(samples[:100])
    else:
        figure = plot.scatter({"samples": (samples, plot.MODEL)})
    write_picture(out.with_suffix(".png"), figure)
    print(f"{out}: {samples.dtype} {samples.shape}\n{out.with_suffix('.png')}: their picture")


def draw_samples(run: runs.Run, x_T: Array, rng: np.random.Generator, steps: int | None = None,
                 eta: float | None = None) -> Array:
    """x_0 by Algorithm 2, or by DDIM if `steps` or `eta` is given; with a progress bar."""
    if steps is None and eta is None:
        sampler: Callable = sampling.ancestral_sampling
        options: dict[str, Any] = {"variance": run.settings["variance"]}
        length = run.schedule.T
    else:
        sampler = sampling.ddim_sampling
        options = {"steps": steps, "eta": eta or 0.0}
        length = len(sampling.sampling_times(run.schedule, steps))
    denoiser, least = run.denoiser, runs.LEAST_TO_HALVE[run.settings["kind"]]
    bar, caller = progress_bar(length, "sampling"), threading.current_thread()

    def sampler_with_bar(x: Array, rng: np.random.Generator) -> Iterator[sampling.SamplingStep]:
        for step in sampler(run.schedule, denoiser, x, rng, clip=run.clip, **options):
            # The two halves of x_T run in two threads; the caller's thread moves the bar.
            if threading.current_thread() is caller:
                bar.update()
            yield step

    with bar, np.errstate(over="ignore", invalid="ignore"):  # the caller checks x_0
        return last_in_halves(sampler_with_bar, x_T, rng, least)


def elbo(arguments: argparse.Namespace) -> None:
    run, _ = runs.load(arguments.run)
    held_out = data.load(arguments.data) if arguments.data else run.held_out
    items = held_out[:arguments.n]
    out = arguments.out
    if len(items) < 2:
        raise ValueError(f"--n {arguments.n} of {len(held_out)} items: "
                         f"a mean with a standard error takes 2 or more")
    if out is not None and (not out.endswith(".json") or out.endswith("settings.json")):
        raise ValueError(f"--out {out!r}: the numbers are written to a .json file; "
                         f"settings.json is a run's own file")
    variance = arguments.variance or run.settings["variance"]
    rng = np.random.default_rng(arguments.seed)
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        ledger = run.ledger(items, rng, variance=variance, progress=progress_over("ledger"))
    if not np.isfinite(ledger.terms).all():
        raise ValueError(f"run = {arguments.run!r} gives a ledger that is not finite: "
                         f"its training has diverged")
    print(f"-ELBO of {len(items)} items, T = {run.schedule.T}, variance {variance}")
    print_ledger(ledger, in_bits=run.is_images)
    if not run.is_images:
        say_why_negative(ledger)
    if out is not None:
        write_json(out, {"run": str(arguments.run), "variance": variance,
                         "ledger": ledger_to_dict(ledger, in_bits=run.is_images)})
