"""Bayes' rule for one pixel, and a network that adds what the other pixels tell.

A pixel of an image has one of 256 values, and some of them are frequent.  What follows from that
about a single pixel can be computed; a network need not learn it.

1. One pixel.  Level k has the value z_k = k/127.5 − 1.  It occurs with probability π_k, the prior
(see `histograms`).  Divided by √ᾱ_t, x_t is an observation of the pixel's value z,
    y = x_t/√ᾱ_t = z + noise,   noise ~ N(0, 1/SNR_t),   SNR_t = ᾱ_t/(1 − ᾱ_t).
The precision of an observation is one over the variance of its noise: here SNR_t.  By Bayes' rule
    p(z_k | y) ∝ π_k·exp(−½·SNR_t·(y − z_k)²),
and dividing these 256 numbers by their sum gives the posterior.  Its mean,
    D(y) = Σ_k z_k·p(z_k | y),
is the guess of x_0 with the least squared error among all guesses that use no other pixel.

How good is D?  If σ_t² = β̃_t, L_{t−1} is the drop of SNR from t − 1 to t, times half the squared
error of x̂_0:
    L_{t−1} = (SNR_{t−1} − SNR_t)·½·E[(x_0 − x̂_0)²].
On a fine grid, from high SNR to low, the sum of these terms tends to ½·∫E[(z − D)²] dSNR.  This
integral is the entropy of the histogram, −Σ_k π_k·log π_k (Guo, Shamai & Verdú 2005, arXiv
cs/0412108).  So the −ELBO of D is this entropy, if σ_t² = β̃_t and there is one kind of image.  β_t
costs more: even a pixel that is known, x̂_0 = x_0 at every t, then costs the KLs of two variances,
0.083 bits on `grey_levels(1000)`.

2. The network.  For each pixel it outputs three numbers, m, τ and c.  The first two act as a second
observation of the pixel, with value m and precision τ.  The third is for z_top, the most frequent
level in all images (the black around a digit).  A Gaussian cannot raise one level alone.  So at
z_top the factor e^c is used instead of it.
    p(z_k | x_t) ∝ π_k·exp(−½·SNR_t·(y − z_k)²)·exp(−½·τ·(m − z_k)²)     for k ≠ top
    p(z_top | x_t) ∝ π_top·exp(−½·SNR_t·(y − z_top)²)·e^c

3. The product of two Gaussians.  With the precision P = SNR_t + τ and the weighted mean
w = (SNR_t·y + τ·m)/P,
    SNR_t·(y − z)² + τ·(m − z)² = P·(w − z)² + (SNR_t·τ/P)·(y − m)²     for every z.
So two observations act as one, with value w and precision P, because the last term does not depend
on z.  A sum over the levels thus depends on two numbers only, w and P.  `Table` has these sums on a
grid of both, and is computed once, before training.

4. Mean and variance.  Let μ and s² be the mean and the variance over all levels but the top, and p
the probability of the top.  Then
    x̂_0 = p·z_top + (1 − p)·μ,
    Var(x_0 | x_t) = p·(z_top − x̂_0)² + (1 − p)·(s² + (μ − x̂_0)²).
The first is the network's guess.  The second gives σ_t² (see `variance`).

5. Kinds of image.  Each kind has a prior of its own.  By Bayes' rule for all pixels of an image
    p(kind | x_t) ∝ share(kind)·Π_pixels Σ_k π_k·exp(−½·SNR_t·(y − z_k)²).
x̂_0 is the average over the kinds with these weights; the variance is taken about that x̂_0.
"""
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from ..decoder import HALF_RANGE
from ..gaussian import Array
from ..network.layers import Network, in_dtype_of
from ..network.primitives import sigmoid
from ..network.threads import one_blas_thread
from ..network.weights import Weights
from ..oracle import softmax
from ..schedule import Schedule, cast_like
from .histograms import Histograms, check_histograms
from .variance import fraction_from_variance

LEVELS = np.arange(256) / HALF_RANGE - 1


# The sums over the levels.

class Table:
    """The sums over all levels but the top, for each of K kinds of image.

    Rows: log SNR (look-up without network) or log P (with it).  Columns: y or w.

    values           (3, K, rows, columns), float32: the mean of z, the logarithm of
                     Σ_k π_k·exp(−½·SNR·(y − z_k)²), and the variance of z
    log_snr          (rows,)
    error            (rows,), E[(z − D)²] over all levels, for an image of known kind
    top              z_top, the value of the most frequent level
    log_prior_top    (K,), log π_top
    log_share        (K,), the logarithm of the share of the images that are of each kind

    histograms: the pair share, (K,), and levels, (K, 256).  schedule: the grid covers its log SNR.
    ValueError: probabilities that are not positive, or do not sum to one.
    """

    spacing = 0.2  # of log SNR
    columns = 2048

    def __init__(self, histograms: Any, schedule: Schedule):
        self.histograms = Histograms(*histograms)
        check_histograms(self.histograms)
        share, levels = self.histograms
        top = int(np.argmax(share @ levels))
        self.top = LEVELS[top]
        self.log_share, self.log_prior_top = np.log(share), np.log(levels[:, top])
        lowest = schedule.log_snr[-1] - self.spacing
        highest = schedule.log_snr[1] + 4 * self.spacing
        self.log_snr = np.arange(lowest, highest, self.spacing)
        shape = (3, len(share), len(self.log_snr), self.columns)
        self.values = np.empty(shape, np.float32)
        self.error = np.empty(len(self.log_snr))
        others = np.where(np.arange(256) == top, 0, levels)
        with one_blas_thread():  # the matrix products are small
            for row in range(len(self.log_snr)):
                self._fill(row, share, levels, others)

    def _fill(self, row: int, share: Array, levels: Array, others: Array) -> None:
        """One row.  levels: every π_k, others: the same with π_top = 0, (K, 256)."""
        log_snr = self.log_snr[row]
        snr = np.exp(log_snr)
        y = np.linspace(-1, 1, self.columns) * largest_y(log_snr)
        likelihood = np.exp(-0.5 * snr * (y - LEVELS[:, None]) ** 2)  # (256, columns)

        total = others @ likelihood
        mean = (LEVELS * others) @ likelihood / total
        mean_square = (LEVELS ** 2 * others) @ likelihood / total
        self.values[:, :, row] = mean, np.log(total), np.maximum(mean_square - mean ** 2, 0)

        # E[(z − D)²] = ∫ (Σ_k z_k²·p(z_k, y) − (Σ_k z_k·p(z_k, y))²/p(y)) dy, by a sum over y.
        total = levels @ likelihood
        first = (LEVELS * levels) @ likelihood
        second = (LEVELS ** 2 * levels) @ likelihood
        density = np.sqrt(snr / (2 * np.pi)) * (y[1] - y[0])
        self.error[row] = density * (share @ (second - first ** 2 / total)).sum()

    def look_up(self, y: Array, log_snr: Array, with_variance: bool = False) -> tuple:
        """The mean, the logarithm of the sum, and the variance or None, (K, …) each, interpolated.

        Outside the grid the entries at its edge are used.  y, log_snr: (…).
        """
        row = (log_snr - float(self.log_snr[0])) / self.spacing
        row = anp.clip(row, 0, len(self.log_snr) - 1.001)
        column = (y / largest_y(log_snr) + 1) * (0.5 * (self.columns - 1))
        column = anp.clip(column, 0, self.columns - 1.001)
        if with_variance:
            return tuple(interpolate(self.values, row, column))
        mean, log_sum = interpolate(self.values[:2], row, column)
        return mean, log_sum, None


def largest_y(log_snr: Any) -> Any:
    """The last y in a row of the table: four standard deviations beyond the last level."""
    return 1 + 4 * anp.exp(-0.5 * log_snr)


def interpolate(tables: Any, row: Array, column: Array) -> list:
    """The tables (K, rows, columns) at fractional rows and columns, (K, …) each; bilinear.

    Differentiable in row and column.  row, column: (…), from 0 to just below the last one.
    """
    # fmax ignores NaN: the index is 0, and the NaN goes on through row − i.
    i = np.fmax(np.floor(getval(row)), 0)
    j = np.fmax(np.floor(getval(column)), 0)
    width = tables[0].shape[2]
    place = i.astype(int) * width + j.astype(int)
    down, right = row - i, column - j

    def at_places(table: Array) -> Any:
        entries = table.reshape(len(table), -1)
        a, b = entries.take(place, 1), entries.take(place + 1, 1)
        c, d = entries.take(place + width, 1), entries.take(place + width + 1, 1)
        upper = a + right * (b - a)
        lower = c + right * (d - c)
        return upper + down * (lower - upper)
    return [at_places(table) for table in tables]


# The posterior of a pixel, without a network and with one.

def for_each_kind(x: Array, values: Array) -> Array:
    """(K,) → (K, 1, 1, …) in the dtype of x, to be combined with pixels (B, …)."""
    return cast_like(x, values.reshape(-1, *[1] * x.ndim))


def guess_without_network(table: Table, y: Array, log_snr: Array) -> tuple[Array, Array]:
    """p(kind | x_t), (K, B, 1, …), and the guess D, (B, …), averaged over the kinds.

    y = x_t/√ᾱ_t and log_snr: (B, …).
    """
    top = cast_like(y, table.top)
    log_share = for_each_kind(y, table.log_share)
    log_prior_top = for_each_kind(y, table.log_prior_top)
    mean, log_others, _ = table.look_up(y, log_snr)
    log_top = log_prior_top - 0.5 * np.exp(log_snr) * (y - top) ** 2
    log_all = np.logaddexp(log_top, log_others)
    pixels = tuple(range(2, log_all.ndim))
    p_kind = softmax(log_share + log_all.sum(pixels, keepdims=True), axis=0)
    p_top = np.exp(log_top - log_all)
    guess = (p_kind * (mean + p_top * (top - mean))).sum(0)
    return p_kind, guess


def pixel_posterior(table: Table, y: Array, log_snr: Array, p_kind: Array, m: Array, tau: Array,
                    c: Array, with_variance: bool = False) -> tuple:
    """x̂_0 and Var(x_0 | x_t), or x̂_0 and None, by steps 2 to 5 above.

    y, log_snr, m, tau, c: (B, …), tau > 0; p_kind: (K, B, 1, …).
    """
    top = cast_like(y, table.top)
    log_prior_top = for_each_kind(y, table.log_prior_top)
    snr = np.exp(log_snr)
    precision = snr + tau
    weighted_mean = (snr * y + tau * m) / precision
    mean, log_others, var = table.look_up(weighted_mean, anp.log(precision), with_variance)
    # log_others lacks −disagreement, the last term of step 3; in the odds it is therefore added.
    disagreement = 0.5 * snr * tau / precision * (y - m) ** 2
    log_odds = c - 0.5 * snr * (y - top) ** 2 + disagreement + log_prior_top - log_others
    p_top = sigmoid(log_odds)
    x_0 = anp.sum(p_kind * (mean + p_top * (top - mean)), 0)
    if not with_variance:
        return x_0, None
    var_others = (1 - p_top) * (var + (mean - x_0) ** 2)
    var_top = p_top * (top - x_0) ** 2
    return x_0, anp.sum(p_kind * (var_others + var_top), 0)


def pixel_network(schedule: Schedule, table: Table, inner: Network,
                  learn_variance: bool = False) -> Network:
    """A network whose guess of x_0 is the mean of each pixel's posterior.

    Its images are (B, H, W) or (B, H, W, C), and its weights are those of `inner`.
    inner: a network with input (B, H, W, 2C), x_t and D as channels, and output (B, H, W, 3C): for
    each pixel m, a, b, numbers of order one; τ = exp(2a − 4), c = 4b.  With output zero, x̂_0 is
    near D.
    learn_variance: the output is the pair (x̂_0, log_var_fraction), the second from the variance of
    the same posterior; it takes no weights of its own.
    """
    def apply(weights: Weights, x_t: Array, t: int | Array,
              with_variance: bool = learn_variance) -> Any:
        x, back = in_dtype_of(weights["first"]["w"], x_t)
        at = schedule.coefficients_at(t, x)
        signal, log_snr = cast_like(x, np.sqrt(at.alpha_bar), at.log_snr)
        y, log_snr = x / signal, np.broadcast_to(log_snr, x.shape)
        p_kind, guess = guess_without_network(table, y, log_snr)

        inputs = [x, guess]
        if x.ndim == 3:
            inputs = [x[..., None], guess[..., None]]
        output = inner.apply(weights, np.concatenate(inputs, -1), t)
        m, a, b = [anp.reshape(part, x.shape) for part in anp.split(output, 3, -1)]
        tau, c = anp.exp(2 * a - 4), 4 * b

        x_0, var_x_0 = pixel_posterior(table, y, log_snr, p_kind, m, tau, c, with_variance)
        if not with_variance:
            return back(x_0)
        return back(x_0), back(fraction_from_variance(schedule, var_x_0, t))

    return Network(inner.layout, apply)


def mean_only(network: Network) -> Network:
    """A `pixel_network` with the same weights and x̂_0 as its only output.

    For training with a loss that does not use the variance: computing it takes time.
    """
    def apply(weights: Weights, x_t: Array, t: int | Array) -> Array:
        return network.apply(weights, x_t, t, with_variance=False)
    return network._replace(apply=apply)
