"""Two threads: the two halves of a batch at the same time.

NumPy releases the GIL while it computes, so two threads can keep two cores busy.  BLAS has threads
of its own, but they share only the matrix products, and they wait for each other where another
process uses a core.  So threadpoolctl limits BLAS to one thread while the halves are computed.
Without threadpoolctl the halves are computed one after the other.
"""
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

IS_HALF = ContextVar("IS_HALF", default=False)  # True inside a half, which is not halved again


@cache
def pool() -> Any:
    """The second thread: an executor, made when it is first needed."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)


@cache
def _blas() -> Any:
    """threadpoolctl's controller of BLAS; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A forked process has the executor without its thread, so it makes one of its own.
    os.register_at_fork(after_in_child=pool.cache_clear)

_blas_is_limited = Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context in which BLAS uses one thread; afterwards it uses as many as before.

    The number is one for the whole process.  So a context inside another one, of this thread or of
    another thread, changes nothing: otherwise the last to leave could restore the other's 1.
    """
    if _blas() is None or not _blas_is_limited.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _blas_is_limited.release()


def in_halves(f: Callable, *batch: Any, least: int = 2) -> list[tuple[float, Any]]:
    """f of the first and of the second half of a batch, at the same time.

    Returns [(share of the batch, result of f), …], two pairs, or one if the batch stays whole.
    batch: arrays (B, …), each is halved; a number goes to both halves.
    least: a batch with fewer items stays whole, and so does every batch inside a half.
    """
    n = len(batch[0])
    if IS_HALF.get():
        return [(1.0, f(*batch))]
    if n < max(least, 2):
        with one_blas_thread():
            return [(1.0, f(*batch))]
    first = [part[:n // 2] if np.ndim(part) else part for part in batch]
    second = [part[n // 2:] if np.ndim(part) else part for part in batch]
    errors = np.geterr()

    def half(*part: Any) -> Any:
        IS_HALF.set(True)
        with np.errstate(**errors):  # NumPy 1 keeps an errstate for each thread
            return f(*part)

    # Each half runs in a context of its own, so that IS_HALF is still False here afterwards.
    with one_blas_thread():
        if _blas() is None:
            result_1 = copy_context().run(half, *first)
            result_2 = copy_context().run(half, *second)
        else:
            elsewhere = pool().submit(copy_context().run, half, *first)
            result_2 = copy_context().run(half, *second)
            result_1 = elsewhere.result()
    return [(n // 2 / n, result_1), (1 - n // 2 / n, result_2)]


def gradient_in_halves(value_and_gradient: Callable, least: int = 2) -> Callable:
    """The same function (weights, *batch) → (value, gradient), computed in halves.

    The value must be a mean over the batch; then the mean of the halves' results is the whole's.
    least: as in `in_halves`.
    """
    def of_batch(weights: Array, *batch: Any) -> tuple[Any, Array]:
        answers = in_halves(lambda *part: value_and_gradient(weights, *part), *batch, least=least)
        value = sum(share * half_value for share, (half_value, _) in answers)
        gradient = sum(share * half_gradient for share, (_, half_gradient) in answers)
        return value, gradient
    return of_batch


def denoise_in_halves(denoiser: Callable, least: int = 2) -> Callable:
    """The same denoiser, (x_t, t) → ε̂ or (ε̂, log_var_fraction).  least: as in `in_halves`."""
    def of_batch(x_t: Array, t: int | Array) -> Array | tuple[Array, ...]:
        answers = [answer for _, answer in in_halves(denoiser, x_t, t, least=least)]
        if isinstance(answers[0], tuple):
            return tuple(np.concatenate(halves) for halves in zip(*answers))
        return np.concatenate(answers)
    return of_batch


def last_in_halves(sampler: Callable, x: Array, rng: Generator, least: int = 2) -> Array:
    """The x_0 of a sampler, with two halves of x that do not wait for each other between steps.

    sampler: (x, generator) → the steps of a chain; each half has a generator of its own.
    rng: made from a seed, because `rng.spawn` makes the two generators from that seed.
    least: as in `in_halves`.
    """
    generators = rng.spawn(2)
    over = Event()  # stops one half where the other one has failed

    def half(rows: Array) -> Array:
        generator = generators[0] if rows[0] == 0 else generators[1]
        try:
            x_0 = x[rows]
            for step in sampler(x[rows], generator):
                x_0 = step.x
                if over.is_set():
                    break
            return x_0
        except BaseException:
            over.set()
            raise
    try:
        answers = in_halves(half, np.arange(len(x)), least=least)
        return np.concatenate([x_0 for _, x_0 in answers])
    finally:
        over.set()  # Ctrl-C interrupts the main thread only


def last_alone(sampler: Callable, x: Array, rng: Any) -> Array:
    """The x_0 of a sampler in this thread: within it no batch is halved."""
    def last() -> Array:
        IS_HALF.set(True)
        x_0 = x
        for step in sampler(x, rng):
            x_0 = step.x
        return x_0
    with one_blas_thread():
        return copy_context().run(last)
