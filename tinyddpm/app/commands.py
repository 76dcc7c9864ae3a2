"""What the commands train, sample, elbo and info do with their arguments."""
import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import elbo
from . import data, files, info, plot, run as runs, settings, shipped  # `run` is a Run here
from .console import (ledger_to_dict, progress_bar, progress_over, say_why_negative,
                      train_with_bar, write_json, write_picture)
from .model import chain_length

# The options of train that are settings of the run, under the same names.
LENGTH = ("steps", "minutes")  # these can be changed where a run is resumed
CHOICES = (*LENGTH, "batch", "optimiser", "learning_rate", "schedule", "T", "predicts",
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
    dataset = runs.open_data(arguments.data, columns=arguments.columns)
    print(dataset.description)
    for doubt in dataset.doubts:
        warnings.warn(doubt, stacklevel=1)
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
    fixed = ("out", "recipe", "columns", *CHOICES, "width", "depth", "seed")
    given = [name.replace("_", "-") for name in fixed
             if getattr(arguments, name) and name not in LENGTH]
    if given:
        raise ValueError(f"--{given[0]} cannot be given with --resume: the run continues with the "
                         f"settings it was begun with; only --steps or --minutes can be changed")
    folder = Path(arguments.resume)
    with runs.locked(folder):
        run, rng = runs.load(folder)
        log = runs.read_log(folder / "log.csv", run.state.step)
        length = new_length(arguments, run, log)
        if not length and runs.is_finished(run, log):
            if not info.has_picture_of_loss(folder):  # the process was killed before it
                runs.draw_loss(folder)
            print(f"{folder} is finished: nothing has changed; with a larger total it trains on")
            return print_trained(folder, run)
        dataset = runs.data_of(run, arguments.data)
        if length:
            run = runs.change_length(folder, run, **length)
        run = train_with_bar(run, dataset, rng, folder, arguments.save_every)
    print_trained(folder, run)


def new_length(arguments: argparse.Namespace, run: runs.Run,
               log: list[runs.LogRow]) -> dict[str, Any]:
    """The settings that --steps or --minutes change in a run that is resumed; {} without them.

    ValueError: a total that is not above what is trained already.
    """
    steps, minutes = arguments.steps, arguments.minutes
    if steps is not None and steps <= run.state.step:
        raise ValueError(f"--steps {steps}: the run has done {run.state.step} steps, and --steps "
                         f"is the total: give a larger number")
    done = log[-1].seconds / 60 if log else 0.0
    if minutes is not None and minutes <= done:
        raise ValueError(f"--minutes {minutes:g}: the run was trained for {done:.2f} minutes, and "
                         f"--minutes is the total: give a larger number")
    if steps is not None:
        return {"steps": steps, "minutes": None}
    return {} if minutes is None else {"minutes": minutes}


def print_trained(folder: Path, run: runs.Run) -> None:
    log = runs.read_log(folder / "log.csv", run.state.step)
    print(f"{folder}: {info.progress(run, log)}")
    if info.has_picture_of_loss(folder):
        print(f"{folder / 'loss.png'}: its loss")
    print("\n  ".join(["go on with", *info.next_commands(folder, run, log)]))


def show(arguments: argparse.Namespace) -> None:
    print(info.describe(Path(arguments.run)))


def open_run(folder: str | None) -> runs.Run:
    """The run in a folder; None: the trained denoiser of digits that comes with the package."""
    return shipped.digits() if folder is None else runs.load(folder)[0]


def sample(arguments: argparse.Namespace) -> None:
    run = open_run(arguments.run)
    # RUN/samples.npy is the command's own file, which the next call replaces.
    out = Path(arguments.out or Path(arguments.run or ".") / "samples.npy")
    if out.suffix != ".npy" or out.name == "held_out.npy":
        raise ValueError(f"--out {str(out)!r}: samples are written to a .npy file, with a .png "
                         f"beside it; held_out.npy is a run's own file")
    may_exist = arguments.force or bool(arguments.run and not arguments.out)
    check_out(out, may_exist)
    check_out(out.with_suffix(".png"), may_exist)
    runs.check_size("n", arguments.n, run.settings["shape"])
    length = chain_length(run, arguments.steps, arguments.eta)

    def estimate(seconds: float) -> str:
        fewer = min(50, -(-length // 4))
        return (f"sampling takes about {duration(seconds)}; with --steps {fewer}, about "
                f"{duration(seconds * fewer / length)}, and the samples are less exact")

    with progress_bar(length, "sampling") as bar:
        def moving(steps: Iterable) -> Iterator:
            for step in with_estimate(steps, length, estimate):
                bar.update()
                yield step
        samples = run.sample(arguments.n, arguments.seed, arguments.steps, arguments.eta, moving)
    files.replace(out, lambda file: np.save(file, samples))
    if run.is_images:
        figure = plot.image_grid(samples[:100])
    else:
        figure = plot.points(samples, run.held_out, run.settings["columns"])
    write_picture(out.with_suffix(".png"), figure)
    print(f"{out}: {samples.dtype} {samples.shape}\n{out.with_suffix('.png')}: their picture")


def check_out(path: Path, may_exist: bool) -> None:
    """Try, before the work begins, whether a file can be written.

    ValueError: its folder is missing, or it exists and may not.  OSError: it cannot be written.
    """
    if not path.parent.is_dir():
        raise ValueError(f"--out {str(path)!r}: there is no folder {str(path.parent)!r}: make it, "
                         f"or choose one that exists")
    if path.is_dir():
        raise ValueError(f"--out {str(path)!r} is a folder: give the name of a file")
    if path.exists() and not may_exist:
        raise ValueError(f"--out {str(path)!r} exists already: choose another name, or replace the "
                         f"file by --force")
    trial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


LONG = 20.0  # seconds; of a shorter computation the estimate is not printed


def with_estimate(steps: Iterable, total: int, sentence: Callable[[float], str]) -> Iterator:
    """The steps themselves; after a second of them, sentence(seconds) is printed if it takes long.

    seconds: what all steps will take.  The first one is not counted, because it takes longer.
    """
    from tqdm import tqdm

    began, is_said = 0.0, False
    for done, step in enumerate(steps):
        now = time.monotonic()
        if done == 1:
            began = now
        elif done > 1 and now - began > 1 and not is_said:
            is_said = True
            seconds = (now - began) / (done - 1) * total
            if seconds > LONG:
                tqdm.write(sentence(seconds), file=sys.stderr)
        yield step


def duration(seconds: float) -> str:
    """A rough time in words."""
    if seconds < 90:
        return f"{max(round(seconds), 2)} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def print_elbo(arguments: argparse.Namespace) -> None:
    run = open_run(arguments.run)
    held_out = run.held_out
    if arguments.data:
        table = data.read(arguments.data, run.settings["columns"])
        items = table.items if table.held_out is None else table.held_out
        held_out = data.check(arguments.data, items)
    items = held_out[:arguments.n]
    out = arguments.out
    if len(items) < 2:
        raise ValueError(f"--n {arguments.n} of {len(held_out)} items: "
                         f"a mean with a standard error takes 2 or more")
    if out is not None and (not out.endswith(".json") or out.endswith("settings.json")):
        raise ValueError(f"--out {out!r}: the numbers are written to a .json file; "
                         f"settings.json is a run's own file")
    if out is not None:
        check_out(Path(out), arguments.force)
    variance = arguments.variance or run.settings["variance"]
    rng = np.random.default_rng(arguments.seed)

    def estimate(seconds: float) -> str:
        fewer = max(2, len(items) // 4)
        return (f"the ledger of {len(items)} items takes about {duration(seconds)}; with "
                f"--n {fewer}, about {duration(seconds * fewer / len(items))}, and larger standard "
                f"errors")

    def progress(times: Any) -> Iterator:
        return with_estimate(progress_over("ledger")(times), len(times), estimate)

    options = {"variance": variance, "progress": progress}
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        if arguments.times is None:
            ledger: elbo.Ledger | elbo.SampledLedger = run.ledger(items, rng, **options)
        else:
            ledger = run.sampled_ledger(arguments.times, items, rng, **options)
    if not np.isfinite(ledger.summary()["total"][0]):
        raise ValueError(f"run = {arguments.run!r} gives a ledger that is not finite: "
                         f"its training has diverged")
    sampled = f", {arguments.times} evaluations for each item" if arguments.times else ""
    print(f"-ELBO of {len(items)} items, T = {run.schedule.T}{sampled}, variance {variance}")
    print(ledger)
    if not run.is_images:
        say_why_negative(ledger)
    if out is not None:
        write_json(out, {"run": arguments.run, "variance": variance,
                         "ledger": ledger_to_dict(ledger, in_bits=run.is_images)})
