"""Two threads: the two halves of a batch at the same time.

NumPy lets go of Python's lock while it computes, so two cores can share all of the work.  BLAS's own threads share
nothing but its products, about half of it, and where another process has a core they wait for each other: so
they are kept to one meanwhile, which takes threadpoolctl.  Without it one half comes after the other.
"""
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Event

import numpy as np

POOL = ThreadPoolExecutor(1)
HALVED = ContextVar("halved", default=False)  # True inside a half: what it calls is not halved again


@cache
def _blas():
    """What can tell BLAS how many threads it has; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


def one_blas_thread():
    """A context in which BLAS keeps to one thread."""
    return nullcontext() if _blas() is None else _blas().limit(limits=1)


def in_halves(f, *batch, least=2):
    """[(share of the batch, f of that part), …]: of two halves, or of the whole.  batch: (B, …) each, or one number.

    least: a batch of fewer items stays whole, and BLAS in one thread all the same; so does what a half calls.
    This thread takes one of the halves: a second one that has to wake up costs more than a small product.
    """
    n = len(batch[0])
    if HALVED.get():
        return [(1.0, f(*batch))]
    if n < max(least, 2):
        with one_blas_thread():
            return [(1.0, f(*batch))]
    first, second = [[part[rows] if np.ndim(part) else part for part in batch] for rows in (slice(n // 2), slice(n // 2, n))]
    contexts, errors = (copy_context(), copy_context()), np.geterr()
    for context in contexts:
        context.run(HALVED.set, True)

    def with_errors(*part):  # NumPy 1 has an errstate for each thread
        with np.errstate(**errors):
            return f(*part)
    with one_blas_thread():
        if _blas() is None:
            answers = contexts[0].run(f, *first), contexts[1].run(f, *second)
        else:
            elsewhere = POOL.submit(contexts[0].run, with_errors, *first)
            here = contexts[1].run(f, *second)
            answers = elsewhere.result(), here
    return list(zip((n // 2 / n, 1 - n // 2 / n), answers))


def gradient_in_halves(value_and_gradient, least=2):
    """The same function of (weights, *batch) → (value, gradient), for values that are means over the batch.  least: as above."""
    def both(weights, *batch):
        answers = in_halves(lambda *part: value_and_gradient(weights, *part), *batch, least=least)
        return tuple(sum(share * answer[i] for share, answer in answers) for i in (0, 1))
    return both


def denoise_in_halves(denoiser, least=2):
    """The same denoiser, (x_t, t) → ε̂ or (ε̂, v).  least: as in `in_halves`."""
    def both(x_t, t):
        answers = [answer for _, answer in in_halves(denoiser, x_t, t, least=least)]
        return tuple(map(np.concatenate, zip(*answers))) if isinstance(answers[0], tuple) else np.concatenate(answers)
    return both


def last_in_halves(sampler, x, rng, least=2):
    """The x_0 of `sampler`, (x, rng) → a chain's steps, for two halves of x, each with a generator of its own (rng.spawn).

    A step need not wait for the other half's, as it does with `denoise_in_halves`.  rng: made from a seed, which is what
    spawning goes by.
    """
    generators, over = rng.spawn(2), Event()

    def half(rows):
        try:
            for step in sampler(x[rows], generators[int(rows[0] > 0)]):  # the second half does not begin with row 0
                if over.is_set():
                    break
            return step.x
        except BaseException:
            over.set()
            raise
    try:
        return np.concatenate([x_0 for _, x_0 in in_halves(half, np.arange(len(x)), least=least)])
    finally:
        over.set()  # Ctrl-C reaches this thread alone
