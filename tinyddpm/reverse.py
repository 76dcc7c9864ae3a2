"""The reverse process p_θ: from pure noise back to data, one learned Gaussian step at a time.

If we knew x_0, the posterior q(x_{t−1} | x_t, x_0) would take us one step back.  We don't, and without x_0
the step back is a mixture of such posteriors, one for every x_0 there might have been.  For small β_t that is close
to one Gaussian (Ho §2); p_θ is that Gaussian, the posterior of a guessed x_0, and a network guesses.  Because
x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε and x_t is known, guessing x_0, the noise ε, the score or v (below) are the same
guess; DDPM's choice is ε, which is of the same size at every t.

A *denoiser* is any function (x_t, t) → ε̂ of the shape of x_t: a network with its weights, an exact
oracle, or your own.  One that learns its variance returns the pair (ε̂, v), where v says how far σ_t² lies from
β̃_t towards β_t (in `learned_variance`; not the v that stands for a guess).  t is an int while sampling and (B,)
in training.
"""
from collections import deque
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy
from autograd.tracer import getval

from .forward import posterior
from .gaussian import Gaussian, check, check_finite, check_same_shape, standard_normal
from .schedule import like


# Four names for one guess: each converts given x_t.  x_t and its companion: (B, …); t: int or (B,)
# in 1…T.  ValueError: t outside 1…T, shapes that differ.

def _signal_and_noise(schedule, x_t, t):
    at = schedule.at(t, x_t)
    return like(x_t, np.sqrt(at.alpha_bar), np.sqrt(at.one_minus_alpha_bar))


def x_0_from_eps(schedule, x_t, eps, t):
    """x_0 = (x_t − √(1 − ᾱ_t)·ε)/√ᾱ_t: the draw, solved for x_0 (Ho 15)."""
    check_same_shape(x_t=x_t, eps=eps)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (x_t - noise * eps) / signal


def eps_from_x_0(schedule, x_t, x_0, t):
    """ε = (x_t − √ᾱ_t·x_0)/√(1 − ᾱ_t): the draw, solved for ε."""
    check_same_shape(x_t=x_t, x_0=x_0)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (x_t - signal * x_0) / noise


def v_from_eps(schedule, x_t, eps, t):
    """v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0, so (x_t, v) is (x_0, ε) turned by an angle (Salimans & Ho 2022, §4)."""
    check_same_shape(x_t=x_t, eps=eps)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (eps - noise * x_t) / signal


def eps_from_v(schedule, x_t, v, t):
    """ε = √ᾱ_t·v + √(1 − ᾱ_t)·x_t: the same turn, backwards."""
    check_same_shape(x_t=x_t, v=v)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return signal * v + noise * x_t


def score_from_eps(schedule, x_t, eps, t):
    """∇ log q(x_t | x_0) = −ε/√(1 − ᾱ_t): the score points against the noise (Luo 151)."""
    check_same_shape(x_t=x_t, eps=eps)
    _, noise = _signal_and_noise(schedule, x_t, t)
    return -eps / noise


def eps_from_score(schedule, x_t, score, t):
    """ε = −√(1 − ᾱ_t)·score."""
    check_same_shape(x_t=x_t, score=score)
    _, noise = _signal_and_noise(schedule, x_t, t)
    return -noise * score


TO_EPS = {"eps": lambda schedule, x_t, eps, t: eps, "x_0": eps_from_x_0, "v": eps_from_v, "score": eps_from_score}


def as_denoiser(schedule, predictor, predicts="eps"):
    """Turn a function (x_t, t) → x̂_0, v̂ or a score into a denoiser, (x_t, t) → ε̂.

    predicts: "eps", "x_0", "v" or "score".  A predictor that learns its variance returns a pair, and
    only the first of the pair is converted.  ValueError: any other `predicts`.
    """
    check(predicts in tuple(TO_EPS), "predicts", repr(predicts), f"a network predicts one of {', '.join(TO_EPS)}")

    def denoiser(x_t, t):
        output = predictor(x_t, t)
        if isinstance(output, tuple):
            return TO_EPS[predicts](schedule, x_t, output[0], t), output[1]
        return TO_EPS[predicts](schedule, x_t, output, t)
    return denoiser


def mean_from_eps(schedule, x_t, eps, t):
    """μ_θ = (x_t − β_t/√(1 − ᾱ_t)·ε)/√α_t (Ho 11): take out the share of the noise this step added.

    It is the posterior's mean with x_0 replaced by what ε says of it, (x_t − √(1 − ᾱ_t)·ε)/√ᾱ_t (5.1, Luo 125);
    x_t then has the weight 1/√α_t in all, because β_t + α_t(1 − ᾱ_{t−1}) = 1 − ᾱ_t.
    x_t, eps: (B, …); t: int or (B,) in 1…T.  ValueError: t outside 1…T, shapes that differ.
    """
    check_same_shape(x_t=x_t, eps=eps)
    at = schedule.at(t, x_t)
    noise_share, scale = like(x_t, at.beta / np.sqrt(at.one_minus_alpha_bar), np.sqrt(at.alpha))
    return (x_t - noise_share * eps) / scale


def mean_from_x_0(schedule, x_t, x_0, t):
    """μ̃_t(x_t, x̂_0): the posterior's mean for a guessed x_0 (Luo 84).  Arguments as in `posterior`."""
    return posterior(schedule, x_t, x_0, t).mean


def variance_table(schedule, variance="beta"):
    """σ_t² of p_θ(x_{t−1} | x_t) where it is not learned, (T + 1,); entry 0 is unused.

    variance: "beta"        β_t, right for x_0 ~ N(0, I) (Ho §3.2)
              "beta_tilde"  β̃_t, right for a single point x_0 (Ho §3.2); β_1 at t = 1
              an array      (T + 1,): σ_t² itself
    β̃_1 = 0 is no variance to decode x_0 with, and Algorithm 2 adds no noise at t = 1 whatever σ_1² is: so
    σ_1² is the decoder's alone.  ValueError: anything else, and a σ_t² that is not positive.
    """
    if isinstance(variance, str):
        if variance == "beta":
            return schedule.beta
        if variance == "beta_tilde":
            return numpy.concatenate([schedule.beta[:2], schedule.beta_tilde[2:]])
        raise ValueError(f"variance = {variance!r}: a fixed one is beta, beta_tilde, or an array of T + 1 numbers")
    table = numpy.asarray(variance, float)
    check(table.shape == (schedule.T + 1,), "shape of variance", table.shape, f"(T + 1,) = ({schedule.T + 1},), one for each t")
    if not (table[1:] > 0).all() or not numpy.isfinite(table[1:]).all():
        t = 1 + int(numpy.argmin((table[1:] > 0) & numpy.isfinite(table[1:])))
        raise ValueError(f"variance[{t}] = {table[t]:g}: a variance is positive and finite")
    return table


def learned_variance(schedule, x_t, t, v):
    """exp(v·log β_t + (1 − v)·log β̃_t): for v in 0…1 a variance between the two extremes (Improved DDPM eq 15).

    v: the shape of x_t, from the network, which nothing keeps within 0…1; far outside, the variance leaves what x_t's
    dtype can hold.  β̃_1 = 0 has no logarithm; as in Improved DDPM, β̃_2 stands in.
    """
    check_same_shape(x_t=x_t, v=v)
    log_beta, log_smallest = like(x_t, *_log_extremes(schedule, x_t, t))
    return np.exp(v * log_beta + (1 - v) * log_smallest)


def _log_extremes(schedule, x, t):
    """log β_t and log β̃_t, to broadcast against x; for t = 1 log β̃_2."""
    beta = schedule.at(t, x).beta
    smallest = schedule.beta_tilde.copy()
    smallest[1] = schedule.beta_tilde[2] if schedule.T > 1 else schedule.beta[1]
    return np.log(beta), np.log(smallest[t]).reshape(np.shape(beta))


def v_from_spread(schedule, spread, t):
    """The v of the exact step back, for a denoiser that knows how sure its guess is.

    x_{t−1} is drawn about a mean that is affine in x_0, and x_0 itself is uncertain: by the law of total variance
    Var(x_{t−1} | x_t) = β̃_t + w_0²·Var(x_0 | x_t), w_0 being the posterior's weight of x_0 (Bao et al. 2022, theorem 1,
    here for each coordinate).  No spread, as for a single point, gives β̃_t and v = 0; 1 − ᾱ_t, as for
    x_0 ~ N(0, I), gives β_t and v = 1; and more, as for a pixel that is black or white, a v above 1.  At t = 1, where σ_1²
    is the decoder's, v = 1.  Such a v belongs to its schedule: a respaced chain takes a fixed variance, or a v of its own.
    spread: Var(x_0 | x_t) ≥ 0, (B, …); t: int or (B,) in 1…T.  ValueError: t outside 1…T, a spread below 0.
    """
    if (getval(spread) < 0).any():
        raise ValueError(f"spread = {numpy.min(getval(spread))}: a variance of x_0 is 0 or more")
    log_beta, log_smallest = _log_extremes(schedule, spread, t)
    alike = numpy.reshape(numpy.equal(t, 1), numpy.shape(log_beta)) | (log_beta == log_smallest)
    weight, log_ratio = like(spread, schedule.at(t, spread).weight_0 ** 2 / np.exp(log_smallest), np.where(alike, 1, log_beta - log_smallest))
    return np.where(alike, 1, np.log1p(weight * spread) / log_ratio)


class Prediction(NamedTuple):
    """What a denoiser says of x_t at t: x̂_0 and ε̂, two views of one guess, and v where it learns the variance.

    x_t, x_0, eps, v: (B, …); t: int or (B,).
    """

    x_t: Any
    t: Any
    x_0: Any
    eps: Any
    v: Any = None


def ask(denoiser, x_t, t):
    """(ε̂, v) of a denoiser; v is None where it learns no variance.  ValueError: ε̂ or v not of the shape of x_t, ε̂ not of its dtype."""
    output = denoiser(x_t, t)
    eps, v = output if isinstance(output, tuple) else (output, None)
    check_same_shape(x_t=x_t, eps=eps, **({} if v is None else {"v": v}))
    check(eps.dtype == x_t.dtype, "dtype of eps", eps.dtype, "a denoiser answers in the dtype of x_t")
    return eps, v


def predict(schedule, denoiser, x_t, t, clip=None):
    """Ask the denoiser, and complete its answer; with clip=(low, high), x̂_0 is kept inside the data's range.

    The clipping comes before any mean is taken and ε̂ is derived anew from the clipped x̂_0, so both
    remain one guess.  x_t: (B, …); t: int or (B,) in 1…T.  ValueError: as in `ask`; t outside 1…T.
    """
    eps, v = ask(denoiser, x_t, t)
    x_0 = x_0_from_eps(schedule, x_t, eps, t)
    if clip is not None:
        check(len(clip) == 2 and clip[0] < clip[1], "clip", clip, "None, or the pair (low, high) with low < high")
        x_0 = np.clip(x_0, *clip)
        eps = eps_from_x_0(schedule, x_t, x_0, t)
    return Prediction(x_t, t, x_0, eps, v)


def step(schedule, prediction, variance="beta"):
    """p_θ(x_{t−1} | x_t) = N(μ_θ(x_t, t), σ_t²): one step back (Ho 1 and 11), led by a `Prediction`.

    variance: as in `variance_table`, or "learned", for a denoiser that returns (ε̂, v).
    ValueError: "learned" without v, or what `variance_table` refuses.
    """
    x_t, t, _, eps, v = prediction
    if isinstance(variance, str) and variance == "learned":
        check(v is not None, "variance", variance, "a learned one takes a denoiser that returns the pair (eps, v)")
        var = learned_variance(schedule, x_t, t, v)
    else:
        var = like(x_t, variance_table(schedule, variance)[t].reshape(np.shape(schedule.at(t, x_t).beta)))
    return Gaussian(mean_from_eps(schedule, x_t, eps, t), var)


# Samplers are generators: they hand over each step as it is taken, and a caller may look or stop.

class Step(NamedTuple):
    """The chain has arrived at time t with x = x_t; x_0 is the guess it was led by."""

    t: int
    x: Any
    x_0: Any


def ancestral_sampling(schedule, denoiser, x, rng, start=None, variance="beta", clip=None):
    """Algorithm 2: for t = T…1 draw x_{t−1} ~ p_θ(x_{t−1} | x_t); the last step takes the mean alone.

    x: (B, …), x_T ~ N(0, I); or any x_t with start=t, to denoise it from there: t steps follow.
    rng: numpy Generator; variance as in `step`, clip as in `predict`.
    Yields `Step`s with t = start−1…0; `last` gives the final x_0.
    ValueError: start outside 1…T, rng None, x not finite.
    """
    start = schedule.T if start is None else start
    check(rng is not None, "rng", rng, "Algorithm 2 draws noise, which takes a numpy Generator")
    check_finite(x=x)
    for t in range(int(schedule.check_t(start)), 0, -1):
        prediction = predict(schedule, denoiser, x, t, clip)
        p = step(schedule, prediction, variance)
        x = p.sample(standard_normal(rng, x)) if t > 1 else p.mean
        yield Step(t - 1, x, prediction.x_0)


def ddim_step(schedule, prediction, s, eta=0.0):
    """One DDIM step from t to any s < t (Song, Meng & Ermon 2021, eq 12 and 16), led by a `Prediction`.

    N(√ᾱ_s·x̂_0 + √(1 − ᾱ_s − σ²)·ε̂, σ²) with σ² = η²·(1 − ᾱ_s)/(1 − ᾱ_t)·(1 − ᾱ_t/ᾱ_s).  η = 0
    draws nothing; η = 1 with s = t − 1 is p_θ with β̃_t.  A learned variance plays no part.
    s: int or (B,).  ValueError: η outside [0, 1], unless 0 ≤ s < t.
    """
    x_t, t, x_0, eps, _ = prediction
    check(0 <= eta <= 1, "eta", eta, "a number in 0..1 (0: deterministic, 1: ancestral)")
    check(numpy.all(numpy.less(s, t)), "s", s, f"smaller than t = {t}, as the sampler runs backwards")
    here, there = schedule.at(t, x_t), schedule.at(s, x_t, lowest=0)
    log_ratio = here.log_alpha_bar - there.log_alpha_bar  # of ᾱ_t/ᾱ_s
    noise_left = there.one_minus_alpha_bar
    # (1 − ᾱ_s) − σ² would cancel; 1 − ᾱ_t = (ᾱ_t/ᾱ_s)(1 − ᾱ_s) + (1 − ᾱ_t/ᾱ_s) turns it into a sum.
    kept = noise_left * ((1 - eta ** 2) + eta ** 2 * np.exp(log_ratio) * noise_left / here.one_minus_alpha_bar)
    var = eta ** 2 * noise_left / here.one_minus_alpha_bar * -np.expm1(log_ratio)
    signal, noise, var = like(x_t, np.sqrt(there.alpha_bar), np.sqrt(kept), var)
    return Gaussian(signal * x_0 + noise * eps, var)


def ddim_sampling(schedule, denoiser, x, rng=None, steps=None, eta=0.0, clip=None):
    """DDIM: the same denoiser in fewer steps, with as much fresh noise as η says.

    x: (B, …), x at the largest of the steps (x_T ~ N(0, I) by default).  steps: how many, evenly
    spread over 1…T with T included; or the times themselves, e.g. [1, 10, 100, 1000]; all by default.
    rng: needed for η > 0 only.  Yields a `Step` for each, the last at t = 0.
    ValueError: steps that are no subset of 1…T, η outside [0, 1] or above 0 without rng, x not finite.
    """
    times = sampling_times(schedule, steps)
    check_finite(x=x)
    check(not eta > 0 or rng is not None, "rng", rng, f"eta = {eta} draws noise, which takes a numpy Generator")
    for t, s in zip(times[::-1], (0, *times[:-1])[::-1]):
        prediction = predict(schedule, denoiser, x, t, clip)
        p = ddim_step(schedule, prediction, s, eta)
        x = p.sample(standard_normal(rng, x)) if eta > 0 and s > 0 else p.mean
        yield Step(s, x, prediction.x_0)


def sampling_times(schedule, steps=None):
    """The times a DDIM sampler visits, rising ints: all of 1…T, `steps` evenly spread ones, or those given."""
    if steps is None:
        return list(range(1, schedule.T + 1))
    if numpy.ndim(steps) == 0:
        check(numpy.asarray(steps).dtype.kind in "iu" and 1 <= steps <= schedule.T, "steps", steps, f"whole, in 1..T = {schedule.T}")
        return [int(t) for t in -(-numpy.arange(1, steps + 1) * schedule.T // steps)]
    times = sorted(int(t) for t in schedule.check_t(steps)) if len(steps) else []
    check(0 < len(times) == len(set(times)), "steps", list(steps), f"different times in 1..T = {schedule.T}, at least one")
    return times


def last(steps):
    """The x_0 a sampler ends with, its other steps forgotten as they come.  ValueError: no steps."""
    final = deque(steps, maxlen=1)
    check(final, "steps", "[]", "a sampler's, at least one")
    return final.pop().x
