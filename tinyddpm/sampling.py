"""Sampling: Algorithm 2 as the paper prints it, the same with options, and DDIM.

A sampler starts from x_T ~ N(0, I) and goes back step by step to x_0.  The last step adds no noise:
the result is the mean of p_θ(x_0 | x_1), not a draw from it.  The ELBO bounds the likelihood of
a model that draws x_0 from p_θ(x_0 | x_1) (Ho §3.3).
"""
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from .checks import check, check_finite, check_generator
from .gaussian import Array, Gaussian, noise_like
from .reverse import Denoiser, Prediction, predict, reverse_step, variance_table
from .schedule import Schedule, cast_like


def algorithm_2(schedule: Schedule, denoiser: Denoiser, x_T: Array,
                rng: np.random.Generator) -> Array:
    """Algorithm 2 of Ho et al., line by line, with σ_t² = β_t.

    x_T: (B, …) float64, drawn from N(0, I) (line 1).  Returns x_0.  `ancestral_sampling` is the
    same with options.
    """
    check_generator(rng)
    beta, alpha = schedule.beta, schedule.alpha
    one_minus_alpha_bar = schedule.one_minus_alpha_bar
    x = x_T
    for t in range(schedule.T, 0, -1):                                            # line 2
        z = rng.standard_normal(x.shape) if t > 1 else 0                          # line 3
        eps = denoiser(x, t)
        mean = (x - beta[t] / np.sqrt(one_minus_alpha_bar[t]) * eps) / np.sqrt(alpha[t])
        x = mean + np.sqrt(beta[t]) * z                                           # line 4
    return x                                                                      # line 6


class SamplingStep(NamedTuple):
    """After a step that ends at t: x is x_t, and x_0 the x̂_0 from the time before."""

    t: int
    x: Any
    x_0: Any


def ancestral_sampling(schedule: Schedule, denoiser: Denoiser, x: Array, rng: np.random.Generator,
                       start: int | None = None, variance: Any = "beta",
                       clip: tuple[float, float] | None = None) -> Iterator[SamplingStep]:
    """Algorithm 2, with options: for t = T…1 draw x_{t−1} ~ p_θ(x_{t−1} | x_t).

    The last step takes the mean and adds no noise.

    A generator: it yields a `SamplingStep` after each step, t = start − 1…0, and the caller can
    read each or stop early.  `final_sample` returns the last x_0.
    x: (B, …), x_T ~ N(0, I); with start=t, any x_t, and t steps follow.
    variance as in `reverse.variance_table`, clip as in `reverse.predict`.
    ValueError: start outside 1…T; rng no Generator; an x that is not finite.
    """
    start = schedule.T if start is None else start
    check_generator(rng)
    check_finite(x=x)
    variance = variance_table(schedule, variance)
    for t in range(int(schedule.check_t(start)), 0, -1):
        prediction = predict(schedule, denoiser, x, t, clip)
        p = reverse_step(schedule, prediction, variance)
        x = p.sample(noise_like(rng, x)) if t > 1 else p.mean
        yield SamplingStep(t - 1, x, prediction.x_0)


def ddim_step(schedule: Schedule, prediction: Prediction, s: int | Array,
              eta: float = 0.0) -> Gaussian:
    """One DDIM step from t to any s < t (Song, Meng & Ermon 2021, eq 12 and 16).

    N(√ᾱ_s·x̂_0 + √(1 − ᾱ_s − σ²)·ε̂, σ²) with σ² = η²·(1 − ᾱ_s)/(1 − ᾱ_t)·(1 − ᾱ_t/ᾱ_s).  η = 0
    adds no noise; η = 1 with s = t − 1 is p_θ with σ_t² = β̃_t.  A learned variance is not used.
    No digits are lost in the form
        1 − ᾱ_s − σ² = (1 − ᾱ_s)·[1 − η² + η²·(ᾱ_t/ᾱ_s)·(1 − ᾱ_s)/(1 − ᾱ_t)].
    s: int or (B,).  ValueError: η outside [0, 1]; unless 0 ≤ s < t.
    """
    x_t, t, x_0, eps, _ = prediction
    check(0 <= eta <= 1, "eta", eta, "a number in 0..1 (0: deterministic, 1: ancestral)")
    check(np.all(np.less(s, t)), "s", s, f"smaller than t = {t}, as the sampler runs backwards")
    at_t = schedule.coefficients_at(t, x_t)
    at_s = schedule.coefficients_at(s, x_t, lowest=0)
    log_ratio = at_t.log_alpha_bar - at_s.log_alpha_bar  # log ᾱ_t/ᾱ_s
    om_s, om_t = at_s.one_minus_alpha_bar, at_t.one_minus_alpha_bar
    one_minus_ratio = -anp.expm1(log_ratio)              # 1 − ᾱ_t/ᾱ_s
    var = eta ** 2 * om_s / om_t * one_minus_ratio
    var_of_eps = om_s * ((1 - eta ** 2) + eta ** 2 * anp.exp(log_ratio) * om_s / om_t)
    signal, noise, var = cast_like(x_t, anp.sqrt(at_s.alpha_bar), anp.sqrt(var_of_eps), var)
    return Gaussian(signal * x_0 + noise * eps, var)


def ddim_sampling(schedule: Schedule, denoiser: Denoiser, x: Array,
                  rng: np.random.Generator | None = None, steps: Any = None, eta: float = 0.0,
                  clip: tuple[float, float] | None = None) -> Iterator[SamplingStep]:
    """DDIM: the same denoiser in fewer steps.

    η = 0: no fresh noise; η = 1: as much as ancestral sampling with variance "beta_tilde".  At
    each t the best ε_θ is E[ε | x_t].  It depends on q(x_t | x_0) only, and DDIM keeps
    q(x_t | x_0); so DDIM needs the same denoiser.
    Yields a `SamplingStep` after each step, the last at t = 0.
    x: (B, …), x_t at the largest of the times; that is T, and x ~ N(0, I), unless `steps` lists
    others.  rng: needed for η > 0 only.
    steps: as in `sampling_times`.
    ValueError: what `sampling_times` refuses; η outside [0, 1], or above 0 without rng; x not
    finite.
    """
    times = sampling_times(schedule, steps)
    check_finite(x=x)
    adds_noise = eta > 0
    if adds_noise or rng is not None:
        check_generator(rng)
    next_times = [0, *times[:-1]]  # the next lower time; 0 at the end
    for t, s in zip(reversed(times), reversed(next_times)):
        prediction = predict(schedule, denoiser, x, t, clip)
        p = ddim_step(schedule, prediction, s, eta)
        x = p.mean
        if rng is not None and adds_noise and s > 0:
            x = p.sample(noise_like(rng, x))
        yield SamplingStep(s, x, prediction.x_0)


def sampling_times(schedule: Schedule, steps: Any = None) -> list[int]:
    """The times that DDIM visits, rising.

    steps: None, for all of 1…T; a number n, for n evenly spaced times, the last of them T; or the
    times themselves, e.g. [1, 10, 100, 1000].  ValueError: times outside 1…T, or one twice.
    """
    T = schedule.T
    if steps is None:
        return list(range(1, T + 1))
    if np.ndim(steps) == 0:
        check(np.asarray(steps).dtype.kind in "iu" and 1 <= steps <= T, "steps", steps,
              f"whole, in 1..T = {T}")
        n = int(steps)
        return [(i * T + n - 1) // n for i in range(1, n + 1)]  # i·T/n, rounded up
    check(len(steps) > 0, "steps", list(steps), f"times in 1..T = {T}, at least one")
    times = sorted(int(t) for t in schedule.check_t(steps))
    check(len(set(times)) == len(times), "steps", list(steps),
          f"different times in 1..T = {T}, at least one")
    return times


def final_sample(steps: Iterable[SamplingStep]) -> Array:
    """x of a sampler's last step; earlier steps are not kept.  ValueError: no steps."""
    last = deque(steps, maxlen=1)
    check(last, "steps", "[]", "a sampler yields one step or more")
    return last.pop().x
