"""Exact answers: data for which density, denoiser and ELBO terms can be computed.

If the data are a Gaussian, a mixture of Gaussians or a finite set of points, the noised data q(x_t)
are a mixture of Gaussians.  So its density is known, and with it the score ∇ log q(x_t), and the
denoiser of least squared error,
    ε*(x_t, t) = E[ε | x_t] = −√(1 − ᾱ_t)·∇ log q(x_t)      (Luo 133 and 151; Tweedie's formula).
Luo writes x_0 and ε where their means given x_t, E[x_0 | x_t] and E[ε | x_t], are meant.
It follows from q(x_t) = ∫ q(x_t | x_0)·q(x_0) dx_0: dividing its gradient by q(x_t) gives
∇ log q(x_t) = E[∇ log q(x_t | x_0) | x_t], and ∇ log q(x_t | x_0) = −ε/√(1 − ᾱ_t).  So the least
possible loss is known, and a network, a sampler or an ELBO can be compared with it.

The arrays of mixtures are (B, D), and all sums here are float64.
"""
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .checks import check, check_generator
from .elbo import mean_and_error, simple_weights
from .forward import diffuse
from .gaussian import LOG_2PI, Array
from .reverse import Denoiser, evaluate, fixed_variance
from .schedule import Schedule

Progress = Callable[[Iterable], Iterable]


def _logsumexp(x: Array, axis: int) -> Array:
    largest = x.max(axis, keepdims=True)
    return np.squeeze(largest, axis) + np.log(np.exp(x - largest).sum(axis))


def softmax(logits: Array, axis: int = 1) -> Array:
    """exp(logits), divided by their sum along the axis."""
    weights = np.exp(logits - logits.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


class Mixture:
    """Σ_k π_k·N(m_k, S_k) in D dimensions; one component is a Gaussian.

    weights: (K,), positive, scaled to sum to one; means: (K, D); covariances: (K, D, D), symmetric,
    positive semidefinite.  ValueError: anything else.  Computations use the eigenvectors of S_k as
    axes: there the covariance is diagonal, with noise added, too.

    dimensions       D
    variances, axes  (K, D) and (K, D, D): eigenvalues, and eigenvectors as columns
    """

    def __init__(self, weights: Any, means: Any, covariances: Any):
        weights, self.means = np.asarray(weights, float), np.asarray(means, float)
        covariances = np.asarray(covariances, float)
        K, D = self.means.shape if self.means.ndim == 2 else (0, 0)
        if not (K and weights.shape == (K,) and covariances.shape == (K, D, D)):
            raise ValueError(f"weights {weights.shape}, means {self.means.shape} and covariances "
                             f"{covariances.shape} are not (K,), (K, D) and (K, D, D)")
        if not (np.isfinite(self.means).all() and np.isfinite(covariances).all()):
            raise ValueError("means or covariances hold a NaN or an infinity: "
                             "all their numbers are finite")
        variances, self.axes = np.linalg.eigh(covariances)
        symmetric = np.allclose(covariances, covariances.swapaxes(1, 2))
        if not ((weights > 0).all() and (variances > -1e-12).all() and symmetric):
            raise ValueError("weights must be positive and covariances symmetric "
                             "with no negative eigenvalue")
        self.weights = weights / weights.sum()
        self.variances = np.maximum(variances, 0)
        self.dimensions = D

    @property
    def covariances(self) -> Array:
        """(K, D, D)."""
        return np.einsum("kid,kd,kjd->kij", self.axes, self.variances, self.axes)

    @property
    def mean(self) -> Array:
        """E[x], (D,)."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Array:
        """Cov(x), (D, D): the mean of the components' covariances plus that of their means."""
        offsets = self.means - self.mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return within + (self.weights * offsets.T) @ offsets

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """n draws, (n, D)."""
        check_generator(rng)
        k = rng.choice(len(self.weights), size=n, p=self.weights)
        noise = np.sqrt(self.variances[k]) * rng.standard_normal((n, self.dimensions))
        return self.means[k] + np.einsum("nij,nj->ni", self.axes[k], noise)

    def _components(self, x: Array, alpha_bar: Any = 1.0, one_minus: Any = 0.0) -> tuple:
        """x − √ᾱ_t·m_k in the axes of each component, its variances, and the log joint.

        (B, K, D), (…, K, D), and (B, K): log π_k + log N(x; √ᾱ_t·m_k, ᾱ_t·S_k + (1 − ᾱ_t)·I).
        alpha_bar, one_minus: ᾱ_t and 1 − ᾱ_t, each () or (B, 1).
        """
        check(np.shape(x)[1:] == (self.dimensions,), "shape of x", np.shape(x),
              f"(B, {self.dimensions})")
        alpha_bar = np.asarray(alpha_bar)[..., None]
        one_minus = np.asarray(one_minus)[..., None]
        centred = x[:, None] - np.sqrt(alpha_bar) * self.means
        offset = np.einsum("bkd,kde->bke", centred, self.axes)
        var = alpha_bar * self.variances + one_minus
        log_densities = -0.5 * (LOG_2PI + np.log(var) + offset ** 2 / var).sum(-1)
        return offset, var, np.log(self.weights) + log_densities

    def log_prob(self, x: Array) -> Array:
        """log of the data's density, (B,) nats.  x: (B, D).

        ValueError: a component whose variance is 0 along an axis; it has no density.
        """
        self._check_has_density()
        _, _, log_joint = self._components(x)
        return _logsumexp(log_joint, 1)

    def _check_has_density(self) -> None:
        if not self.variances.all():
            raise ValueError("a component has a variance of 0 along one of its axes: "
                             "before noise is added it has no density")

    def log_q(self, schedule: Schedule, x_t: Array, t: int | Array) -> Array:
        """log q(x_t), the density of the noised data, (B,) nats.  x_t: (B, D); t in 1…T."""
        at = schedule.coefficients_at(t, x_t)
        _, _, log_joint = self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)
        return _logsumexp(log_joint, 1)

    def denoiser(self, schedule: Schedule) -> Denoiser:
        """ε*(x_t, t) = E[ε | x_t] = −√(1 − ᾱ_t)·∇ log q(x_t), the denoiser of least error.

        x_t: (B, D); t: int or (B,).  The equation is Tweedie's formula (Luo 133 and 151), derived
        at the top of this file; it holds for the marginal q(x_t), not for q(x_t | x_0).
        The score of q(x_t) is the average of its components' scores, weighted by the probability
        that x_t comes from the component; in a component's own axes its score is −offset/var.
        """
        def exact(x_t: Array, t: int | Array) -> Array:
            at = schedule.coefficients_at(t, x_t)
            offset, var, log_joint = self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)
            probability = softmax(log_joint)
            # Σ_k P(k | x_t)·A_k·(offset_k/var_k), with the axes A_k of component k
            minus_score = np.einsum("bk,bkd,ked->be", probability, offset / var, self.axes)
            eps = np.sqrt(at.one_minus_alpha_bar) * minus_score
            return eps.astype(x_t.dtype)
        return exact

    def _posterior_variance(self, schedule: Schedule, x_t: Array, t: int | Array) -> Array:
        """tr Cov(x_0 | x_t), (B,): averaged over the components x_t may come from, plus their
        means'."""
        at = schedule.coefficients_at(t, x_t)
        offset, var, log_joint = self._components(x_t, at.alpha_bar, at.one_minus_alpha_bar)
        probability = softmax(log_joint)
        gain = np.sqrt(at.alpha_bar)[..., None] * self.variances / var
        means = self.means + np.einsum("bkd,ked->bke", gain * offset, self.axes)  # E[x_0 | x_t, k]
        within = (self.variances * np.asarray(at.one_minus_alpha_bar)[..., None] / var).sum(-1)
        between = means - np.einsum("bk,bkd->bd", probability, means)[:, None]
        return (probability * (within + (between ** 2).sum(-1))).sum(1)

    def _lattice(self, fineness: int, alpha_bar: float = 1.0,
                 one_minus: float = 0.0) -> Iterator[tuple]:
        """A lattice that covers q(x_t) up to 1e-18 of it: yields (points, volume of a cell).

        fineness: points per smallest standard deviation.
        """
        var = alpha_bar * self.variances + one_minus
        half_width = 9 * np.sqrt(np.einsum("kid,kd->ki", self.axes ** 2, var))
        centres = np.sqrt(alpha_bar) * self.means
        spacing = np.sqrt(var.min()) / fineness
        lows, highs = (centres - half_width).min(0), (centres + half_width).max(0)
        sides = [np.arange(low, high + spacing, spacing) for low, high in zip(lows, highs)]
        lengths = [len(side) for side in sides]
        count = math.prod(lengths)
        if count > 2e7:
            raise ValueError(f"a lattice of {count:.1g} points is too large: use fewer dimensions, "
                             f"or variances of similar size")
        chunk = max(1, 2 ** 20 // self.means.size)
        for i in range(0, count, chunk):
            indices = np.unravel_index(np.arange(i, min(i + chunk, count)), lengths)
            points = np.stack([side[index] for side, index in zip(sides, indices)], 1)
            yield points, spacing ** self.dimensions

    def expect(self, f: Callable[[Array], Array], fineness: int = 2) -> float:
        """E[f(x)] over the data.  f: (B, D) → (B,).  For D ≤ 3.

        By the trapezoid rule on a lattice; the error falls like exp(−2π²·fineness²) if f is smooth.
        ValueError: a component whose variance is 0 along an axis.
        """
        self._check_has_density()
        total = 0.0
        for x, cell in self._lattice(fineness):
            total += (np.exp(self.log_prob(x)) @ f(x)) * cell
        return float(total)

    def entropy(self, fineness: int = 2) -> float:
        """−E[log p(x)] in nats: a lower bound on the expected −ELBO (1.1, 1.2)."""
        return self.expect(lambda x: -self.log_prob(x), fineness)

    def error(self, schedule: Schedule, t: int, fineness: int = 2) -> float:
        """E‖x_0 − E[x_0 | x_t]‖² = E[tr Cov(x_0 | x_t)]: the least squared error at t.

        A closed form for one component; for more, by quadrature over x_t.
        """
        if len(self.weights) == 1:
            return float(self._posterior_variance(schedule, self.means, t)[0])
        t = int(schedule.check_t(t))
        lattice = self._lattice(fineness, schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t])
        total = 0.0
        for x, cell in lattice:
            density = np.exp(self.log_q(schedule, x, t))
            total += (density @ self._posterior_variance(schedule, x, t)) * cell
        return float(total)

    def optimal_terms(self, schedule: Schedule, variance: Any = "beta", fineness: int = 2,
                      progress: Progress = iter) -> Array:
        """The exact ledger of the optimal denoiser, averaged over the data: (T + 1,) nats, L_0…L_T.

        progress: wraps the list of times, as tqdm does.
        """
        times = progress(range(1, schedule.T + 1))
        error = np.array([np.nan] + [self.error(schedule, t, fineness) for t in times])
        square = np.trace(self.covariance) + self.mean @ self.mean
        return terms_from_error(schedule, error, square, self.dimensions, variance)


def terms_from_error(schedule: Schedule, error: Any, square: Any, dimensions: int,
                     variance: Any = "beta") -> Array:
    """Every term of the ELBO from the squared error at each t: (…, T + 1) nats (Luo 92–99).

    Each L_{t−1} is the KL of two Gaussians whose means differ by coef_x_0·(x_0 − x̂_0).  So, if the
    decoder is a density, the terms need only E‖x_0 − x̂_0(x_t)‖² at each t, and E‖x_0‖² for L_T.
    error: (…, T + 1), column 0 unused; square: (…), E‖x_0‖².
    """
    table = fixed_variance(schedule, variance)
    var, coef_x_0 = table[1:], schedule.coef_x_0[1:]
    error, square = np.asarray(error)[..., 1:], np.asarray(square)
    r = schedule.beta_tilde[1:] / var
    terms = np.empty(error.shape[:-1] + (schedule.T + 1,))
    with np.errstate(divide="ignore"):  # β̃_1 = 0: that entry is overwritten by the decoder's
        equal_means = dimensions / 2 * (np.expm1(np.log(r)) - np.log(r))
    terms[..., :-1] = equal_means + coef_x_0 ** 2 * error / (2 * var)
    terms[..., 0] = dimensions / 2 * (LOG_2PI + np.log(var[0])) + error[..., 0] / (2 * var[0])
    alpha_bar, one_minus = schedule.alpha_bar[-1], schedule.one_minus_alpha_bar[-1]
    terms[..., -1] = 0.5 * (alpha_bar * square - dimensions * (alpha_bar + np.log(one_minus)))
    return terms


def optimal_variance(schedule: Schedule, error: Any, dimensions: int) -> Array:
    """The σ_t² that minimises each L_{t−1}, and L_0 if the decoder is a density.

    σ_t² = β̃_t + coef_x_0²·E‖x_0 − x̂_0‖²/D: one number for each t, for all coordinates and x_t.
    With x̂_0 = E[x_0 | x_t] it is theorem 1 of Bao et al. 2022 (arXiv 2201.06503); for other x̂_0,
    and for a σ_t² of each coordinate, see Bao et al. 2022b (arXiv 2206.07309).
    error: (T + 1,), E‖x_0 − x̂_0‖², column 0 unused.  Returns (T + 1,), entry 0 unused.
    """
    var = schedule.beta_tilde + schedule.coef_x_0 ** 2 * np.asarray(error) / dimensions
    return np.append(0.0, var[1:])


class FiniteData:
    """A data set as a distribution: N points of equal probability.

    Its denoiser is what a network that had memorised exactly these points would compute.  A sampler
    that uses it returns one of these points, if the noise of x_1 is small compared with the
    distances between them.  points: (N, …), N ≥ 1.
    ValueError: no points, or numbers that are not finite.
    """

    def __init__(self, points: Any):
        self.points = np.asarray(points, float)
        if not (self.points.ndim and self.points.size and np.isfinite(self.points).all()):
            raise ValueError(f"points of shape {self.points.shape}: "
                             f"a data set has one finite point or more")
        self._flat = self.points.reshape(len(points), -1)

    def _logits(self, schedule: Schedule, x_t: Array, t: int | Array) -> tuple:
        """−‖x_t − √ᾱ_t·x_i‖²/(2(1 − ᾱ_t)), (B, N), and the schedule's entries at t."""
        item = self.points.shape[1:]
        check(x_t.shape[1:] == item, "shape of x_t", x_t.shape,
              f"(B, …) with items like the points', {item}")
        x = x_t.reshape(len(x_t), -1)
        at = schedule.coefficients_at(t, x)
        signal = np.sqrt(at.alpha_bar)
        product = 2 * signal * (x @ self._flat.T)
        square = (x ** 2).sum(1)[:, None] - product + at.alpha_bar * (self._flat ** 2).sum(1)
        return -square / (2 * at.one_minus_alpha_bar), at

    def log_q(self, schedule: Schedule, x_t: Array, t: int | Array) -> Array:
        """log q(x_t), (B,) nats.  x_t: (B, …); t: int or (B,) in 1…T."""
        logits, at = self._logits(schedule, x_t, t)
        N, D = self._flat.shape
        log_var = np.log(np.squeeze(at.one_minus_alpha_bar))
        return _logsumexp(logits, 1) - np.log(N) - D / 2 * (LOG_2PI + log_var)

    def denoiser(self, schedule: Schedule) -> Denoiser:
        """ε*(x_t, t) from E[x_0 | x_t], the points weighted by their probability."""
        def exact(x_t: Array, t: int | Array) -> Array:
            logits, at = self._logits(schedule, x_t, t)
            x = x_t.reshape(len(x_t), -1)
            x_0 = softmax(logits) @ self._flat
            eps = (x - np.sqrt(at.alpha_bar) * x_0) / np.sqrt(at.one_minus_alpha_bar)
            return eps.reshape(x_t.shape).astype(x_t.dtype)
        return exact


def excess(schedule: Schedule, denoiser: Denoiser, data: Mixture, rng: np.random.Generator,
           variance: Any = "beta", n: int = 2000) -> tuple:
    """How much larger a denoiser's −ELBO is than the optimal one's: (mean, standard error) in nats.

    ε − E[ε | x_t] is uncorrelated with every function of x_t, so
        E‖ε − ε_θ‖² − E‖ε − ε*‖² = E‖ε_θ − ε*‖².
    The right side is estimated, weighted as in the ELBO and summed over t; it is less noisy than
    the difference on the left.
    data: a `Mixture`; n draws from it at each t.  For a fixed variance, and a density as decoder.
    """
    best, weights = data.denoiser(schedule), simple_weights(schedule, variance)
    total = np.zeros(n)
    for t in range(1, schedule.T + 1):
        x_0 = data.sample(rng, n)
        x_t = diffuse(schedule, x_0, t, rng.standard_normal(x_0.shape))
        difference = evaluate(denoiser, x_t, t)[0] - best(x_t, t)
        total += weights[t] * (difference ** 2).sum(1)
    return mean_and_error(total)
