"""What a run is, how far it got, and how to go on: for the command info, and for train's end."""
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..network.weights import count
from . import run as runs  # `run` is a Run in this file
from .console import shell_command
from .settings import complete

RECENT = 20  # rows of the log in the mean of the loss


def describe(folder: Path) -> str:
    """A paragraph on a run folder.  ValueError: no run folder, or a damaged one."""
    run, _ = runs.load(folder)
    log = runs.read_log(folder / "log.csv", run.state.step)
    settings = run.settings
    lines = {
        "data": f"{settings['data']}: {settings['kind']} of shape {tuple(settings['shape'])}, "
                f"{len(run.held_out)} held out",
        "columns": ", ".join(settings["columns"]),
        "recipe": ", ".join([settings["recipe"], *differences(run)]),
        "network": f"{count(run.network.layout):,} weights",
        "trained": progress(run, log),
        "loss": loss(log),
        "now": "being trained by another process" if runs.is_locked(folder) else "",
        "files": ", ".join(f"{path.name} {size(path)}" for path in sorted(folder.iterdir())
                           if path.is_file() and path.name != "lock")}
    text = [textwrap.fill(value, 90, initial_indent=f"{name:9}", subsequent_indent=" " * 9,
                          break_long_words=False, break_on_hyphens=False)
            for name, value in lines.items() if value]
    return "\n".join(text) + "\n" + "\n  ".join(["go on with", *next_commands(folder, run, log)])


def differences(run: runs.Run) -> list[str]:
    """The settings that are not the recipe's, as "T 50 (recipe: 100)"."""
    settings = run.settings
    recipe = complete(settings["kind"], settings["recipe"], {})
    chosen = {name: settings[name] for name in recipe}
    networks = chosen.pop("network"), recipe.pop("network")
    chosen |= networks[0]
    recipe |= networks[1]
    if settings["minutes"] is not None:
        chosen.pop("steps")  # the clock ends the training
    return [f"{name} {value} (recipe: {recipe[name]})" for name, value in chosen.items()
            if value != recipe[name]]


def progress(run: runs.Run, log: Sequence[runs.LogRow]) -> str:
    """How far a training got, as "5000 of 5000 steps in 21 s, finished"."""
    step, minutes = run.state.step, run.settings["minutes"]
    seconds = log[-1].seconds if log else 0.0
    if minutes is None:
        done = f"{step} of {run.settings['steps']} steps in {seconds:.0f} s"
    else:
        done = f"{step} steps in {seconds / 60:.2f} of {minutes:g} minutes"
    return f"{done}, {'finished' if runs.is_finished(run, log) else 'not finished'}"


def loss(log: Sequence[runs.LogRow]) -> str:
    """The mean of the loss over the last rows of the log."""
    if not log:
        return ""
    recent = log[-RECENT:]
    mean = np.mean([row.loss for row in recent])
    return f"{mean:.4g}, the mean in log.csv from step {recent[0].step:.0f} on"


def size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def next_commands(folder: Path, run: runs.Run, log: Sequence[runs.LogRow]) -> list[str]:
    """Command lines: sample, elbo, train on."""
    look = [shell_command("sample", folder), shell_command("elbo", folder)]
    resume, minutes = ["train", "--resume", folder], run.settings["minutes"]
    if not runs.is_finished(run, log):
        return [shell_command(*resume), *look]
    longer = ["--steps", 2 * run.state.step] if minutes is None else ["--minutes", 2 * minutes]
    return [*look, shell_command(*resume, *longer)]


def has_picture_of_loss(folder: Path) -> bool:
    """Whether loss.png is there and not older than log.csv."""
    log, picture = folder / "log.csv", folder / "loss.png"
    if not picture.exists() or not log.exists():
        return picture.exists()
    return picture.stat().st_mtime_ns >= log.stat().st_mtime_ns
