"""Two threads: the two halves of a batch at the same time.

NumPy lets go of Python's lock while it computes, so two cores can share all of the work.  BLAS's own threads share
nothing but its products, about half of it, and where another process has a core they wait for each other: so
they are kept to one meanwhile, which takes threadpoolctl.  Without it, or with one item, all stays in one thread.
"""
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from functools import cache

import numpy as np

POOL = ThreadPoolExecutor(2)


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

    least: a batch of fewer items stays whole, and BLAS in one thread all the same.  This thread takes one of the halves:
    a second one that has to wake up costs more than a small product.
    """
    n = len(batch[0])
    with one_blas_thread():
        if n < max(least, 2) or _blas() is None:
            return [(1.0, f(*batch))]
        first, second = [[part[rows] if np.ndim(part) else part for part in batch] for rows in (slice(n // 2), slice(n // 2, n))]
        elsewhere = POOL.submit(copy_context().run, f, *first)  # NumPy's errstate goes along
        here = f(*second)
        return [(n // 2 / n, elsewhere.result()), (1 - n // 2 / n, here)]


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
