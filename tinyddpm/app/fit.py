"""Train a run, with checkpoints and a log.

`method` finds the functions that the settings name; `fit` gives them to `training.train`.
"""
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from autograd import value_and_grad

from .. import elbo, training
from ..gaussian import Array
from ..images import bits, muon, pixels
from ..network import Network
from ..network.threads import one_blas_thread
from ..reverse import variance_table
from . import ranks
from .datasets import DataSet
from .folder import draw_loss, read_log, save
from .model import LogRow, Run
from .settings import LEAST_TO_HALVE


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a run was trained.  run: with the state after its last whole step."""

    def __init__(self, run: Run):
        super().__init__(f"interrupted after {run.state.step} steps")
        self.run = run


class Method(NamedTuple):
    """How a run is trained: the arguments of `training.train` that the settings choose by name."""

    network: Network
    predicts: str
    loss: Callable
    draw_times: Callable
    optimiser: training.Optimiser


def method(run: Run) -> Method:
    """The loss and the optimiser that the run's settings name, and what goes with them."""
    network, draw_times = run.network, training.draw_times
    match run.settings["loss"]:
        case "simple":
            loss: Callable = elbo.simple_loss
        case "v":
            loss = elbo.v_loss
        case "vlb":
            variance = variance_table(run.schedule, run.settings["variance"])
            loss = partial(elbo.vlb_loss, variance=variance, decoder=run.decoder)
        case "hybrid":
            loss = partial(elbo.hybrid_loss, decoder=run.decoder)
        case _:  # "bits"
            loss, draw_times = bits.loss_and_times(run.schedule, run.table)
            network = pixels.mean_only(network)
    optimiser: training.Optimiser = training.adam_in_place
    if run.settings["optimiser"] == "muon":
        optimiser = muon.muon(network.layout)
    return Method(network, run.predicts, loss, draw_times, optimiser)


def fit(run: Run, dataset: DataSet, rng: np.random.Generator, folder: Path | str | None = None,
        bar: Any = None, every: float = 60.0) -> Run:
    """Train the run to its last step, or for its minutes; returns the run with its new state.

    folder   where checkpoints are written, while it is `locked`; None: nowhere
    bar      a progress bar like tqdm's, with n, update(n) and set_postfix(loss=…)
    every    seconds between checkpoints; there is one at the start, at the end and on Ctrl-C too,
             and at the end and on Ctrl-C loss.png is drawn
    A checkpoint is the state between two steps.  After a kill, the steps since then are repeated,
    with the same result.
    FloatingPointError: the training has diverged; the last checkpoint is kept.
    Interrupted, a KeyboardInterrupt: Ctrl-C; its `run` is what was trained so far.
    """
    settings = run.settings
    log = list(run.log)
    if folder is not None and not log:
        log = read_log(Path(folder) / "log.csv", run.state.step)
    before = log[-1].seconds if log else 0.0  # of training, in earlier processes
    began = saved = time.monotonic()
    by_clock = settings["minutes"] is not None
    limit = 60 * settings["minutes"] if by_clock else np.inf

    def elapsed() -> float:
        return ranks.agree(before + time.monotonic() - began)

    def share_of_time() -> float:
        return elapsed() / limit

    def draw(rng: np.random.Generator, n: int) -> Array:
        return run.encode(dataset.draw(rng, n)).astype(np.float32)

    def differentiate(objective: Callable) -> Callable:
        return ranks.shared_gradient(value_and_grad(objective), LEAST_TO_HALVE[settings["kind"]])

    last_step = settings["steps"]
    if by_clock:  # there is no last step; 0 if the minutes are over already
        last_step = np.inf if elapsed() < limit else 0
    chosen = method(run)
    steps = training.train(
        run.schedule, chosen.network, draw, rng, last_step, settings["batch"], chosen.loss,
        chosen.predicts, settings["learning_rate"], ema_decay=settings["ema_decay"],
        state=run.state, progress=share_of_time if by_clock else None,
        draw_times=chosen.draw_times, optimiser=chosen.optimiser, differentiate=differentiate)
    average = None  # of the loss, for the bar
    latest = run.state, rng.bit_generator.state

    def run_so_far() -> Run:
        state, generator = latest
        rows = tuple(row for row in log if row.step <= state.step)
        return run._replace(state=state, generator=generator, log=rows)

    def checkpoint() -> None:
        if folder is not None and ranks.rank() == 0:
            state, generator = latest
            save(folder, run._replace(state=state), generator, log)

    try:
        checkpoint()
        with one_blas_thread():  # `train` does this at each step; around the loop it costs less
            for step in steps:
                is_over = by_clock and elapsed() >= limit
                if step.state.step % 10 == 0 or is_over:
                    log.append(LogRow(step.state.step, step.loss, step.gradient_norm, elapsed()))
                # One assignment: Ctrl-C between two would save a state with the wrong generator.
                latest = step.state, rng.bit_generator.state
                average = step.loss if average is None else 0.98 * average + 0.02 * step.loss
                if bar is not None:
                    bar.set_postfix(loss=f"{average:.4f}", refresh=False)
                    if by_clock:
                        new_seconds = min(elapsed(), limit) - bar.n
                        bar.update(new_seconds)
                    else:
                        bar.update(1)
                if time.monotonic() - saved > every:
                    checkpoint()
                    saved = time.monotonic()
                if is_over:
                    break
        checkpoint()
    except BrokenPipeError:  # nobody reads the bar any more
        checkpoint()
        raise
    except KeyboardInterrupt:
        checkpoint()
        if folder is not None:
            draw_loss(folder)
        raise Interrupted(run_so_far()) from None
    if folder is not None:
        draw_loss(folder)
    return run_so_far()
