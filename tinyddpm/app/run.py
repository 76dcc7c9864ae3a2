"""A run: one training, from its data to its folder, and back from the folder to a denoiser.

    dataset = open_data("points.csv")              # datasets.py
    run, rng = start(dataset, seed=0)              # below; the settings are in settings.py
    with locked("points-run", new=True):           # folder.py
        run = fit(run, dataset, rng, "points-run")   # fit.py
    run, rng = load("points-run")                  # folder.py
    run.denoiser, run.sample(1000), run.ledger()   # model.py

In a notebook `verbs.fit` does the first four lines in one, for an array too.
What a run on points computes: fit → training.train → elbo.simple_loss → forward.diffuse, mlp.
"""
from pathlib import Path
from typing import Any

import numpy as np

from .. import training
from ..images import pixels
from ..images.histograms import fit_histograms
from ..schedule import Schedule
from . import data
from .datasets import DataSet, from_array, open_data
from .fit import fit
from .folder import (ARRAY_FILE, change_length, draw_loss, is_finished, is_locked, load, locked,
                     read_log, save)
from .model import LogRow, Run, make_network, make_table
from .settings import (CUSTOM, FORMAT, LEAST_TO_HALVE, MOST_NUMBERS, RECIPES, SCHEDULES,
                       check_settings, check_size, complete, plain)

__all__ = ["DataSet", "LEAST_TO_HALVE", "LogRow", "RECIPES", "Run", "change_length", "check_size",
           "data_of", "draw_loss", "extended", "fit", "is_finished", "is_locked", "load", "locked",
           "open_data", "read_log", "save", "start"]


def start(dataset: DataSet, seed: int = 0, recipe: str = "best",
          **choices: Any) -> tuple[Run, np.random.Generator]:
    """An untrained run on a data set, and the generator to train it with.

    recipe: "best" or "ddpm", see settings.py.
    choices: settings that replace those of the recipe, where they are not None.  With `minutes` the
    training ends after so much time, and not after `steps`.
    schedule: a name, or your own: a `Schedule`, a list of β, or a .npy or .csv file of β.  T is
    then the number of β.
    ValueError: settings that do not exist, or that `check_settings` refuses.
    """
    schedule = _own_schedule(choices.get("schedule"))
    if schedule is not None:
        if choices.get("T") not in (None, schedule.T):
            raise ValueError(f"T = {choices['T']}: the schedule has {schedule.T} betas; leave T "
                             f"away, or give as many betas")
        choices = {**choices, "schedule": CUSTOM, "T": schedule.T}
    settings = {"format": FORMAT, "data": dataset.name, "kind": dataset.kind,
                "shape": list(dataset.held_out.shape[1:]), "shift": dataset.shift.tolist(),
                "scale": dataset.scale.tolist(), "sha256": dataset.sha256, "seed": plain(seed),
                "minutes": None, "columns": list(dataset.columns), "recipe": recipe,
                **complete(dataset.kind, recipe, choices)}
    check_settings(settings)
    rng = np.random.default_rng(seed)
    if schedule is None:
        schedule = SCHEDULES[settings["schedule"]](settings["T"])
    table = _pixel_table(dataset, schedule, seed) if settings["predicts"] == "prior" else None
    network = make_network(settings, schedule, table)
    state = training.initial_state(network, rng)
    generator = rng.bit_generator.state
    return Run(settings, schedule, network, state, dataset.held_out, table, generator), rng


def _own_schedule(choice: Any) -> Schedule | None:
    """The schedule of a list of β, or of a file of them; None for a name, which settings know."""
    if choice is None or isinstance(choice, Schedule):
        return choice
    if isinstance(choice, str) and choice == CUSTOM:
        raise ValueError(f"schedule = {choice!r}: give the list of beta itself")
    if isinstance(choice, (str, Path)):
        if Path(choice).suffix.lower() not in (".npy", ".csv"):
            return None
        choice = data.read(choice).items
        if choice.size == max(choice.shape, default=0):  # a single row or column
            choice = choice.ravel()
    return Schedule(choice)


def extended(run: Run, steps: int | None = None, minutes: float | None = None) -> Run:
    """The run, to be trained until it has so many steps or minutes in all; None, None: unchanged.

    ValueError: it has as many already.
    """
    if steps is not None and minutes is not None:
        raise ValueError(f"steps = {steps} with minutes = {minutes}: give one of the two")
    settings = run.settings
    if steps is not None or minutes is not None:
        settings = {**settings, "minutes": minutes, "steps": steps or settings["steps"]}
        check_settings(settings)
    run = run._replace(settings=settings)
    if is_finished(run, run.log):
        name, done = "steps", f"{run.state.step}"
        if settings["minutes"] is not None:
            name, done = "minutes", f"{run.log[-1].seconds / 60:.3g}"
        raise ValueError(f"{name} = {settings[name]}: the run has {done} {name} already; give a "
                         f"total of more")
    return run


def data_of(run: Run, name: str | None = None) -> DataSet:
    """The data that the run was trained on so far.

    name: where they are now; None: where they were.  A run's array is taken from memory.
    ValueError: other data.
    """
    name = name or run.settings["data"]
    if run.array is not None:
        dataset = from_array(name, run.array)
    else:
        has_names = Path(name).name != ARRAY_FILE  # of columns; an array of a table has lost them
        dataset = open_data(name, columns=run.settings["columns"] if has_names else ())
    if dataset.sha256 != run.settings.get("sha256"):
        raise ValueError(f"data = {name!r} is not what the run was trained on so far: give the "
                         f"same data, on the command line by --data")
    return dataset


def _pixel_table(dataset: DataSet, schedule: Schedule, seed: int) -> pixels.Table:
    """`pixels.Table` for the histograms of a few thousand images, or of fewer if they are large."""
    size = dataset.held_out[0].size
    # About 4 million pixels in all, at most 8192 images, and at least 100 if memory allows.
    at_least = min(100, MOST_NUMBERS // size)
    n = int(np.clip(2 ** 22 // size, at_least, 2 ** 13))
    images = dataset.draw(np.random.default_rng(seed), n)
    return make_table(fit_histograms(images), schedule)
