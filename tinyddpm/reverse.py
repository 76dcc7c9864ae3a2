"""The reverse process p_θ: from pure noise back to data, one learned Gaussian step at a time.

If we knew x_0, the posterior q(x_{t−1} | x_t, x_0) would take us one step back.  We do not, so a
network guesses x_0, and we put the guess into the posterior in place of x_0.  Because
x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, and x_t is known, to guess x_0 is to guess the noise ε: DDPM's
network predicts ε, whose variance is 1 at every t.  The score and the velocity v, defined below,
are two more forms of the same guess.

Why may the step be Gaussian, when the data are not?  The exact q(x_{t−1} | x_t) is a mixture of
posteriors, one for each possible x_0, weighted by q(x_0 | x_t).  The smaller β_t, the closer it is
to a single Gaussian (Ho §2).

A *denoiser* is any function (x_t, t) → ε̂: a network with its weights, the exact E[ε | x_t] of
`oracle`, or your own.  One that also learns the variance returns a pair, (ε̂, log_var_fraction);
see `interpolated_variance`.

x_t, x_0, ε, v, score: (B, …) of floats; t: int, or (B,) with one t for each item, in 1…T.
ValueError of all functions: t outside 1…T, shapes that differ.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from .checks import check, check_denoiser, check_same_shape
from .forward import posterior
from .gaussian import Array, Gaussian
from .schedule import Schedule, cast_like

Denoiser = Callable[[Any, Any], Any]


# Four forms of one guess.

def _signal_and_noise(schedule: Schedule, x_t: Array, t: int | Array) -> tuple[Array, Array]:
    """√ᾱ_t and √(1 − ᾱ_t)."""
    at = schedule.coefficients_at(t, x_t)
    return cast_like(x_t, anp.sqrt(at.alpha_bar), anp.sqrt(at.one_minus_alpha_bar))


def x_0_from_eps(schedule: Schedule, x_t: Array, t: int | Array, eps: Array) -> Array:
    """x_0 = (x_t − √(1 − ᾱ_t)·ε)/√ᾱ_t: `diffuse`, solved for x_0 (Ho 15)."""
    check_same_shape(x_t=x_t, eps=eps)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (x_t - noise * eps) / signal


def eps_from_x_0(schedule: Schedule, x_t: Array, t: int | Array, x_0: Array) -> Array:
    """ε = (x_t − √ᾱ_t·x_0)/√(1 − ᾱ_t): `diffuse`, solved for ε."""
    check_same_shape(x_t=x_t, x_0=x_0)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (x_t - signal * x_0) / noise


def v_from_eps(schedule: Schedule, x_t: Array, t: int | Array, eps: Array) -> Array:
    """v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0, the velocity (Salimans & Ho 2022, §4).

    The pair (x_t, v) is the pair (x_0, ε), rotated by the angle whose cosine is √ᾱ_t.  With x_0
    eliminated, v = (ε − √(1 − ᾱ_t)·x_t)/√ᾱ_t.
    """
    check_same_shape(x_t=x_t, eps=eps)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return (eps - noise * x_t) / signal


def eps_from_v(schedule: Schedule, x_t: Array, t: int | Array, v: Array) -> Array:
    """ε = √ᾱ_t·v + √(1 − ᾱ_t)·x_t: the rotation, inverted."""
    check_same_shape(x_t=x_t, v=v)
    signal, noise = _signal_and_noise(schedule, x_t, t)
    return signal * v + noise * x_t


def score_from_eps(schedule: Schedule, x_t: Array, t: int | Array, eps: Array) -> Array:
    """∇ log q(x_t | x_0) = −ε/√(1 − ᾱ_t): −ε over the standard deviation of the noise.

    With E[ε | x_t] in place of ε it is the score of the noised data, ∇ log q(x_t) (Luo 133 and
    151; derived in `oracle`).
    """
    check_same_shape(x_t=x_t, eps=eps)
    _, noise = _signal_and_noise(schedule, x_t, t)
    return -eps / noise


def eps_from_score(schedule: Schedule, x_t: Array, t: int | Array, score: Array) -> Array:
    """ε = −√(1 − ᾱ_t)·score."""
    check_same_shape(x_t=x_t, score=score)
    _, noise = _signal_and_noise(schedule, x_t, t)
    return -noise * score


TO_EPS: dict[str, Callable] = {"eps": lambda schedule, x_t, t, eps: eps, "x_0": eps_from_x_0,
                               "v": eps_from_v, "score": eps_from_score}


def as_denoiser(schedule: Schedule, predictor: Denoiser, predicts: str = "eps") -> Denoiser:
    """A function (x_t, t) → x̂_0, v̂ or a score, turned into a denoiser (x_t, t) → ε̂.

    predicts: "eps", "x_0", "v" or "score".  If the output is a pair (learned variance),
    only its first part is converted.  ValueError: any other `predicts`.

    A PyTorch model of (x, t) is such a function once arrays become tensors and back.  Most count
    times from 0, so t − 1 is passed, one for each item; x and the result keep their dtype:
        lambda x, t: model(torch.tensor(x, dtype=torch.float32),
                           torch.tensor(t - 1).expand(len(x))).detach().numpy().astype(x.dtype)
    The same for a JAX model of (x, t):
        lambda x, t: np.asarray(model(x.astype("float32"),
                                      np.broadcast_to(t - 1, len(x)))).astype(x.dtype)
    Images are (B, H, W, C) here; x.transpose(0, 3, 1, 2) has PyTorch's order.
    """
    # A tuple, because `in` a dict raises another error for a list.
    check(predicts in tuple(TO_EPS), "predicts", repr(predicts), f"one of {', '.join(TO_EPS)}")
    to_eps = TO_EPS[predicts]

    def denoiser(x_t: Array, t: int | Array) -> Any:
        output = predictor(x_t, t)
        if isinstance(output, tuple):
            return to_eps(schedule, x_t, t, output[0]), output[1]
        return to_eps(schedule, x_t, t, output)
    return denoiser


# The output of a denoiser, as ε̂ and as x̂_0.

class Prediction(NamedTuple):
    """A denoiser's output at (x_t, t), as x̂_0 and as ε̂.

    log_var_fraction is None if no variance is learned.
    """

    x_t: Any
    t: Any
    x_0: Any
    eps: Any
    log_var_fraction: Any = None


def evaluate(denoiser: Denoiser, x_t: Array, t: int | Array) -> tuple[Array, Array | None]:
    """(ε̂, log_var_fraction) of a denoiser; the second is None where no variance is learned.

    ValueError: a denoiser that cannot be called; an output whose shape differs from that of x_t;
    an ε̂ of another dtype.
    """
    check_denoiser(denoiser)
    output = denoiser(x_t, t)
    if isinstance(output, tuple):
        eps, log_var_fraction = output
    else:
        eps, log_var_fraction = output, None
    check_same_shape(x_t=x_t, eps=eps)
    if log_var_fraction is not None:
        check_same_shape(x_t=x_t, log_var_fraction=log_var_fraction)
    check(eps.dtype == x_t.dtype, "dtype of eps", eps.dtype,
          f"that of x_t, {x_t.dtype}: a denoiser returns eps.astype(x_t.dtype)")
    return eps, log_var_fraction


def predict(schedule: Schedule, denoiser: Denoiser, x_t: Array, t: int | Array,
            clip: tuple[float, float] | None = None) -> Prediction:
    """The denoiser's guess, as ε̂ and as x̂_0.

    clip: (low, high), the range of the data.  x̂_0 is clipped to it, and ε̂ is computed again from
    the clipped x̂_0, so that the two stay consistent.  (Ho's code clips to (−1, 1); the paper does
    not mention it.)
    ValueError: as in `evaluate`; a clip that is not (low, high) with low < high.
    """
    eps, log_var_fraction = evaluate(denoiser, x_t, t)
    x_0 = x_0_from_eps(schedule, x_t, t, eps)
    if clip is not None:
        check(len(clip) == 2 and clip[0] < clip[1], "clip", clip,
              "None, or the pair (low, high) with low < high")
        x_0 = anp.clip(x_0, *clip)
        eps = eps_from_x_0(schedule, x_t, t, x_0)
    return Prediction(x_t, t, x_0, eps, log_var_fraction)


# The step: its mean, its variance.

def mean_from_eps(schedule: Schedule, x_t: Array, t: int | Array, eps: Array) -> Array:
    """μ_θ = (x_t − β_t/√(1 − ᾱ_t)·ε)/√α_t: the posterior's mean, from the noise (5.1, Ho 11).

    It follows from μ̃_t with x_0 = (x_t − √(1 − ᾱ_t)·ε)/√ᾱ_t (Luo 116–124) and
    √ᾱ_{t−1}/√ᾱ_t = 1/√α_t.  The factor of ε is −β_t/[√α_t·√(1 − ᾱ_t)].  That of x_t is
    [β_t + α_t·(1 − ᾱ_{t−1})]/[√α_t·(1 − ᾱ_t)] = 1/√α_t, because β_t + α_t·(1 − ᾱ_{t−1}) = 1 − ᾱ_t.
    """
    check_same_shape(x_t=x_t, eps=eps)
    at = schedule.coefficients_at(t, x_t)
    noise_share = at.beta / anp.sqrt(at.one_minus_alpha_bar)
    noise_share, scale = cast_like(x_t, noise_share, anp.sqrt(at.alpha))
    return (x_t - noise_share * eps) / scale


def mean_from_x_0(schedule: Schedule, x_t: Array, t: int | Array, x_0: Array) -> Array:
    """μ̃_t(x_t, x̂_0): the posterior's mean, with x̂_0 for x_0 (Luo 84)."""
    return posterior(schedule, x_t, t, x_0).mean


def variance_table(schedule: Schedule, variance: Any = "beta") -> Array | None:
    """σ_t² of p_θ(x_{t−1} | x_t), (T + 1,) with an unused entry 0; None if it is learned.

    variance: "beta"        β_t: the variance of q(x_{t−1} | x_t) if x_0 ~ N(0, I) (Ho §3.2)
              "beta_tilde"  β̃_t: the variance of q(x_{t−1} | x_t) if x_0 is one point (Ho §3.2)
              "learned"     each x_t has its own, from the denoiser's log_var_fraction
              an array      (T + 1,): σ_t² itself
    "beta" is the default: if the data have a density, −ELBO with the best denoiser tends to their
    entropy for large T.
    β̃_1 = 0 would leave the decoder p_θ(x_0 | x_1) without a density, so "beta_tilde" takes β_1 at
    t = 1.  σ_1² is used in L_0 only: Algorithm 2 adds no noise in its last step.  Ho's and OpenAI's
    code take β̃_2 as σ_1², for "beta" (their fixedlarge), too: their L_0 is not comparable.
    ValueError: any other name; an array of another shape, or with a σ_t² that is not positive.
    """
    if isinstance(variance, str):
        check(variance in ("beta", "beta_tilde", "learned"), "variance", repr(variance),
              "beta, beta_tilde, learned, or an array of T + 1 numbers")
        if variance == "learned":
            return None
        if variance == "beta":
            return schedule.beta
        return np.concatenate([schedule.beta[:2], schedule.beta_tilde[2:]])
    table = np.asarray(variance, float)
    check(table.shape == (schedule.T + 1,), "shape of variance", table.shape,
          f"(T + 1,) = ({schedule.T + 1},), one for each t")
    fine = (table[1:] > 0) & np.isfinite(table[1:])
    if not fine.all():
        t = 1 + int(np.flatnonzero(~fine)[0])
        raise ValueError(f"variance[{t}] = {table[t]:g}: a variance is positive and finite")
    return table


def fixed_variance(schedule: Schedule, variance: Any = "beta") -> Array:
    """`variance_table` of a fixed variance.  ValueError: as there; and for "learned"."""
    table = variance_table(schedule, variance)
    if table is None:
        raise ValueError("variance = learned: here it must be fixed, beta, beta_tilde "
                         "or an array of T + 1 numbers")
    return table


def interpolated_variance(schedule: Schedule, x_t: Array, t: int | Array,
                          log_var_fraction: Array) -> Array:
    """σ_t² = exp(f·log β_t + (1 − f)·log β̃_t) with f = log_var_fraction (Improved DDPM eq 15).

    f = 0 gives β̃_t and f = 1 gives β_t.  A network's f may lie outside 0…1.  β̃_1 = 0 has no
    logarithm: as in the code of Improved DDPM, β̃_2 is used at t = 1 (β_1 if T = 1).
    """
    check_same_shape(x_t=x_t, log_var_fraction=log_var_fraction)
    log_largest, log_smallest = cast_like(x_t, *log_variance_range(schedule, x_t, t))
    return anp.exp(log_var_fraction * log_largest + (1 - log_var_fraction) * log_smallest)


def log_variance_range(schedule: Schedule, x: Array, t: int | Array) -> tuple[Array, Array]:
    """log β_t and log β̃_t (log β̃_2 at t = 1), float64, shaped to multiply x."""
    beta = schedule.coefficients_at(t, x).beta
    smallest = schedule.beta_tilde.copy()
    smallest[1] = schedule.beta_tilde[2] if schedule.T > 1 else schedule.beta[1]
    return anp.log(beta), anp.log(smallest[t]).reshape(np.shape(beta))


def reverse_step(schedule: Schedule, prediction: Prediction, variance: Any = "beta") -> Gaussian:
    """p_θ(x_{t−1} | x_t) = N(μ_θ(x_t, t), σ_t²): one step back (Ho 1 and 11).

    variance: as in `variance_table`, or what that returned (an array, or None for "learned"): a
    loop calls it once.
    ValueError: learned, and the prediction has no log_var_fraction.
    """
    x_t, t, _, eps, log_var_fraction = prediction
    table = None if variance is None else variance_table(schedule, variance)
    if table is None:
        check(log_var_fraction is not None, "variance", "learned",
              "it needs a denoiser that returns the pair (eps, log_var_fraction)")
        var = interpolated_variance(schedule, x_t, t, log_var_fraction)
    else:
        shape = np.shape(schedule.coefficients_at(t, x_t).beta)  # () or (B, 1, …), as x_t needs
        var = cast_like(x_t, table[t].reshape(shape))
    return Gaussian(mean_from_eps(schedule, x_t, t, eps), var)
