"""How often each of 256 grey levels occurs, for a few kinds of image.

Images differ in their histograms: one scan is white at level 252, another at 254.  So the levels of
an image are modelled as independent draws from one of K histograms, and which of the K it is, the
kind of the image, is not observed.  This is a mixture model, and EM fits it (Bishop 2006, §9.3).
"""
from typing import Any, NamedTuple

import numpy as np

from ..checks import check
from ..gaussian import Array
from ..network.threads import one_blas_thread
from ..oracle import softmax

PSEUDO_COUNTS = 50  # each histogram also counts 50 pixels that have the average frequencies


class Histograms(NamedTuple):
    """A mixture of K histograms: share (K,) of the images that are of each kind; levels (K, 256).

    levels[j, k] is π_jk, the probability that a pixel has level k if the image is of kind j.
    """

    share: Any
    levels: Any


def check_histograms(histograms: Histograms) -> None:
    """ValueError unless all probabilities are positive and sum to one."""
    share, levels = histograms
    fine = share.ndim == 1 and levels.shape == (len(share), 256)
    for probabilities in histograms:
        sums_to_one = abs(probabilities.sum(-1) - 1) < 1e-6
        fine = fine and (probabilities > 0).all() and sums_to_one.all()
    check(fine, "shapes of share and levels", f"{share.shape} and {levels.shape}",
          "they must be (K,) and (K, 256), with positive numbers that sum to one in each row")


def fit_histograms(images: Array, kinds: int = 6, rounds: int = 60) -> Histograms:
    """The mixture of histograms that makes the images likely, by EM from a random start.

    Let n_ik be the number of pixels of image i with level k, and r_ij the probability that image i
    is of kind j.  A round updates π and the shares, then r:
        π_jk ∝ Σ_i r_ij·n_ik + 50·(frequency of level k in all images),
        share_j = mean of r_ij over i,
        r_ij ∝ share_j·Π_k π_jk^n_ik.
    The frequencies in all images include half a pixel more of every level, so no π is 0.
    images: uint8, (N, …).  The random start has a fixed seed.
    """
    counts = np.stack([np.bincount(image.ravel(), minlength=256) for image in images]).astype(float)
    pooled = counts.sum(0) + 0.5
    p_kind = np.random.RandomState(0).dirichlet(np.full(kinds, 0.3), len(images))
    with one_blas_thread():  # the matrix products are small
        for _ in range(rounds):
            levels = p_kind.T @ counts + PSEUDO_COUNTS * pooled / pooled.sum()
            levels /= levels.sum(1, keepdims=True)
            share = p_kind.mean(0) + 1e-9
            p_kind = softmax(np.log(share) + counts @ np.log(levels).T)
    return Histograms(share / share.sum(), levels)
