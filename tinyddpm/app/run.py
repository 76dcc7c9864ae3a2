"""A run: one training, from its data to its folder, and back from the folder to a denoiser.

    dataset = open_data("points.csv")              # datasets.py
    run, rng = start(dataset, seed=0)              # below; the settings are in settings.py
    with locked("points-run", new=True):           # folder.py
        run = fit(run, dataset, rng, "points-run")   # fit.py
    run, rng = load("points-run")                  # folder.py
    run.denoiser, run.ledger(items, rng)           # model.py

What a run on points computes: fit → training.train → elbo.simple_loss → forward.diffuse, mlp.
"""
from typing import Any

import numpy as np

from .. import training
from ..images import pixels
from ..images.histograms import fit_histograms
from ..schedule import Schedule
from .datasets import DataSet, open_data
from .fit import fit
from .folder import (LogRow, change_length, draw_loss, is_finished, is_locked, load, locked,
                     read_log, save)
from .model import Run, make_network
from .settings import (FORMAT, LEAST_TO_HALVE, MOST_NUMBERS, RECIPES, SCHEDULES, check_settings,
                       check_size, complete)

__all__ = ["DataSet", "LEAST_TO_HALVE", "LogRow", "RECIPES", "Run", "change_length", "check_size",
           "draw_loss", "fit", "is_finished", "is_locked", "load", "locked", "open_data",
           "read_log", "save", "start"]


def start(dataset: DataSet, seed: int = 0, recipe: str = "best",
          **choices: Any) -> tuple[Run, np.random.Generator]:
    """An untrained run on a data set, and the generator to train it with.

    recipe: "best" or "ddpm", see settings.py.
    choices: settings that replace those of the recipe, where they are not None.  With `minutes` the
    training ends after so much time, and not after `steps`.
    ValueError: settings that `check_settings` refuses.
    """
    settings = {"format": FORMAT, "data": dataset.name, "kind": dataset.kind,
                "shape": list(dataset.held_out.shape[1:]), "shift": dataset.shift.tolist(),
                "scale": dataset.scale.tolist(), "sha256": dataset.sha256, "seed": seed,
                "minutes": None, "recipe": recipe, **complete(dataset.kind, recipe, choices)}
    check_settings(settings)
    rng = np.random.default_rng(seed)
    schedule = SCHEDULES[settings["schedule"]](settings["T"])
    table = _pixel_table(dataset, schedule, seed) if settings["predicts"] == "prior" else None
    network = make_network(settings, schedule, table)
    state = training.initial_state(network, rng)
    return Run(settings, schedule, network, state, dataset.held_out, table), rng


def _pixel_table(dataset: DataSet, schedule: Schedule, seed: int) -> pixels.Table:
    """`pixels.Table` for the histograms of a few thousand images, or of fewer if they are large."""
    size = dataset.held_out[0].size
    # About 4 million pixels in all, at most 8192 images, and at least 100 if memory allows.
    at_least = min(100, MOST_NUMBERS // size)
    n = int(np.clip(2 ** 22 // size, at_least, 2 ** 13))
    images = dataset.draw(np.random.default_rng(seed), n)
    return pixels.Table(fit_histograms(images), schedule)
