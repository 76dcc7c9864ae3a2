"""The ELBO: the bound on log p_θ(x_0) that training raises, term by term.

To match the model's distribution with the data's is to maximise E[log p_θ(x_0)] (1.2).  That integral
over all x_1…x_T is out of reach, but any distribution over them, and so q, bounds it from below (2.2).
Both sides of it are products over the steps, p_θ(x_{0:T}) = p(x_T)·∏ p_θ(x_{t−1}|x_t) (Ho 1) and
q(x_{1:T}|x_0) = ∏ q(x_t|x_{t−1}) (Ho 2), but they run in opposite directions.  For t ≥ 2 Bayes' rule turns a
step of q round, q(x_t|x_{t−1}) = q(x_{t−1}|x_t, x_0)·q(x_t|x_0)/q(x_{t−1}|x_0), and the product of these
fractions telescopes: q(x_{1:T}|x_0) = q(x_T|x_0)·∏_{t≥2} q(x_{t−1}|x_t, x_0).  Now each factor of p_θ has its
partner in q, but for p_θ(x_0|x_1); and so the bound has three kinds of term (Luo 46–58):

    −ELBO  =      L_T        +     Σ_{t=2}^{T} L_{t−1}        +      L_0
             prior matching       denoising matching          reconstruction
             KL(q(x_T|x_0)        KL(q(x_{t−1}|x_t,x_0)       −log p_θ(x_0|x_1)
              ‖ N(0, I))           ‖ p_θ(x_{t−1}|x_t))

each averaged over the x_t in it, x_t ~ q(x_t|x_0) (Ho 5), for which one draw will do.

L_T has no parameters.  With the variances fixed, each L_{t−1} is ‖μ̃_t − μ_θ‖²/(2σ_t²) plus a constant (Ho 8).
Both means are (x_t − β_t/√(1 − ᾱ_t)·noise)/√α_t (Ho 11), one with the true ε, one with the guess ε_θ.  In their
difference x_t cancels, and β_t²/(2σ_t²·α_t(1 − ᾱ_t))·‖ε − ε_θ‖² is left (Ho 12); L_0 of a density has the same
form, as μ̃_1 = x_0.  So training comes down to *predicting the noise*.

Terms are in nats per item, and the index k of a table of terms is that of its name: column 0 is L_0,
column t − 1 is L_{t−1}, column T is L_T.
"""
import warnings
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy
from autograd.tracer import getval

from . import forward, reverse
from .gaussian import Gaussian, check, standard_normal, standard_normal_like, sum_over_dimensions
from .schedule import like


def prior_term(schedule, x_0):
    """L_T = KL(q(x_T | x_0) ‖ N(0, I)): what is left of x_0 at the end, (B,) nats (Ho 5)."""
    return forward.marginal(schedule, x_0, schedule.T).kl(standard_normal_like(x_0))


def step_term(schedule, denoiser, x_0, t, eps, variance="beta", decoder=Gaussian.log_prob):
    """L_{t−1} seen through one draw x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, (B,) nats (Ho 5, Luo 58).

    For t ≥ 2 the KL of the posterior from the model's step; for t = 1, where the posterior is the
    point x_0 itself, −log p_θ(x_0 | x_1).  Differentiable in whatever the denoiser is made of.
    x_0, eps: (B, …); t: int or (B,) in 1…T.  decoder: what p_θ(x_0 | x_1) says of x_0, `Gaussian.log_prob`
    for real-valued data (a density), `Gaussian.level_log_prob` for 256 levels (a probability).
    """
    x_t = forward.diffuse(schedule, x_0, t, eps)
    p = reverse.step(schedule, reverse.predict(schedule, denoiser, x_t, t), variance)
    return _term(schedule, p, x_0, x_t, t, decoder)


def _term(schedule, p, x_0, x_t, t, decoder):
    """L_{t−1} of a given model step p = p_θ(x_{t−1} | x_t)."""
    if numpy.ndim(t) == 0:
        return -decoder(p, x_0) if t == 1 else forward.posterior(schedule, x_t, x_0, t).kl(p)
    q, first = forward.posterior(schedule, x_t, x_0, t), numpy.asarray(t) == 1
    if not first.any():
        return q.kl(p)
    # The KL from a point mass is infinite, and np.where would still send its gradient: q := p there.
    column = first.reshape(first.shape + (1,) * (x_0.ndim - 1))
    q = Gaussian(np.where(column, p.mean, q.mean), np.where(column, p.var, q.var))
    return np.where(first, -decoder(p, x_0), q.kl(p))


def simple_weights(schedule, variance="beta"):
    """The weight of ‖ε − ε_θ‖² in each L_{t−1}, β_t²/(2σ_t²·α_t(1 − ᾱ_t)), (T + 1,): L_simple drops it (Ho 12 and 14).

    Entry t belongs to L_{t−1}; entry 0 is unused (zero).  Σ_t weight_t·E‖ε − ε_θ‖² is −ELBO up to a constant, L_T and
    what the fixed variances cost, where the decoder is a density.  variance: as in `reverse.variance_table`.
    """
    var = reverse.variance_table(schedule, variance)
    beta, alpha, one_minus = schedule.beta, schedule.alpha, schedule.one_minus_alpha_bar
    return numpy.append(0.0, beta[1:] ** 2 / (2 * var[1:] * alpha[1:] * one_minus[1:]))


# The training losses, each a number: the mean over the batch, per dimension, with t drawn uniformly.

def simple_loss(schedule, denoiser, x_0, t, eps):
    """L_simple = E‖ε − ε_θ(x_t, t)‖², per dimension (Ho 14): one for a network that says zero.

    At each t it is least for ε_θ = E[ε | x_t], and so is L_{t−1}.  Its weights, which on the usual schedules are largest
    at small t, are set to one: so more is asked of the guess at large t, where it is hard (Ho §3.4).
    """
    eps_hat, _ = reverse.ask(denoiser, forward.diffuse(schedule, x_0, t, eps), t)
    return np.mean((eps - eps_hat) ** 2)


def v_loss(schedule, denoiser, x_0, t, eps):
    """E‖v − v_θ(x_t, t)‖² = E‖ε − ε_θ‖²/ᾱ_t, per dimension (Salimans & Ho 2022, §4: "SNR + 1 weighting").

    In x̂_0 it weighs SNR + 1 where L_simple weighs SNR: where noise is all one sees, it still asks for the
    image as a whole.
    """
    eps_hat, _ = reverse.ask(denoiser, forward.diffuse(schedule, x_0, t, eps), t)
    return np.mean((eps - eps_hat) ** 2 / like(x_0, schedule.at(t, x_0).alpha_bar))


def vlb_loss(schedule, denoiser, x_0, t, eps, variance="beta", decoder=Gaussian.log_prob):
    """L_vlb = T·E_t[L_{t−1}], per dimension: −ELBO itself, but for the constant L_T (Improved DDPM eq 4)."""
    terms = step_term(schedule, denoiser, x_0, t, eps, variance, decoder)
    return schedule.T * np.mean(terms) / _dimensions(x_0)


def hybrid_loss(schedule, denoiser, x_0, t, eps, decoder=Gaussian.log_prob, weight=0.001):
    """L_simple + 0.001·L_vlb for a denoiser that learns its variance (Improved DDPM eq 16).

    L_vlb sees the mean as a constant: it teaches the variance alone, and L_simple the mean alone.
    """
    x_t = forward.diffuse(schedule, x_0, t, eps)
    eps_hat, v = reverse.ask(denoiser, x_t, t)

    def frozen_mean(x_t, t):
        return getval(eps_hat), v
    return np.mean((eps - eps_hat) ** 2) + weight * vlb_loss(schedule, frozen_mean, x_0, t, eps, "learned", decoder)


def _dimensions(x):
    """D, the number of data dimensions of (B, …)."""
    return int(numpy.prod(x.shape[1:]))


class Ledger(NamedTuple):
    """Where the nats go.  terms: (N, T + 1), item by item, columns L_0, L_1 … L_T.

    distortion: (N, T + 1), ‖x_0 − x̂_0(x_t)‖² at each t (column 0 is zero).  dimensions: D.
    """

    terms: Any
    distortion: Any
    dimensions: int

    @property
    def elbo(self):
        """(mean, standard error) of the ELBO in nats per item."""
        return mean_and_error(-self.terms.sum(1))

    def parts(self):
        """{"L_T", "sum L_{t-1}", "L_0", "total"}: (mean, standard error) in nats per item; T = 1 has no middle."""
        return {"L_T": mean_and_error(self.terms[:, -1]), "sum L_{t-1}": mean_and_error(self.terms[:, 1:-1].sum(1)),
                "L_0": mean_and_error(self.terms[:, 0]), "total": mean_and_error(self.terms.sum(1))}

    def per_t(self):
        """(mean, standard error), each (T + 1,): every term by itself, in nats per item."""
        return mean_and_error(self.terms)

    def bits_per_dim(self, nats):
        """Nats per item → bits per dimension."""
        return bits_per_dim(nats, self.dimensions)

    def rate_distortion(self):
        """Progressive coding (Ho §4.3, figure 5): rate and distortion, each (T + 1,).

        Entry t: the rate, L_T + … + L_t in bits per dimension, sent by the time the receiver holds x_t; and
        the distortion, the root mean square per dimension of x_0 − x̂_0(x_t).  Entry 0: the whole −ELBO,
        and no distortion.  Only for 256-level data are these bits that could be sent.
        """
        rate = numpy.cumsum(self.terms.mean(0)[::-1])[::-1]
        return self.bits_per_dim(rate), numpy.sqrt(self.distortion.mean(0) / self.dimensions)


def bits_per_dim(nats, dimensions):
    """nats/(D·ln 2): a −ELBO of 256-level data in bits per dimension; 8 for a uniform guess."""
    check(dimensions > 0, "dimensions", dimensions, "D is 1 or more")
    return nats / (dimensions * numpy.log(2))


def mean_and_error(values):
    """Mean over the first axis and its standard error; the items are independent draws."""
    n = len(values)
    return values.mean(0), values.std(0, ddof=1) / numpy.sqrt(n) if n > 1 else numpy.full(values.shape[1:], numpy.nan)


def ledger(schedule, denoiser, x_0, rng, variance="beta", decoder=Gaussian.log_prob, clip=None, batch=256,
           progress=iter):
    """The ELBO of each item, every one of its T + 1 terms a number (2.2, Luo 58): a `Ledger`.

    One fresh ε for each item at each t; T network calls for every `batch` items.  The standard errors
    are over items, so they cover both the choice of items and the noise.
    x_0: (N, …) of floats; variance as in `reverse.step`, decoder as in `step_term`; clip as in
    `reverse.predict`: the bound is then that of the model with x̂_0 clipped.  progress: wraps the list of
    times, as tqdm does.  Warns when L_T is not small: the chain then starts where training never was.
    """
    T, N = schedule.T, len(x_0)
    check(N and x_0.ndim > 1 and numpy.isfinite(x_0).all(), "shape of x_0", x_0.shape, "(N, …), N >= 1, finite numbers only")
    check(batch >= 1, "batch", batch, "1 item or more at a time")
    terms, distortion = numpy.zeros((N, T + 1)), numpy.zeros((N, T + 1))
    terms[:, T] = prior_term(schedule, x_0)
    for t in progress(range(1, T + 1)):
        for rows in (slice(i, i + batch) for i in range(0, N, batch)):
            data = x_0[rows]
            x_t = forward.diffuse(schedule, data, t, standard_normal(rng, data))
            prediction = reverse.predict(schedule, denoiser, x_t, t, clip)
            p = reverse.step(schedule, prediction, variance)
            terms[rows, t - 1] = _term(schedule, p, data, x_t, t, decoder)
            distortion[rows, t] = sum_over_dimensions((data - prediction.x_0) ** 2)
    result = Ledger(terms, distortion, _dimensions(x_0))
    left = result.bits_per_dim(terms[:, T].mean())
    if left > 0.01:
        warnings.warn(f"L_T = {left:.3g} bits/dim is not small: alpha_bar_T = {schedule.alpha_bar[T]:.3g} leaves a trace of "
                      f"x_0 in x_T, while sampling starts from N(0, I); use a schedule with more noise", stacklevel=2)
    return result


def first_form_terms(schedule, denoiser, x_0, rng, variance="beta", decoder=Gaussian.log_prob):
    """−ELBO in its first form (Luo 44), on one path x_1…x_T an item: (N, T + 1) nats.

    Column 0: −log p_θ(x_0|x_1); column t: log q(x_t|x_{t−1}) − log p_θ(x_t|x_{t+1}); column T:
    log q(x_T|x_{T−1}) − log p(x_T).  Same expectation as the ledger's total, and each column far noisier:
    it compares two densities at one point, where the ledger has their whole KL.  Only in the sum over one
    path does the noise cancel; for the exact reverse process, all of it.  Columns 1…T − 1 are no KLs, not even
    on average (Luo 45 writes them so, but under q, x_t and x_{t+1} are not independent given x_{t−1}).
    """
    T = schedule.T
    terms = numpy.zeros((len(x_0), T + 1))
    x_prev = x_0
    for t in range(1, T + 1):
        q = forward.step(schedule, x_prev, t)
        x_t = q.sample(standard_normal(rng, x_0))
        p = reverse.step(schedule, reverse.predict(schedule, denoiser, x_t, t), variance)
        terms[:, t - 1] -= decoder(p, x_prev) if t == 1 else p.log_prob(x_prev)
        terms[:, t] = q.log_prob(x_t)
        x_prev = x_t
    terms[:, T] -= standard_normal_like(x_0).log_prob(x_prev)
    return terms
