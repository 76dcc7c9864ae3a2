"""The terminal: what all commands and demos share.

Errors in one sentence, types of arguments, progress bars, the ledger as a table, JSON and pictures.
"""
import argparse
import json
import shlex
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..elbo import LABELS, Ledger
from ..gaussian import Array
from . import files, run as runs
from .process import keep_freed_memory


@contextmanager
def one_sentence_for_mistakes(resume: Path | str | None = None) -> Iterator[None]:
    """A context for a command: an error ends it with one sentence on stderr and exit code 2.

    It also changes the process, so it is no part of the import: malloc keeps freed memory, a
    warning is printed on one line, and SIGTERM and SIGHUP act like Ctrl-C, so that a training
    writes a checkpoint first.
    resume: the folder that the command trains in; an interrupt then tells how to continue there.
    Exit code after an interrupt: 128 and the number of the signal, so 130 after Ctrl-C.
    """
    received: list[int] = []  # signals; none after Ctrl-C, which Python handles
    handlers_before = {}

    def interrupt(number: int, frame: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    keep_freed_memory()
    warnings.formatwarning = lambda message, *rest, **options: f"warning: {message}\n"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # for a terminal that cannot print ±
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        # Only the default handler is replaced: nohup's, which ignores SIGHUP, stays.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            handlers_before[number] = signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        sentence = "tinyddpm: interrupted"
        if resume is not None and (Path(resume) / "settings.json").exists():
            sentence += f"; continue with {shell_command('train', '--resume', resume)}"
        print(sentence, file=sys.stderr)
        sys.exit(128 + (received[-1] if received else signal.SIGINT))
    except (ValueError, OSError, FloatingPointError, OverflowError, MemoryError) as error:
        print(f"tinyddpm: {_reason(error)}", file=sys.stderr)
        sys.exit(2)
    finally:
        for number, handler in handlers_before.items():
            signal.signal(number, handler)


def shell_command(*words: Any) -> str:
    """A command line of this package, quoted for the system's shell."""
    words = ("python", "-m", "tinyddpm", *map(str, words))
    if sys.platform == "win32":
        from subprocess import list2cmdline  # here, because only Windows needs it
        return list2cmdline(words)
    return shlex.join(words)


def _reason(error: BaseException) -> str:
    if isinstance(error, (MemoryError, OverflowError)):
        return f"not enough memory for a size that was asked for: {error}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {error.filename}"
    return str(error)


def integer_at_least(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of `least` or more."""
    def parse(text: str) -> int:
        is_integer = text.lstrip("+-").isdecimal() and len(text) < 19
        if not (is_integer and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of {least} or more")
        return int(text)
    return parse


def positive(text: str) -> float:
    """An argparse type: a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a positive number")
    return value


def progress_bar(total: float, description: str, unit: str = "step") -> Any:
    """A tqdm bar of `total` units."""
    from tqdm import tqdm

    style = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=total, desc=description, unit=unit, bar_format=style, dynamic_ncols=True,
                mininterval=0.3)


def progress_over(description: str) -> Callable[[Iterable], Iterable]:
    """A `progress` for the ledger and samplers: it wraps a list of times in a tqdm bar."""
    from tqdm import tqdm

    return lambda times: tqdm(times, desc=description, unit="t", dynamic_ncols=True,
                              mininterval=0.3, leave=False)


def train_with_bar(run: runs.Run, dataset: runs.DataSet, rng: np.random.Generator,
                   folder: Path | None = None, every: float = 60.0) -> runs.Run:
    """`fit` with a progress bar: of steps, or of seconds for a run with `minutes`."""
    minutes, steps = run.settings["minutes"], run.settings["steps"]
    if minutes is None:
        bar = progress_bar(steps, "training")
        bar.update(min(run.state.step, steps))
    else:
        bar = progress_bar(60 * minutes, "training", "s")
    with bar:
        return runs.fit(run, dataset, rng, folder, bar, every)


def say(text: str) -> None:
    """Print a paragraph, in lines that fit any terminal."""
    print("\n" + textwrap.fill(text, 90))


def say_why_negative(ledger: Ledger) -> None:
    if ledger.summary()["L_0"][0] < 0:
        say("L_0 is negative because it is -log of a density, and a density may be larger than 1.")


def print_beside_optimum(ledger: Ledger, optimal: Ledger, exact: dict[str, float],
                         entropy: float) -> None:
    """The network's ledger, that of the optimal denoiser for the same draws, and its exact mean.

    exact: nats by the names of `Ledger.summary`.  entropy: of the data, in nats.
    """
    print(f"{'':14}{'network':>20}{'optimal denoiser':>28}")
    print(f"{'':14}{'nats':>10}{'± s.e.':>10}{'same draws':>14}{'exact mean':>14}")
    best = optimal.summary()
    for name, (mean, error) in ledger.summary().items():
        print(f"{LABELS[name]:14}{mean:10.4f}{error:10.4f}{best[name][0]:14.4f}{exact[name]:14.4f}")
    print(f"{'data entropy':14}{'':34}{entropy:14.4f}")


def ledger_to_dict(ledger: Ledger, in_bits: bool = True) -> dict[str, dict[str, float]]:
    """The ledger for report.json.  in_bits: with bits per dimension, for data of 256 levels."""
    report = {}
    for name, (mean, error) in ledger.summary().items():
        report[name] = {"nats": float(mean), "standard_error": float(error)}
        if in_bits:
            report[name]["bits_per_dim"] = float(ledger.bits_per_dim(mean))
    return report


def terms_to_dict(terms: Array) -> dict[str, float]:
    """L_0…L_T, (T + 1,), summed under the names of `Ledger.summary`."""
    return {"L_T": float(terms[-1]), "sum L_{t-1}": float(terms[1:-1].sum()),
            "L_0": float(terms[0]), "total": float(terms.sum())}


def write_json(path: Path | str, report: dict) -> None:
    content = json.dumps(report, indent=2).encode()
    files.replace(Path(path), lambda file: file.write(content))


def write_picture(path: Path, figure: Any) -> None:
    files.replace(Path(path), lambda file: figure.savefig(file, format="png"))
