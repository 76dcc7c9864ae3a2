"""The noise schedule: how much noise the forward process adds at each step t = 1…T.

Everything follows from β_t, the variance of the noise of step t:
    α_t = 1 − β_t             the share of the variance of x_{t−1} that step t keeps,
    ᾱ_t = α_1·α_2·…·α_t       the share of the variance of x_0 that t steps keep,
    SNR_t = ᾱ_t/(1 − ᾱ_t)     the signal-to-noise ratio of x_t, for data of variance 1.
Tables have T + 1 entries and are indexed as in the papers: `beta[t]` is β_t, and `alpha_bar[0]` is
1, because x_0 is the data itself.
"""
from types import SimpleNamespace
from typing import Any

import numpy as np

from .checks import check, check_integer
from .gaussian import Array


class Schedule:
    """The tables of a noise schedule: read-only float64 arrays of T + 1 entries, t = 0…T.

    beta: the T values β_1…β_T, each strictly between 0 and 1.

    T                      the number of steps
    beta, alpha            β_t, α_t (β_0 = 0, α_0 = 1)
    alpha_bar              ᾱ_t, and log_alpha_bar its logarithm
    one_minus_alpha_bar    1 − ᾱ_t, the variance of q(x_t | x_0)
    snr, log_snr           SNR_t and its logarithm; infinite at t = 0
    coef_x_0, coef_x_t     √ᾱ_{t−1}·β_t/(1 − ᾱ_t) and √α_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), the factors of
                           x_0 and x_t in the mean of `forward.posterior`
    beta_tilde             β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), the variance of `forward.posterior`;
                           entry 0 of coef_x_0, coef_x_t and beta_tilde is unused

    Where 1 − ᾱ_t is small, subtracting ᾱ_t from 1 would lose digits.  So log ᾱ_t is summed first,
    as Σ log1p(−β_s), and 1 − ᾱ_t = −expm1(log ᾱ_t).
    ValueError: no β at all; a β outside (0, 1); so many β, or β so large, that ᾱ_T is zero in
    float64.
    """

    def __init__(self, beta: Any):
        beta = np.asarray(beta, np.float64)
        _check_beta(beta)
        self.T = beta.size
        self.beta = np.append(0.0, beta)
        self.alpha = 1 - self.beta
        self.log_alpha_bar = np.cumsum(np.log1p(-self.beta))
        self.alpha_bar = np.exp(self.log_alpha_bar)
        self.one_minus_alpha_bar = -np.expm1(self.log_alpha_bar)
        self.one_minus_alpha_bar[1] = self.beta[1]  # exact, so that coef_x_0[1] is 1
        if self.alpha_bar[-1] == 0:
            log_T = self.log_alpha_bar[-1]
            raise ValueError(f"alpha_bar_T = 0 in float64 (its logarithm is {log_T:.0f}): "
                             f"use fewer than T = {self.T} betas, or smaller ones")
        with np.errstate(divide="ignore"):  # SNR_0 is infinite
            self.log_snr = self.log_alpha_bar - np.log(self.one_minus_alpha_bar)
        self.snr = np.exp(self.log_snr)

        alpha_bar_prev = np.append(1.0, self.alpha_bar[:-1])
        one_minus_prev = np.append(0.0, self.one_minus_alpha_bar[:-1])
        divisor = np.append(1.0, self.one_minus_alpha_bar[1:])  # 1 in place of 1 − ᾱ_0 = 0
        self.coef_x_0 = np.sqrt(alpha_bar_prev) * self.beta / divisor
        self.coef_x_t = np.sqrt(self.alpha) * one_minus_prev / divisor
        self.beta_tilde = self.beta * one_minus_prev / divisor
        for table in vars(self).values():
            if isinstance(table, np.ndarray):
                table.flags.writeable = False

    def __repr__(self) -> str:
        return (f"Schedule(T={self.T}, beta {self.beta[1]:.3g}..{self.beta[-1]:.3g}, "
                f"alpha_bar_T {self.alpha_bar[-1]:.3g})")

    def check_t(self, t: int | Array, batch: int | None = None, lowest: int = 1) -> Array:
        """t as an integer array, () or (B,).

        ValueError: not integers, outside lowest…T, or not one for each of the B items.
        """
        t = np.asarray(t)
        if t.dtype.kind not in "iu":
            raise ValueError(f"t = {t} is no integer: "
                             f"t must be a whole number from {lowest} to T = {self.T}")
        inside = (lowest <= t) & (t <= self.T)
        if not inside.all():
            raise ValueError(f"t = {t[~inside].flat[0]} is outside {lowest}..T = {self.T}")
        wrong_length = t.ndim == 1 and batch is not None and t.size != batch
        if t.ndim > 1 or wrong_length:
            items = "the items" if batch is None else f"the {batch} items"
            raise ValueError(f"t has shape {t.shape}: it must be one number, or one for each of "
                             f"{items} of the batch")
        return t

    def coefficients_at(self, t: int | Array, x: Array, lowest: int = 1) -> SimpleNamespace:
        """Every table's entry at t, under the table's name, shaped to multiply x.

        A scalar if t is a scalar; (B, 1, …) if t is (B,).  The entries are float64: combine them
        first, then convert the combination to the dtype of x with `cast_like`.
        t: int or (B,) in lowest…T; x: (B, …) of floats.  ValueError: t outside lowest…T, x not
        floats.
        """
        dtype = getattr(x, "dtype", type(x))  # a list has no dtype; the error then shows its type
        check(getattr(dtype, "kind", None) == "f", "dtype of x", dtype,
              "x must be an array of floats; numpy.asarray(x, float) makes one")
        t = self.check_t(t, x.shape[0] if x.ndim else None, lowest)
        if t.ndim:  # (B,) → (B, 1, …, 1)
            t = t.reshape(t.shape + (1,) * (x.ndim - 1))
        tables = {name: table[t] for name, table in vars(self).items() if name != "T"}
        return SimpleNamespace(**tables)


def _check_beta(beta: Array) -> None:
    check(beta.ndim == 1 and beta.size, "shape of beta", beta.shape,
          "a schedule takes a list of T >= 1 numbers")
    outside = np.flatnonzero(~((beta > 0) & (beta < 1)))
    if outside.size:
        t = outside[0] + 1
        raise ValueError(f"beta_{t} = {beta[t - 1]:g} of T = {beta.size}: "
                         f"every beta lies strictly between 0 and 1")


def cast_like(x: Array, *coefficients: Any) -> Any:
    """The float64 coefficients, converted to the dtype of x: a float32 chain stays float32."""
    cast = tuple(np.asarray(c, x.dtype) for c in coefficients)
    return cast if len(cast) > 1 else cast[0]


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02,
           scaled: bool = True) -> Schedule:
    """β_t rising linearly from β_1 to β_T (Ho §4), times 1000/T unless scaled=False.

    The paper's β_1 and β_T are for T = 1000.  Unscaled at T = 50 they give ᾱ_T = 0.603: then x_T
    is far from N(0, I), but sampling starts from N(0, I).  Scaled, ᾱ_T is below 5e-5 for every
    T > 20; T ≤ 20 gives β_T ≥ 1, a ValueError.  Unscaled, T = 1 has β_T alone.
    ValueError: T < 1; a β outside (0, 1).
    """
    check_integer("T", T)
    factor = 1000 / T if scaled else 1
    beta = np.linspace(beta_T, beta_1, T)[::-1] * factor  # reversed, so that T = 1 keeps beta_T
    try:
        return Schedule(beta)
    except ValueError as error:
        if not (scaled and beta_T < 1 <= beta[-1]):
            raise
        raise ValueError(f"{error}; scaled by 1000/T = {factor:g}, the linear schedule needs "
                         f"a larger T") from None


def cosine(T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Schedule:
    """ᾱ_t = f(t/T)/f(0) with f(u) = cos²((u + s)/(1 + s)·π/2) (Improved DDPM eq 17).

    s keeps β_t from vanishing near t = 0.  β is clipped at beta_max; by default this changes only
    β_T, which would be 1, and ᾱ_T follows from the clipped β_T.  β_t = 1 − ᾱ_t/ᾱ_{t−1} is computed
    with cos²A − cos²B = sin(B − A)·sin(B + A), which loses no digits.
    ValueError: T < 1; s below 0; a β outside (0, 1).
    """
    check_integer("T", T)
    check(0 <= s < np.inf, "s", s, "the offset is a finite number of 0 or more")
    angle = (np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2
    a, b = angle[:-1], angle[1:]
    beta = np.sin(b - a) * np.sin(b + a) / np.cos(a) ** 2
    return Schedule(np.minimum(beta, beta_max))


def log_snr_uniform(T: int = 1000, log_snr_1: float = 10.0, log_snr_T: float = -10.0) -> Schedule:
    """log SNR falling in equal steps from log_snr_1 at t = 1 to log_snr_T at t = T.

    With λ = log SNR, ᾱ = 1/(1 + e^{−λ}) (Kingma et al. 2021, eq 4).  On this grid the ELBO gives
    ‖ε − ε_θ‖² the same weight at every t ≥ 2 if σ_t² = β̃_t (their eq 14), and nearly the same if
    σ_t² = β_t and T is large (`elbo.simple_weights`).  T = 1 has log_snr_T alone.
    ValueError: T < 1; log_snr_1 ≤ log_snr_T; values so extreme that a β leaves (0, 1).
    """
    check_integer("T", T)
    check(-np.inf < log_snr_T < log_snr_1 < np.inf, "log_snr_1", log_snr_1,
          f"it must be above log_snr_T = {log_snr_T}, and both finite")
    log_snr = np.linspace(log_snr_T, log_snr_1, T)[::-1]
    log_alpha_bar = np.concatenate([[0.0], -np.logaddexp(0, -log_snr)])
    return Schedule(-np.expm1(np.diff(log_alpha_bar)))


def respace(schedule: Schedule, times: Any) -> tuple[Schedule, Array]:
    """The chain that visits only the given times: (Schedule, times) (Improved DDPM §4).

    With τ_0 = 0, its β′_i = 1 − ᾱ_{τ_i}/ᾱ_{τ_{i−1}} make its ᾱ′_i equal to ᾱ_{τ_i}.  So a network
    trained on the whole chain can be used on the short one; it must be given τ_i, not i.
    times: τ_1 < τ_2 < … in 1…T.  ValueError: any other times.
    """
    times = schedule.check_t(times)
    rising = times.ndim == 1 and times.size and (np.diff(times) > 0).all()
    check(rising, "times", times, "one time or more, in rising order")
    log_alpha_bar = schedule.log_alpha_bar[times]
    return Schedule(-np.expm1(np.diff(log_alpha_bar, prepend=0.0))), times
