"""Pixels: what is known of one grey pixel is computed, and the network learns only what the others say of it.

A pixel is one of 256 levels z_k, and a histogram says how often it is which, π_k.  Seen through noise, as
y = x_t/√ᾱ_t = z + N(0, 1/SNR_t), Bayes' rule is a sum over 256 levels:
    p(z_k | y) ∝ π_k·exp(−½·SNR_t·(y − z_k)²),        D(y) = Σ_k z_k·p(z_k | y).
D is the best guess that looks at no other pixel.  As a denoiser it needs no training, and its −ELBO is the
histogram's entropy (on a fine grid: the entropy is ½∫ error·dSNR; Guo, Shamai & Verdú 2005).

The network is asked for the rest: for the pixel's prior as its neighbours know it, in three numbers.  A mean m and
a precision τ, as if the neighbours were one more noisy sight of the pixel; and c for the level that is by far the most
frequent (the black around a digit), which no Gaussian can single out:
    p(z_k | all) ∝ π_k·exp(−½·SNR_t·(y − z_k)²)·(e^c if z_k is that level, otherwise exp(−½·τ·(m − z_k)²)).
Its mean is x̂_0, and its variance says how sure that is (reverse.fraction_from_variance).  Two Gaussians multiply to one of
precision SNR + τ about the weighted mean, so one table over y and log SNR, made once, answers for whatever the
network says; and it need not learn to copy what x_t shows.

Images differ in their histograms: one scan is white at 252, the next at 254.  So there are a few kinds, found by EM,
and Bayes' rule over all pixels says which an image is likely to be.
"""
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy
from autograd.tracer import getval

from ..network.layers import Network, in_dtype_of
from ..network.primitives import sigmoid
from ..schedule import cast_like
from .variance import fraction_from_variance
from ..network.threads import one_blas_thread

LEVELS = numpy.arange(256) / 127.5 - 1


class Histograms(NamedTuple):
    """A mixture of histograms.  share: (K,), of the images that are of each kind; levels: (K, 256), its π_k."""

    share: Any
    levels: Any


def fit_histograms(images, kinds=6, rounds=60):
    """`Histograms` of images, uint8 (N, …), as if an image were independent draws from one of `kinds` histograms.

    EM: each image is shared out by its likelihoods, each histogram made anew from its shares.  What a kind has
    not seen it takes from all images, and what they have not from the uniform, so no level is impossible.
    """
    counts = numpy.stack([numpy.bincount(image.ravel(), minlength=256) for image in images]).astype(float)
    pooled = counts.sum(0) + 0.5
    responsible = numpy.random.RandomState(0).dirichlet(numpy.full(kinds, 0.3), len(images))
    with one_blas_thread():  # its products are small
        for _ in range(rounds):
            levels = responsible.T @ counts + 50 * pooled / pooled.sum()
            levels /= levels.sum(1, keepdims=True)
            share = responsible.mean(0) + 1e-9
            responsible = _softmax(numpy.log(share) + counts @ numpy.log(levels).T, axis=1)
    return Histograms(share / share.sum(), levels)


def _softmax(logits, axis):
    weights = numpy.exp(logits - logits.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


class Table:
    """Sums over the levels, tabled for every kind of image on a grid of log SNR (rows) and y (columns).

    values      three, (K, R, C): D, log Σ_k π_k·exp(−½·SNR·(y − z_k)²) and the variance about D, all without the
                most frequent level
    log_snr     (R,); error (R,): E(z − D)² with that level and the kind known, by the trapezoid rule over y
    top         the most frequent level; log_top (K,): the logarithm of its π

    histograms: `Histograms`; schedule: whose range of log SNR is to be covered.
    ValueError: histograms that are none.
    """

    step, columns = 0.2, 2048

    def __init__(self, histograms, schedule):
        self.histograms = share, levels = Histograms(*histograms)
        if not (levels.shape == (len(share), 256) and all(((p > 0) & (p < 1)).all() and abs(p.sum(-1) - 1).max() < 1e-6
                                                          for p in (levels, share if len(share) > 1 else levels))):
            raise ValueError(f"share {share.shape} and levels {levels.shape} are no (K,) and (K, 256) shares of one each")
        top = int(numpy.argmax(share @ levels))
        self.kinds, self.top = len(share), LEVELS[top]
        self.log_share, self.log_top = numpy.log(share), numpy.log(levels[:, top])
        others = numpy.where(numpy.arange(256) == top, 0, levels)
        self.log_snr = numpy.arange(schedule.log_snr[-1] - self.step, schedule.log_snr[1] + 4 * self.step, self.step)
        self.values = numpy.empty((3, self.kinds, len(self.log_snr), self.columns), numpy.float32)
        self.error = numpy.empty(len(self.log_snr))
        with one_blas_thread():  # its products are small
            self._fill(share, levels, others)

    def _fill(self, share, levels, others):
        for row, log_snr in enumerate(self.log_snr):
            y, snr = numpy.linspace(-1, 1, self.columns) * _reach(log_snr), numpy.exp(log_snr)
            near = numpy.exp(-0.5 * snr * (y - LEVELS[:, None]) ** 2)  # some level is near: no column underflows
            total = others @ near
            mean, square = (LEVELS ** power * others @ near / total for power in (1, 2))
            self.values[:, :, row] = mean, numpy.log(total), numpy.maximum(square - mean ** 2, 0)
            total, mean, square = (LEVELS ** power * levels @ near for power in (0, 1, 2))
            density = numpy.sqrt(snr / (2 * numpy.pi)) * (y[1] - y[0])
            self.error[row] = density * (share @ (square - mean ** 2 / total)).sum()

    def __call__(self, y, log_snr, spread=False):
        """(D, log Σ), and the variance where a spread is wanted, (K, …) each, between the entries; beyond the table as at its edge.

        y, log_snr: (…).
        """
        row = np.clip((log_snr - float(self.log_snr[0])) / self.step, 0, len(self.log_snr) - 1.001)
        column = np.clip((y / _reach(log_snr) + 1) * (0.5 * (self.columns - 1)), 0, self.columns - 1.001)
        return _interpolate(self.values[:3 if spread else 2], row, column)


def _reach(log_snr):
    """The largest |y| in the table: four standard deviations beyond the last level."""
    return 1 + 4 * np.exp(-0.5 * log_snr)


def _interpolate(tables, row, column):
    """Of each table, linearly in both directions between the four entries about (row, column).  tables: (K, R, C) each."""
    i, j = (numpy.fmax(numpy.floor(getval(place)), 0) for place in (row, column))  # a NaN reads entry 0, and row − i keeps it a NaN
    width = tables[0].shape[2]
    at, row, column = i.astype(int) * width + j.astype(int), row - i, column - j

    def between(table):
        a, b, c, d = (table.reshape(len(table), -1).take(at + corner, 1) for corner in (0, 1, width, width + 1))
        upper, lower = a + column * (b - a), c + column * (d - c)
        return upper + row * (lower - upper)
    return [between(table) for table in tables]


def pixels_alone(table, y, log_snr):
    """(p(kind | y) (K, B, 1, …), D in the shape of y): what is known without a network.  y, log_snr: (B, …)."""
    log_share, log_top, top = (numpy.asarray(a, y.dtype) for a in (_beside(y, table.log_share), _beside(y, table.log_top), table.top))
    others, evidence = table(y, log_snr)
    at_top = log_top - 0.5 * numpy.exp(log_snr) * (y - top) ** 2
    total = numpy.logaddexp(at_top, evidence)
    kinds = _softmax(log_share + total.sum(tuple(range(2, total.ndim)), keepdims=True), axis=0)
    return kinds, (kinds * (others + numpy.exp(at_top - total) * (top - others))).sum(0)


def _beside(y, of_kinds):
    """(K,) → (K, 1, …), to stand beside the pixels (B, …)."""
    return of_kinds.reshape(-1, *[1] * y.ndim)


def pixel_network(schedule, table, inner, learn_variance=False):
    """A `Network` that guesses x_0 of 256-level images, (B, H, W) or (B, H, W, C), by way of each pixel's prior.

    inner: a network that is given x_t and D as channels, (B, H, W, 2C), and answers (B, H, W, 3C): of each
    pixel m, ½(log τ + 4) and c/4, numbers of order one.  While it answers zero the guess is nearly D.
    learn_variance: the output is the pair (x̂_0, log_var_fraction), the second by `fraction_from_variance` from the variance of
    the same posterior: it takes no weights of its own.
    """
    def apply(weights, x_t, t):
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        at = schedule.coefficients_at(t, x)
        log_snr, signal, log_top, top = cast_like(x, at.log_snr, numpy.sqrt(at.alpha_bar), _beside(x, table.log_top), table.top)
        y, log_snr = x / signal, numpy.broadcast_to(log_snr, x.shape)
        kinds, alone = pixels_alone(table, y, log_snr)

        sights = [x[..., None], alone[..., None]] if x.ndim == 3 else [x, alone]
        says = inner.apply(weights, numpy.concatenate(sights, -1), t)
        m, log_tau, c = (np.reshape(part, x.shape) for part in np.split(says, 3, -1))
        snr, tau = numpy.exp(log_snr), np.exp(2 * log_tau - 4)
        both = snr + tau
        others, evidence, *their_variance = table((snr * y + tau * m) / both, np.log(both), learn_variance)
        # exp(−½·SNR·(y − z)² − ½·τ·(m − z)²) is a Gaussian about the weighted mean times exp(−apart), whatever z.
        apart = 0.5 * snr * tau / both * (y - m) ** 2
        is_top = sigmoid(4 * c - 0.5 * snr * (y - top) ** 2 + apart + log_top - evidence)
        x_0 = np.sum(kinds * (others + is_top * (top - others)), 0)
        if not learn_variance:
            return back(x_0)
        spread = np.sum(kinds * ((1 - is_top) * (their_variance[0] + (others - x_0) ** 2) + is_top * (top - x_0) ** 2), 0)
        return back(x_0), back(fraction_from_variance(schedule, spread, t))

    return Network(inner.layout, apply)
