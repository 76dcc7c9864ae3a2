"""The terminal: what all commands and demos share.

Errors in one sentence, types of arguments, progress bars, the ledger as a table, JSON and pictures.
"""
import argparse
import json
import os
import shlex
import signal
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..elbo import LABELS, Ledger, SampledLedger
from ..gaussian import Array
from . import files, ranks, run as runs

EXIT_CODE_OF_SIGPIPE = 128 + 13  # what a shell reports of a program that a closed pipe has ended


@contextmanager
def one_sentence_for_mistakes(resume: Path | str | None = None) -> Iterator[None]:
    """A context for a command: an error ends it with one sentence on stderr and exit code 2.

    If the program that reads the output ends first, as in `| head -1`, nothing is printed.
    In the context, SIGTERM, SIGHUP and SIGBREAK act like Ctrl-C, so that a training writes a
    checkpoint first.  After it, the process has the settings that it had before.
    resume: the folder that the command trains in; an interrupt then tells how to continue there.
    Exit code after an interrupt: 128 and the number of the signal, so 130 after Ctrl-C.
    """
    with _one_voice(), _streams_for_any_text(), _settings_of_the_process() as received:
        try:
            try:
                yield
            finally:
                sys.stdout.flush()  # an error here is caught below; at the process's end it is not
        except KeyboardInterrupt:
            sentence = "tinyddpm: interrupted"
            if resume is not None and (Path(resume) / "settings.json").exists():
                sentence += f"; continue with {shell_command('train', '--resume', resume)}"
            _end(sentence, 128 + (received[-1] if received else signal.SIGINT))
        except (ValueError, OSError, FloatingPointError, OverflowError, MemoryError) as error:
            _drop_what_cannot_be_printed()
            if isinstance(error, BrokenPipeError):
                sys.exit(EXIT_CODE_OF_SIGPIPE)
            _end(f"tinyddpm: {_reason(error)}", 2)
        except Exception:  # a fault of this package; the other ranks would wait without end
            if ranks.ranks() > 1:
                _end(traceback.format_exc(), 1)
            raise


@contextmanager
def _one_voice() -> Iterator[None]:
    """Of several ranks, only rank 0 prints."""
    try:
        rank = ranks.rank()
    except ValueError as error:
        print(f"tinyddpm: {error}", file=sys.stderr)
        sys.exit(2)
    with ExitStack() as afterwards:
        if rank > 0:
            nowhere = afterwards.enter_context(open(os.devnull, "w", encoding="utf-8"))
            afterwards.enter_context(redirect_stdout(nowhere))
            afterwards.enter_context(redirect_stderr(nowhere))
        yield


def _end(sentence: str, code: int) -> NoReturn:
    """Print a sentence, and end with an exit code.

    If all ranks come to this end, rank 0 prints.  Otherwise this rank does, and ends the others.
    """
    if ranks.end_together():
        print(sentence, file=sys.stderr)
        sys.exit(code)
    print(f"{sentence} (rank {ranks.rank()} of {ranks.ranks()})", file=sys.__stderr__, flush=True)
    ranks.abort(code)
    raise SystemExit(code)


@contextmanager
def _streams_for_any_text() -> Iterator[None]:
    """Print "?" for a character that a stream does not have; without a stream, print nothing."""
    with ExitStack() as afterwards:
        for name, redirect in (("stdout", redirect_stdout), ("stderr", redirect_stderr)):
            if getattr(sys, name) is None:  # under pythonw, Windows' Python without a console
                nowhere = afterwards.enter_context(open(os.devnull, "w", encoding="utf-8"))
                afterwards.enter_context(redirect(nowhere))
            stream = getattr(sys, name)
            if hasattr(stream, "reconfigure"):
                afterwards.callback(_encode_errors, stream, stream.errors)
                _encode_errors(stream, "replace")
        yield


def _encode_errors(stream: Any, errors: str) -> None:
    with suppress(OSError, ValueError):  # `reconfigure` flushes, which fails on a closed stream
        stream.reconfigure(errors=errors)


class Interrupt:
    """A handler of signals that acts like Ctrl-C, and keeps the signals that came."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def __call__(self, number: int, frame: Any) -> None:
        self.received.append(number)
        raise KeyboardInterrupt


@contextmanager
def _settings_of_the_process() -> Iterator[list[int]]:
    """Warnings on one line, and signals that act like Ctrl-C; outside the main thread, neither.

    The list is of the signals that came.  Ctrl-C is not in it: Python handles it.
    """
    outer, interrupt = signal.getsignal(signal.SIGTERM), Interrupt()
    if isinstance(outer, Interrupt):  # this context is inside another one
        yield outer.received
        return
    if threading.current_thread() is not threading.main_thread():
        yield interrupt.received
        return
    format_before, handlers_before = warnings.formatwarning, {}
    warnings.formatwarning = lambda message, *rest, **options: f"warning: {message}\n"
    for number in files.signals_to_end():
        # Only the default handler is replaced: nohup's, which ignores SIGHUP, stays.
        if signal.getsignal(number) == signal.SIG_DFL:
            handlers_before[number] = signal.signal(number, interrupt)
    try:
        yield interrupt.received
    finally:
        warnings.formatwarning = format_before
        for number, handler in handlers_before.items():
            signal.signal(number, handler)


def shell_command(*words: Any) -> str:
    """A command line of this package, quoted for the system's shell."""
    words = ("python", "-m", "tinyddpm", *map(str, words))
    if sys.platform == "win32":
        from subprocess import list2cmdline  # here, because only Windows needs it
        return list2cmdline(words)
    return shlex.join(words)


def _drop_what_cannot_be_printed() -> None:
    """Discard the text that a stream failed to write; Python would try again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


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
    """A tqdm bar of `total` units; without stderr it is not drawn."""
    from tqdm import tqdm

    style = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=total, desc=description, unit=unit, bar_format=style, dynamic_ncols=True,
                mininterval=0.3, disable=sys.stderr is None)


def progress_over(description: str) -> Callable[[Iterable], Iterable]:
    """A `progress` for the ledger and samplers: it wraps a list of times in a tqdm bar."""
    from tqdm import tqdm

    return lambda times: tqdm(times, desc=description, unit="t", dynamic_ncols=True,
                              mininterval=0.3, leave=False, disable=sys.stderr is None)


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


def say_why_negative(ledger: Ledger | SampledLedger) -> None:
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


def ledger_to_dict(ledger: Ledger | SampledLedger,
                   in_bits: bool = True) -> dict[str, dict[str, float]]:
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
