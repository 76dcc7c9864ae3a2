"""The terminal: what every command here has in common, the demos' too.

One sentence for a mistake, numbers checked as they are typed, bars for long work, the ledger as a table, files replaced whole.
"""
import argparse
import json
import signal
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import files, run as runs
from .process import keep_freed_memory


@contextmanager
def one_sentence_for_mistakes():
    """Bad input, a full disk or too little memory end in one sentence on stderr and exit code 2."""
    keep_freed_memory()
    warnings.formatwarning = lambda message, *rest, **options: f"warning: {message}\n"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ± is no reason to fail
    for name in ("SIGTERM", "SIGHUP"):  # end like Ctrl-C, with a checkpoint; unless somebody, like nohup, wants it otherwise
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("tinyddpm: interrupted; what a run folder holds is whole, and train --resume RUN goes on with it")
    except (ValueError, OSError, FloatingPointError, OverflowError, MemoryError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else error
        if isinstance(error, (MemoryError, OverflowError)):
            reason = f"not enough memory for a size that was asked for: {error}"
        print(f"tinyddpm: {reason}", file=sys.stderr)
        sys.exit(2)


def integer_at_least(least):
    """An argparse type: a whole number of `least` or more."""
    def parse(text):
        if not (text.lstrip("+-").isdecimal() and len(text) < 19 and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)
    return parse


def positive(text):
    """An argparse type: a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def progress_bar(total, description, unit="step"):
    from tqdm import tqdm

    style = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=total, desc=description, unit=unit, bar_format=style, dynamic_ncols=True, mininterval=0.3)


def progress_over(description):
    """A `progress` for the ledger and samplers: wraps a list of times in a bar."""
    from tqdm import tqdm

    return lambda times: tqdm(times, desc=description, unit="t", dynamic_ncols=True, mininterval=0.3, leave=False)


def train_with_bar(run, dataset, rng, folder=None, every=60.0):
    minutes = run.settings["minutes"]
    total, unit = (run.settings["steps"], "step") if minutes is None else (60 * minutes, "s")
    with progress_bar(total, "training", unit) as bar:
        if minutes is None:
            bar.update(min(run.state.step, total))
        return runs.fit(run, dataset, rng, folder, bar, every)


def print_ledger(ledger, exact=None, entropy=None):
    """The ledger as a table: nats per item, ± one standard error, and beside it what is exact."""
    per_dim = ledger.bits_per_dim
    print(f"{'':14}{'nats':>10} {'± s.e.':>9}{'bits/dim':>11}" + (f"{'exact optimum':>16}" if exact is not None else ""))
    exact_parts = {} if exact is None else {"L_T": exact[-1], "sum L_{t-1}": exact[1:-1].sum(), "L_0": exact[0],
                                            "total": exact.sum()}
    for name, (mean, error) in ledger.summary().items():
        label = "-ELBO" if name == "total" else name
        print(f"{label:14}{mean:10.4f} {error:9.4f}{per_dim(mean):11.4f}"
              + (f"{exact_parts[name]:16.4f}" if exact_parts else ""))
    if entropy is not None:
        print(f"{'data entropy':14}{entropy:10.4f} {'exact':>9}{per_dim(entropy):11.4f}")


def ledger_to_dict(ledger):
    """The ledger for report.json."""
    return {name: {"nats": float(mean), "standard_error": float(error), "bits_per_dim": float(ledger.bits_per_dim(mean))}
            for name, (mean, error) in ledger.summary().items()}


def write_json(path, report):
    files.replace(Path(path), lambda file: file.write(json.dumps(report, indent=2).encode()))


def write_picture(path, figure):
    files.replace(Path(path), lambda file: figure.savefig(file, format="png"))
