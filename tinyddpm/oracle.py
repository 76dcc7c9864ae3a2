"""Exact answers: data so simple that the whole of diffusion has a closed form.

For a Gaussian, a mixture of Gaussians or a finite set of points the noised data q(x_t) is again a
mixture of Gaussians.  So its density is known, and with it the score ∇ log q(x_t), and with that the
best denoiser there can be, ε*(x_t, t) = E[ε | x_t] = −√(1 − ᾱ_t)·∇ log q(x_t) (Luo 133 and 151).  So the
least loss there can be is a number, and a network, a sampler or a ledger can be held against it.

The mixtures' arrays are (B, D), and all sums here are float64.
"""
import math

import numpy as np

from .elbo import mean_and_error, simple_weights
from .forward import diffuse
from .gaussian import LOG_2PI, check
from .reverse import ask, variance_table


def _logsumexp(x, axis):
    top = x.max(axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(x - top).sum(axis))


def _softmax(logits):
    return np.exp(logits - _logsumexp(logits, 1)[:, None])


class Mixture:
    """Σ_k π_k·N(m_k, S_k) in D dimensions; one component is a Gaussian.

    weights: (K,), positive, made to sum to one; means: (K, D); covariances: (K, D, D), symmetric,
    positive semidefinite.  ValueError: anything else.
    """

    def __init__(self, weights, means, covariances):
        self.weights, self.means = np.asarray(weights, float), np.asarray(means, float)
        covariances = np.asarray(covariances, float)
        K, D = self.means.shape if self.means.ndim == 2 else (0, 0)
        if not (K and self.weights.shape == (K,) and covariances.shape == (K, D, D)):
            raise ValueError(f"weights {self.weights.shape}, means {self.means.shape} and covariances {covariances.shape} "
                             f"are not (K,), (K, D) and (K, D, D)")
        if not (np.isfinite(self.means).all() and np.isfinite(covariances).all()):
            raise ValueError("means or covariances hold a NaN or an infinity: all their numbers are finite")
        # In its own axes a component is diagonal, and it stays so when noise is added.
        self.variances, self.axes = np.linalg.eigh(covariances)
        if not ((self.weights > 0).all() and (self.variances > -1e-12).all()
                and np.allclose(covariances, covariances.swapaxes(1, 2))):
            raise ValueError("weights must be positive and covariances symmetric with no negative eigenvalue")
        self.weights, self.variances = self.weights / self.weights.sum(), np.maximum(self.variances, 0)
        self.dimensions = D

    @property
    def covariances(self):
        """(K, D, D)."""
        return np.einsum("kid,kd,kjd->kij", self.axes, self.variances, self.axes)

    @property
    def mean(self):
        """E[x], (D,)."""
        return self.weights @ self.means

    @property
    def covariance(self):
        """Cov(x), (D, D): within the components plus between them."""
        apart = self.means - self.mean
        return np.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights * apart.T) @ apart

    def sample(self, rng, n):
        """n draws, (n, D).  rng: numpy Generator."""
        k = rng.choice(len(self.weights), size=n, p=self.weights)
        return self.means[k] + np.einsum("nij,nj->ni", self.axes[k], np.sqrt(self.variances[k])
                                         * rng.standard_normal((n, self.dimensions)))

    def _components(self, x, alpha_bar=1.0, one_minus=0.0):
        """x in the axes of each component of q(x_t): offsets and variances (…, K, D), log joint densities (B, K).

        alpha_bar, one_minus: ᾱ_t and 1 − ᾱ_t, each () or (B, 1).
        """
        check(np.shape(x)[1:] == (self.dimensions,), "shape of x", np.shape(x), f"(B, {self.dimensions})")
        alpha_bar, one_minus = np.asarray(alpha_bar)[..., None], np.asarray(one_minus)[..., None]
        offset = np.einsum("bkd,kde->bke", x[:, None] - np.sqrt(alpha_bar) * self.means, self.axes)
        var = alpha_bar * self.variances + one_minus
        log_joint = np.log(self.weights) - 0.5 * (LOG_2PI + np.log(var) + offset ** 2 / var).sum(-1)
        return offset, var, log_joint

    def log_prob(self, x):
        """log of the data's density, (B,) nats.  x: (B, D).  ValueError: a flat component has no density."""
        if not self.variances.all():
            raise ValueError("a component has a variance of 0 along one of its axes: before noise is added it has no density")
        return _logsumexp(self._components(x)[2], 1)

    def log_q(self, schedule, x_t, t):
        """log q(x_t), the density of the noised data, (B,) nats.  x_t: (B, D); t: int or (B,) in 1…T."""
        at = schedule.at(t, x_t)
        return _logsumexp(self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)[2], 1)

    def denoiser(self, schedule):
        """ε*(x_t, t) = E[ε | x_t], the denoiser of least error.  x_t: (B, D); t: int or (B,)."""
        def exact(x_t, t):
            # Per component, the score in the component's own axes is −offset/var.
            at = schedule.at(t, x_t)
            offset, var, log_joint = self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)
            eps = np.sqrt(at.one_minus_alpha_bar) * np.einsum("bk,bkd,ked->be", _softmax(log_joint), offset / var, self.axes)
            return eps.astype(x_t.dtype)
        return exact

    def _spread(self, schedule, x_t, t):
        """tr Cov(x_0 | x_t), (B,): within the components that x_t may come from, plus between them."""
        at = schedule.at(t, x_t)
        offset, var, log_joint = self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)
        share = _softmax(log_joint)
        gain = np.sqrt(at.alpha_bar)[..., None] * self.variances / var
        means = self.means + np.einsum("bkd,ked->bke", gain * offset, self.axes)
        within = (self.variances * np.asarray(at.one_minus_alpha_bar)[..., None] / var).sum(-1)
        apart = means - np.einsum("bk,bkd->bd", share, means)[:, None]
        return (share * (within + (apart ** 2).sum(-1))).sum(1)

    def _lattice(self, fineness, alpha_bar=1.0, one_minus=0.0):
        """A lattice over all but 1e-17 of q(x_t), `fineness` points to the smallest standard deviation: chunks, cell size."""
        var = alpha_bar * self.variances + one_minus
        reach = 9 * np.sqrt(np.einsum("kid,kd->ki", self.axes ** 2, var))
        centres = np.sqrt(alpha_bar) * self.means
        cell = np.sqrt(var.min()) / fineness
        sides = [np.arange(low, high + cell, cell) for low, high in zip((centres - reach).min(0), (centres + reach).max(0))]
        count = math.prod(map(len, sides))
        if count > 2e7:
            raise ValueError(f"a lattice of {count:.1g} points: quadrature is for few dimensions and variances of like size")
        chunk = max(1, 2 ** 20 // self.means.size)
        for i in range(0, count, chunk):
            indices = np.unravel_index(np.arange(i, min(i + chunk, count)), [len(side) for side in sides])
            yield np.stack([side[index] for side, index in zip(sides, indices)], 1), cell ** self.dimensions

    def expect(self, f, fineness=2):
        """E[f(x)] over the data.  f: (B, D) → (B,).

        By the trapezoid rule on a lattice, which converges exponentially for what is smooth and vanishes
        at the ends.  For D ≤ 3.
        """
        return float(sum((np.exp(self.log_prob(x)) @ f(x)) * cell for x, cell in self._lattice(fineness)))

    def entropy(self, fineness=2):
        """−E[log p(x)] in nats: no model's −ELBO can have a smaller expectation (1.2).  By quadrature."""
        return self.expect(lambda x: -self.log_prob(x), fineness)

    def error(self, schedule, t, fineness=2):
        """E‖x_0 − E[x_0|x_t]‖² = E[tr Cov(x_0|x_t)]: the least squared error at t, an int.

        A closed form for one component; by quadrature over x_t for more, as a sum of positive parts.
        """
        if len(self.weights) == 1:
            return float(self._spread(schedule, self.means, t)[0])
        t = int(schedule.check_t(t))
        return float(sum((np.exp(self.log_q(schedule, x, t)) @ self._spread(schedule, x, t)) * cell
                         for x, cell in self._lattice(fineness, schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t])))

    def optimal_terms(self, schedule, variance="beta", fineness=2, progress=iter):
        """The exact ledger of the optimal denoiser, in expectation over the data: (T + 1,) nats, L_0…L_T.

        For one component a closed form; for more, by quadrature over x_t at each t (`progress` wraps the times).
        """
        error = np.array([np.nan] + [self.error(schedule, t, fineness) for t in progress(range(1, schedule.T + 1))])
        return terms_from_error(schedule, error, np.trace(self.covariance) + self.mean @ self.mean,
                                self.dimensions, variance)


def terms_from_error(schedule, error, square, dimensions, variance="beta"):
    """Every term of the ELBO from one curve, E‖x_0 − x̂_0(x_t)‖²: (…, T + 1) nats, columns L_0…L_T.

    Each L_{t−1} is a KL of two Gaussians whose means differ by the weight of x_0 times x_0 − x̂_0 (Luo
    92–99), so that curve, and E‖x_0‖² for L_T, is all that the bound knows of data and denoiser.
    error: (…, T + 1), column 0 unused; square: (…), E‖x_0‖²; the decoder is the continuous one.
    """
    var, weight_0, beta_tilde = variance_table(schedule, variance)[1:], schedule.weight_0[1:], schedule.beta_tilde[1:]
    error, square = np.asarray(error)[..., 1:], np.asarray(square)
    r = beta_tilde / var
    terms = np.empty(error.shape[:-1] + (schedule.T + 1,))
    with np.errstate(divide="ignore"):  # β̃_1 = 0: that entry is the decoder's, below
        two_variances = dimensions / 2 * (np.expm1(np.log(r)) - np.log(r))
    terms[..., :-1] = two_variances + weight_0 ** 2 * error / (2 * var)
    terms[..., 0] = dimensions / 2 * (LOG_2PI + np.log(var[0])) + error[..., 0] / (2 * var[0])
    alpha_bar, one_minus = schedule.alpha_bar[-1], schedule.one_minus_alpha_bar[-1]
    terms[..., -1] = 0.5 * (alpha_bar * square - dimensions * (alpha_bar + np.log(one_minus)))
    return terms


def optimal_variance(schedule, error, dimensions):
    """The σ_t² that makes each L_{t−1} least: β̃_t + w_0²·E‖x_0 − x̂_0‖²/D (Bao et al. 2022, theorem 1).

    w_0 is the posterior's weight of x_0.  error: (T + 1,), column 0 unused.  Returns (T + 1,).
    """
    return np.append(0.0, (schedule.beta_tilde + schedule.weight_0 ** 2 * np.asarray(error) / dimensions)[1:])


# For Gaussian data ε* is affine in x_t, so the reverse chain is a linear-Gaussian recursion.

def _one_component(data):
    if len(data.weights) != 1:
        raise ValueError(f"data has {len(data.weights)} components: the chain is Gaussian only for one")
    return data.means[0] @ data.axes[0], data.variances[0], data.axes[0]


def gaussian_chain(schedule, data, variance="beta"):
    """Mean (T + 1, D) and covariance (T + 1, D, D) of Algorithm 2's x_t, t = 0…T, led by the exact denoiser.

    data: a `Mixture` of one component.  x_T ~ N(0, I); the last step adds no noise.
    ValueError: more than one component.
    """
    mean, var, axes = _chain_in_axes(schedule, data, variance)
    return mean @ axes.T, np.einsum("id,td,jd->tij", axes, var, axes)


def _chain_in_axes(schedule, data, variance):
    m, s, axes = _one_component(data)
    sigma2 = variance_table(schedule, variance)
    mean, var = np.zeros((schedule.T + 1, len(m))), np.ones((schedule.T + 1, len(m)))
    for t in range(schedule.T, 0, -1):
        # ε* = √(1−ᾱ)·(x − √ᾱ·m)/(ᾱs + 1 − ᾱ), put into Ho 11.
        alpha_bar, one_minus = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
        share = schedule.beta[t] / (alpha_bar * s + one_minus)
        gain = (1 - share) / np.sqrt(schedule.alpha[t])
        mean[t - 1] = gain * mean[t] + share * np.sqrt(alpha_bar / schedule.alpha[t]) * m
        var[t - 1] = gain ** 2 * var[t] + (sigma2[t] if t > 1 else 0)
    return mean, var, axes


def gaussian_log_likelihood(schedule, data, x_0, variance="beta"):
    """log p_θ(x_0) itself, which the ELBO bounds (2.1): (B,) nats, for the exact denoiser of Gaussian data.

    x_0: (B, D).  ValueError: more than one component.
    """
    mean, var, axes = _chain_in_axes(schedule, data, variance)
    var_0 = var[0] + variance_table(schedule, variance)[1]  # the decoder's
    return -0.5 * (LOG_2PI + np.log(var_0) + (x_0 @ axes - mean[0]) ** 2 / var_0).sum(1)


def gaussian_terms(schedule, data, x_0, variance="beta"):
    """The exact ledger of each x_0 for the exact denoiser of Gaussian data: (B, T + 1) nats, L_0…L_T.

    Given x_0 the error x̂_0 − x_0 is Gaussian, with mean (1 − ᾱ)(m − x_0)/(ᾱs + 1 − ᾱ) in each axis.
    x_0: (B, D).  ValueError: more than one component.
    """
    m, s, axes = _one_component(data)
    alpha_bar, one_minus = schedule.alpha_bar[:, None], schedule.one_minus_alpha_bar[:, None]
    with np.errstate(invalid="ignore"):  # t = 0 is unused
        total = alpha_bar * s + one_minus
        pull, spread = one_minus / total, alpha_bar * one_minus * (s / total) ** 2
    error = ((pull * (m - x_0 @ axes)[:, None]) ** 2 + spread).sum(-1)
    return terms_from_error(schedule, error, (x_0 ** 2).sum(1), data.dimensions, variance)


class FiniteData:
    """A data set as a distribution: N points of equal weight.

    Its denoiser is the ideal one of exactly these points: what a network that learned them by heart
    would compute, and so a sampler led by it returns nothing but them.  points: (N, …), N ≥ 1.
    ValueError: points that are none, or not finite.
    """

    def __init__(self, points):
        self.points = np.asarray(points, float)
        if not (self.points.ndim and self.points.size and np.isfinite(self.points).all()):
            raise ValueError(f"points of shape {self.points.shape}: a data set has one finite point or more")
        self._flat = self.points.reshape(len(points), -1)

    def _logits(self, schedule, x_t, t):
        """−‖x_t − √ᾱ_t·x_i‖²/(2(1 − ᾱ_t)), (B, N)."""
        check(x_t.shape[1:] == self.points.shape[1:], "shape of x_t", x_t.shape, f"(B, …) with items like the points', {self.points.shape[1:]}")
        x = x_t.reshape(len(x_t), -1)
        at = schedule.at(t, x)
        signal = np.sqrt(at.alpha_bar)
        square = (x ** 2).sum(1)[:, None] - 2 * signal * (x @ self._flat.T) + at.alpha_bar * (self._flat ** 2).sum(1)
        return -square / (2 * at.one_minus_alpha_bar), at

    def log_q(self, schedule, x_t, t):
        """log q(x_t), (B,) nats.  x_t: (B, …); t: int or (B,) in 1…T: before any noise there is no density."""
        logits, at = self._logits(schedule, x_t, t)
        D = self._flat.shape[1]
        return _logsumexp(logits, 1) - np.log(len(self._flat)) - D / 2 * (LOG_2PI + np.log(np.squeeze(at.one_minus_alpha_bar)))

    def denoiser(self, schedule):
        """ε*(x_t, t) from E[x_0 | x_t], the softmax-weighted mean of the points.  x_t: (B, …)."""
        def exact(x_t, t):
            logits, at = self._logits(schedule, x_t, t)
            x = x_t.reshape(len(x_t), -1)
            eps = (x - np.sqrt(at.alpha_bar) * (_softmax(logits) @ self._flat)) / np.sqrt(at.one_minus_alpha_bar)
            return eps.reshape(x_t.shape).astype(x_t.dtype)
        return exact


def excess(schedule, denoiser, data, rng, variance="beta", n=2000):
    """How far a denoiser's −ELBO lies above the optimal denoiser's, and the standard error, in nats.

    What E[ε | x_t] leaves of ε is uncorrelated with any function of x_t, so E‖ε − ε_θ‖² − E‖ε − ε*‖² =
    E‖ε_θ − ε*‖²: weighted as in the ELBO and summed over t it is the gap, without the noise of either side.
    data: a `Mixture`; n draws of it at each t.  For denoisers that learn no variance.
    """
    best, weights = data.denoiser(schedule), simple_weights(schedule, variance)
    total = np.zeros(n)
    for t in range(1, schedule.T + 1):
        x_0 = data.sample(rng, n)
        x_t = diffuse(schedule, x_0, t, rng.standard_normal(x_0.shape))
        total += weights[t] * ((ask(denoiser, x_t, t)[0] - best(x_t, t)) ** 2).sum(1)
    return mean_and_error(total)
