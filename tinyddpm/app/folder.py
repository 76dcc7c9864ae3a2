"""The folder of a run: save, load, and the lock that keeps it for one process.

    settings.json     what is trained, on which data, and how
    checkpoint.npz    the schedule's β; the weights, their average (EMA), the optimiser's moments;
                      the state of the random generator; for a network that predicts the prior of
                      pixels, the histograms of grey levels
    held_out.npy      data that is never trained on, for the ledger
    log.csv           step, loss, norm of the gradient, seconds
    array.npy         the data, if they were an array and have no name
    loss.png          the picture of log.csv, drawn when a training ends or is interrupted
    lock              locked by the process that trains here

Each file is replaced as a whole or not at all.  In a new folder settings.json is written last, so a
folder that has it has all the others.
A training that continues from its checkpoint ends with the same bytes as one that was never
interrupted.  (Not with `minutes`, where the clock determines the number of steps and the learning
rate.)
A finished run trains on if its settings get more steps, or minutes (`change_length`).  The learning
rate depends on the share of the steps that are done.  So it rises from 0 to what it is at this step
in a run of the new length, and decays to 0 again.
"""
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import training
from ..gaussian import Array
from ..network import Network
from ..network.weights import unpack
from ..schedule import Schedule
from . import files, plot, ranks, readers
from .model import LogRow, Run, make_network, make_table
from .settings import MOST, Settings, check_settings, with_current_names

FILES = ("held_out.npy", "log.csv", "checkpoint.npz", "settings.json")  # in the order of writing
ARRAY_FILE = "array.npy"
ARRAY = "array"  # what settings.json has for "data" beside array.npy; here it is that file's path


def save(folder: Path | str, run: Run, generator: Mapping[str, Any],
         log: Sequence[LogRow] = ()) -> None:
    """Write the run's folder.

    generator: `rng.bit_generator.state` after the run's last step.  log: the rows of log.csv.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{step:.0f},{loss:.6g},{norm:.6g},{seconds:.2f}" for step, loss, norm, seconds in log]
    text = "\n".join([",".join(LogRow._fields), *rows, ""])
    histograms = {} if run.table is None else run.table.histograms._asdict()
    # Into memory first: if the disk is full, only one error is printed.
    packed = io.BytesIO()
    with files.interrupts_held():
        np.savez(packed, beta=run.schedule.beta[1:], rng=np.array(json.dumps(generator)),
                 **run.state._asdict(), **histograms)
    is_new = run.state.step == 0 or not (folder / "settings.json").exists()
    if is_new:
        files.replace(folder / "held_out.npy", lambda file: np.save(file, run.held_out))
    log_error = _save_log(folder / "log.csv", text.encode())
    files.replace(folder / "checkpoint.npz", lambda file: file.write(packed.getbuffer()))
    if is_new:
        write_settings(folder, run.settings)
    if log_error:  # always the same text, which Python prints once
        warnings.warn(f"{folder / 'log.csv'} is not written, but the checkpoint is: {log_error}; "
                      f"the next checkpoint tries again", stacklevel=2)


def _save_log(path: Path, text: bytes) -> str:
    """Write log.csv; what went wrong, or "".  A log that is held must not stop the checkpoint."""
    try:
        files.replace(path, lambda file: file.write(text), patience=1.0)
    except OSError as error:
        return str(error.strerror)
    return ""


def write_settings(folder: Path, settings: Settings) -> None:
    """Write settings.json.  A run that trains on has other `steps` or `minutes` than before."""
    if (folder / ARRAY_FILE).exists():
        settings = {**settings, "data": ARRAY}
    content = json.dumps(settings, indent=2).encode()
    files.replace(folder / "settings.json", lambda file: file.write(content))


def _settings(folder: Path) -> Settings:
    text = readers.read_file(folder / "settings.json", lambda file: file.read(2 ** 20), "settings")
    settings = with_current_names(json.loads(text))
    if (folder / ARRAY_FILE).exists():  # wherever the folder is now
        settings["data"] = str(folder / ARRAY_FILE)
    return settings


@contextmanager
def locked(folder: Path | str, new: bool = False) -> Iterator[None]:
    """Keep other processes from training in a run folder.

    The operating system releases the lock when the process ends, even if it is killed.
    new: make the folder if there is none, and refuse one that has a run.  After an error before the
    first checkpoint, what was made is removed.
    ValueError: another process trains in it; new, and it has a run; not new, and it has none.
    """
    folder = Path(folder)
    ranks.wait_for_all()  # all have looked at the folder as it was
    if ranks.rank() > 0:  # rank 0 has the lock, and it alone writes
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    before = set() if folder in made else set(folder.glob("*"))
    if new:
        folder.mkdir(parents=True, exist_ok=True)
    else:
        check_is_run(folder)
    path = folder / "lock"
    if path.exists() and not path.is_file():  # to open a pipe would wait for its other end
        raise ValueError(f"run = {str(folder)!r} has a lock that is no file: remove it")
    with open(path, "a") as file:
        _lock(file, folder)
        if new and (folder / "settings.json").exists():
            raise ValueError(f"run = {str(folder)!r} exists already: "
                             f"choose another folder, or continue it by train --resume")
        try:
            yield
        except BaseException:
            if new and not (folder / "settings.json").exists():
                file.close()  # Windows removes no open file
                _remove(folder, before, made)
            raise


def _remove(folder: Path, before: set[Path], made: list[Path]) -> None:
    """Remove the files of a run that were not there before, and the folders made if empty."""
    for path in {folder / name for name in (*FILES, "lock")} - before:
        path.unlink(missing_ok=True)
    for path in made:
        with suppress(OSError):
            path.rmdir()


def _lock(file: Any, folder: Path) -> None:
    """Lock the file; then remove what killed processes left half written in the folder."""
    try:
        files.lock(file)
    except (BlockingIOError, PermissionError):
        raise ValueError(f"run = {str(folder)!r} is being trained by another process: "
                         f"wait for its end, or choose another folder") from None
    except OSError:  # a file system without locks
        return
    for name in (*FILES, "loss.png"):
        files.forget_partials(folder / name)


def is_locked(folder: Path | str) -> bool:
    """Whether a process trains in the folder now.  False where the file system has no locks."""
    path = Path(folder) / "lock"
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            files.lock(file)
    except (BlockingIOError, PermissionError) as error:
        return error.filename is None  # otherwise the lock may not be opened
    except OSError:
        return False
    return False


def change_length(folder: Path | str, run: Run, **length: Any) -> Run:
    """The run with other `steps` or `minutes`, in its folder too, which must be `locked`.

    ValueError: settings that `check_settings` refuses.
    """
    settings = {**run.settings, **length}
    check_settings(settings)
    write_settings(Path(folder), settings)
    return run._replace(settings=settings)


def check_is_run(folder: Path) -> None:
    """ValueError unless the folder has a run."""
    if not (folder / "settings.json").is_file():
        raise ValueError(f"run = {str(folder)!r} is no run folder: it has no settings.json; "
                         f"make one by train --data NAME --out RUN, in a new or empty folder")


def load(folder: Path | str) -> tuple[Run, np.random.Generator]:
    """The run in a folder, and its generator as the last step left it.

    ValueError: no run folder, or a damaged one.
    """
    folder = Path(folder)
    check_is_run(folder)
    try:
        return _load(folder)
    except Exception as error:  # damaged files can make NumPy, json and zipfile raise anything
        raise ValueError(f"run = {str(folder)!r} is damaged or not of this version: "
                         f"{type(error).__name__}: {readers.one_line(error)}") from None


def _load(folder: Path) -> tuple[Run, np.random.Generator]:
    settings = _settings(folder)
    check_settings(settings)
    arrays = readers.read_file(folder / "checkpoint.npz", _read_checkpoint, "a checkpoint")
    schedule = Schedule(arrays["beta"])
    if schedule.T != settings["T"]:
        raise ValueError(f"T = {settings['T']} does not go with {schedule.T} betas")
    table = None
    if settings["predicts"] == "prior":
        table = make_table((arrays["share"], arrays["levels"]), schedule)
    network = make_network(settings, schedule, table)
    state = _state(arrays, network)
    rng = np.random.default_rng()
    rng.bit_generator.state = json.loads(str(arrays["rng"]))
    held_out = readers.read_file(folder / "held_out.npy", readers.read_npy, "an array")
    _check_held_out(held_out, settings)
    generator = rng.bit_generator.state
    return Run(settings, schedule, network, state, held_out, table, generator), rng


def _read_checkpoint(file: Any) -> dict[str, Array]:
    def choose(names: list[str]) -> list[str]:
        histograms = {"share", "levels"} & set(names)
        return ["beta", "rng", *training.State._fields, *histograms]
    return readers.read_npz(file, choose)


def _state(arrays: dict[str, Array], network: Network) -> training.State:
    """The state of training.  ValueError: vectors that are not finite or do not fit the network."""
    step = int(arrays["step"])
    if not 0 <= step <= MOST["steps"]:
        raise ValueError(f"step = {step}: a whole number from 0 to {MOST['steps']}")
    vectors = {name: arrays[name] for name in training.State._fields if name != "step"}
    for name, vector in vectors.items():
        if not (vector.dtype == np.float32 and np.isfinite(vector).all()):
            raise ValueError(f"{name} must be finite float32 numbers")
        unpack(vector, network.layout)  # ValueError: another number of weights
    return training.State(step, **vectors)


def _check_held_out(held_out: Array, settings: Settings) -> None:
    dtype = np.float64 if settings["kind"] == "points" else np.uint8
    has_shape = list(held_out.shape[1:]) == settings["shape"] and len(held_out) >= 2
    if not (has_shape and held_out.dtype == dtype and np.isfinite(held_out).all()):
        raise ValueError(f"held_out.npy has {held_out.dtype} of shape {held_out.shape}: it must "
                         f"hold 2 or more {settings['kind']} of shape {settings['shape']}, "
                         f"finite, {np.dtype(dtype)}")


def read_log(path: Path, step: int) -> list[LogRow]:
    """The rows of log.csv up to that step.  Later steps were lost and will be trained again."""
    if step == 0 or not path.exists():
        return []
    rows = readers.read_file(path, readers.read_csv, "a log").items
    if rows.size and rows.shape[1] != 4:
        raise ValueError(f"{str(path)!r} has {rows.shape[1]} columns, and the log of a training "
                         f"has 4: remove it to go on without a log")
    return [LogRow(*row) for row in rows.tolist() if row[0] <= step]


def is_finished(run: Run, log: Sequence[LogRow]) -> bool:
    """Whether a run has done all its steps, or its minutes, as the log counts them."""
    minutes = run.settings["minutes"]
    if minutes is None:
        return run.state.step >= run.settings["steps"]
    return bool(log) and log[-1].seconds + 0.01 >= 60 * minutes  # the log has two decimals


def draw_loss(folder: Path | str) -> None:
    """Draw loss.png from log.csv.  An error becomes a warning: a picture must end no training."""
    picture = Path(folder) / "loss.png"
    try:
        rows = np.reshape(read_log(Path(folder) / "log.csv", MOST["steps"]), (-1, 4))
        rows = rows[np.isfinite(rows).all(1)]
        if len(rows):
            figure = plot.loss(rows[:, 0], rows[:, 1])
            files.replace(picture, lambda file: figure.savefig(file, format="png"))
    except Exception as error:  # no matplotlib, a full disk, a damaged log
        warnings.warn(f"{str(picture)!r} is not drawn: {readers.one_line(error)}", stacklevel=2)
