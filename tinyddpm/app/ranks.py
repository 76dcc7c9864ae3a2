"""Several processes that work on one run, by MPI: `mpiexec -n K python -m tinyddpm train …`.

Each process, a *rank*, runs the same program with the same random numbers, and computes its own
part of each batch.  Then the parts are put together, and all ranks go on with the same numbers:
    train     the gradient is a mean over the batch: one Allreduce of the weight vector a step
    elbo      the denoiser's output for a batch is gathered
    sample    each rank runs the chains of its own items; they are gathered at the end
Two ranks compute what two threads compute, to the last bit (see network/threads.py).  Rank 0 alone
prints and writes files.  Without mpiexec there is one rank, and MPI is not imported.
"""
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..gaussian import Array
from ..network import threads

# Where the launchers of MPICH and Intel MPI, and of Open MPI, tell how many processes there are.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


@cache
def world() -> Any:
    """MPI's communicator of all ranks; None if this is the only process.

    ValueError: mpiexec started several processes, and mpi4py is not installed.
    """
    if not any(int(os.environ.get(name, "1")) > 1 for name in SIZES):
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # the latter: mpi4py without an MPI library
        raise ValueError("mpiexec started several processes, which need mpi4py: "
                         "pip install 'tinyddpm[mpi]'") from None
    return MPI.COMM_WORLD


def mpiexec() -> str | None:
    """The launcher beside this Python, or else the one on the PATH; None: there is none."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")


def rank() -> int:
    """The number of this rank, from 0."""
    return 0 if world() is None else world().rank


def ranks() -> int:
    """The number of ranks."""
    return 1 if world() is None else world().size


def agree(value: Any) -> Any:
    """Rank 0's value, on all ranks: for a clock, which each process reads at another moment."""
    return value if world() is None else world().bcast(value)


def wait_for_all() -> None:
    """Go on when all ranks are here."""
    if world() is not None:
        world().Barrier()


def part(n: int, of: int | None = None) -> slice:
    """The rows of a batch of n that a rank computes, this one by default."""
    k = rank() if of is None else of
    return slice(n * k // ranks(), n * (k + 1) // ranks())


def shared_gradient(value_and_gradient: Callable, least: int = 2) -> Callable:
    """The same function (weights, *batch) → (value, gradient), in ranks, or else in two threads.

    The value must be a mean over the batch; then the mean of the parts' results, weighted with
    their sizes, is the whole's.  least: a batch with fewer items stays whole.
    """
    if world() is None:
        return threads.gradient_in_halves(value_and_gradient, least)

    def of_batch(weights: Array, *batch: Any) -> tuple[Any, Array]:
        n = len(batch[0])
        if n < max(least, ranks()):
            return value_and_gradient(weights, *batch)
        rows = part(n)
        share = (rows.stop - rows.start) / n
        value, gradient = value_and_gradient(weights, *[array[rows] for array in batch])
        total = np.append(share * gradient, gradient.dtype.type(share * value))
        from mpi4py import MPI

        world().Allreduce(MPI.IN_PLACE, total)
        return total[-1], total[:-1]
    return of_batch


def shared_denoiser(denoiser: Callable, least: int = 2) -> Callable:
    """The same denoiser, (x_t, t) → ε̂ or (ε̂, log_var_fraction), in ranks, or else in two threads.

    Within `shared_samples` each rank calls it with other items, and nothing is shared.
    """
    if world() is None:
        return threads.denoise_in_halves(denoiser, least)

    def of_batch(x_t: Array, t: int | Array) -> Array | tuple[Array, ...]:
        with threads.one_blas_thread():
            if threads.IS_HALF.get() or len(x_t) < max(least, ranks()):
                return denoiser(x_t, t)
            rows = part(len(x_t))
            own_t = t[rows] if isinstance(t, np.ndarray) else t
            outputs = world().allgather(denoiser(x_t[rows], own_t))
        if isinstance(outputs[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*outputs))
        return np.concatenate(outputs)
    return of_batch


class RowsOf:
    """A generator for some rows of a batch of n, whose halves have generators of their own."""

    def __init__(self, rows: slice, n: int, generators: Sequence[np.random.Generator]):
        self.parts = []
        for half, generator in zip((range(n // 2), range(n // 2, n)), generators):
            own = slice(max(rows.start - half.start, 0), max(rows.stop - half.start, 0))
            if half[own]:
                self.parts.append((generator, len(half), own))

    def standard_normal(self, size: tuple[int, ...], dtype: Any = np.float64) -> Array:
        draws = [generator.standard_normal((length, *size[1:]), dtype)[own]
                 for generator, length, own in self.parts]
        return np.concatenate(draws)


def shared_samples(sampler: Callable, x: Array, rng: np.random.Generator, least: int = 2) -> Array:
    """The x_0 of a sampler, in ranks, or else in two threads; see `threads.last_in_halves`.

    As there, each half of x has a generator of its own.  A rank draws the noise of a whole half and
    takes its own rows, so the samples do not depend on the number of ranks.
    """
    if world() is None or len(x) < max(least, ranks()):
        return threads.last_in_halves(sampler, x, rng, least)
    rows = part(len(x))
    mine = threads.last_alone(sampler, x[rows], RowsOf(rows, len(x), rng.spawn(2)))
    return np.concatenate(world().allgather(mine))


def end_together(seconds: float = 2.0) -> bool:
    """Whether every rank calls this within so many seconds: then all have come to the same end."""
    if world() is None:
        return True
    request, end = world().Ibarrier(), time.monotonic() + seconds
    while time.monotonic() < end:
        if request.Test():
            return True
        time.sleep(0.01)
    return False


def abort(code: int) -> None:
    """End the other ranks, which may wait for this one, and then this one."""
    world().Abort(code)
