"""Train, go on, save and load in a line each, for a notebook.

    run = tinyddpm.fit(points)                # an array, or the name of a data set
    run.sample(1000)                          # new points, in the units of the old ones
    run.ledger()                              # the ELBO of held-out data, term by term
    run.save("run")                           # python -m tinyddpm train --resume run goes on
    run = tinyddpm.load_run("run")
    run = run.fit(steps=10000)                # the total

A run is never changed: `run.fit` returns another one.  Each call with the same seed gives the same.
"""
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import files, run as runs
from .data import load
from .datasets import DataSet, from_array
from .fit import Interrupted
from .folder import ARRAY, ARRAY_FILE, write_settings
from .model import Run


def fit(data: Any, *, seed: int = 0, recipe: str = "best", folder: Path | str | None = None,
        progress: bool = True, **choices: Any) -> Run:
    """Train a run on data.

    data: an array of points, (N, D), or of images, (N, H, W) or (N, H, W, C) uint8; a table with
    `columns`, as of pandas; or a name: "moons", "mnist", "points.csv", see `open_data`.
    seed: of all random numbers.  recipe: "best" or "ddpm".
    choices: settings of the run in place of the recipe's, e.g. steps=2000, minutes=5, T=50,
    schedule=[0.1, 0.2, 0.3], learning_rate=1e-3, network=dict(width=64); see settings.py.
    folder: a new folder for checkpoints, one a minute; None: the run is in memory only.
    progress: print what was read, and a bar.

    Ctrl-C, or a notebook's stop button: the checkpoint is written, if there is a folder.  In an
    interactive session the run is then returned as trained so far, with a warning; in a program the
    KeyboardInterrupt ends it, as always, and its `run` is the run so far.
    ValueError: data that cannot be trained on; settings that do not exist or do not go together.
    FloatingPointError: the training has diverged.
    """
    if isinstance(data, Run):
        raise ValueError(f"data = {data}: to train a run on, call run.fit(steps=…)")
    if isinstance(data, (str, Path)):
        dataset, array = runs.open_data(str(data)), None
    else:
        array = np.asarray(data)
        columns = [str(name) for name in getattr(data, "columns", ())]
        dataset = from_array(ARRAY, array, columns=columns)
    run, _ = runs.start(dataset, seed, recipe, **choices)
    if progress and dataset.description:
        print(dataset.description)
    for doubt in dataset.doubts:
        warnings.warn(doubt, stacklevel=2)
    return _train(run._replace(array=array), dataset, folder, progress)


def fit_on(run: Run, steps: int | None = None, minutes: float | None = None,
           folder: Path | str | None = None, progress: bool = True) -> Run:
    """`Run.fit`: train on until the run has so many steps, or minutes, in all.

    ValueError: it has as many already; its data are not to be found, or are others now.
    """
    run = runs.extended(run, steps, minutes)
    return _train(run, runs.data_of(run), folder, progress)


def save(run: Run, folder: Path | str) -> None:
    """`Run.save`: write the run's folder.  An array it was trained on is written too, as array.npy.

    folder: new or empty, or one that has this run at an earlier step.
    ValueError: any other folder; an array that was changed since the training.
    """
    with _locked(run, folder):
        runs.save(folder, run, run.generator, run.log)


def load_run(folder: Path | str) -> Run:
    """The run in a folder, to sample from or to train on.

    ValueError: no run folder, or a damaged one.
    """
    folder = Path(folder)
    run, _ = runs.load(folder)
    log = runs.read_log(folder / "log.csv", run.state.step)
    array = load(folder / ARRAY_FILE) if (folder / ARRAY_FILE).exists() else None
    return run._replace(log=log, array=array)


def _train(run: Run, dataset: DataSet, folder: Path | str | None, progress: bool) -> Run:
    rng = np.random.default_rng()
    rng.bit_generator.state = run.generator
    train: Callable = runs.fit
    if progress and sys.stderr is not None:  # it is None without a console
        from .console import train_with_bar  # here, because `import tinyddpm` need not wait for it

        train = train_with_bar
    try:
        if folder is None:
            return train(run, dataset, rng)
        with _locked(run, folder):
            return train(run, dataset, rng, Path(folder))
    except Interrupted as stop:
        if not hasattr(sys, "ps1"):  # which a console and a notebook have, and a program has not
            raise
        warnings.warn(f"{stop}: this is the run so far; run.fit() goes on, and run.save(folder) "
                      f"keeps it", stacklevel=3)
        return stop.run


@contextmanager
def _locked(run: Run, folder: Path | str) -> Iterator[None]:
    """`folder.locked`, for a folder that may be written with this run; with its array.npy.

    ValueError: the folder has another run, or a later step of this one, or other files.
    """
    folder = Path(folder)
    is_new = not (folder / "settings.json").exists()
    is_other = folder.exists() and not folder.is_dir()
    if is_other or (is_new and folder.exists() and any(folder.iterdir())):
        raise ValueError(f"folder = {str(folder)!r} has other files: a run takes a new or an "
                         f"empty folder")
    with runs.locked(folder, new=is_new):
        if not is_new:
            _check_same_run(run, folder)
            write_settings(folder, run.settings)  # its steps or minutes may be others now
        if run.array is not None and not (folder / ARRAY_FILE).exists():
            runs.data_of(run)  # ValueError: it was changed
            array = np.asarray(run.array)
            files.replace(folder / ARRAY_FILE, lambda file: np.save(file, array))
        yield


def _check_same_run(run: Run, folder: Path) -> None:
    saved, _ = runs.load(folder)
    fixed = [name for name in run.settings if name not in ("data", "steps", "minutes")]
    is_same = all(saved.settings[name] == run.settings[name] for name in fixed)
    if not (is_same and np.array_equal(saved.schedule.beta, run.schedule.beta)):
        raise ValueError(f"folder = {str(folder)!r} has another run: choose a new folder, or "
                         f"remove this one by shutil.rmtree({str(folder)!r})")
    if saved.state.step > run.state.step:
        raise ValueError(f"folder = {str(folder)!r} has this run after {saved.state.step} steps, "
                         f"and here it has {run.state.step}: take that one by "
                         f"tinyddpm.load_run({str(folder)!r}), or choose a new folder")
