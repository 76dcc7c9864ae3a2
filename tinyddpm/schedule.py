"""The noise schedule: how much noise the forward process adds at each step t = 1…T.

Everything follows from β_t, the variance of the noise of one step.  α_t = 1 − β_t is what is left of
the signal's variance after one step, ᾱ_t = ∏_{s≤t} α_s after all of them, and ᾱ_t/(1 − ᾱ_t) is the
signal-to-noise ratio.  Tables have T + 1 entries and are indexed as in the papers: `beta[t]` is β_t,
and `alpha_bar[0] == 1` says that x_0 is the data itself.

Near t = 1 the difference 1 − ᾱ_t cancels: from a float32 table it is off in the fourth digit.  So
tables are float64, and 1 − ᾱ_t comes from Σ log1p(−β) through expm1 and never from a subtraction.
"""
from types import SimpleNamespace

import numpy as np

from .gaussian import check


class Schedule:
    """The tables of a noise schedule, read-only float64 arrays of T + 1 entries, t = 0…T.

    beta: the T values β_1…β_T, each strictly between 0 and 1.

    T                          the number of steps
    beta, alpha, alpha_bar     β_t, α_t, ᾱ_t (β_0 = 0, α_0 = ᾱ_0 = 1)
    log_alpha_bar              log ᾱ_t
    one_minus_alpha_bar        1 − ᾱ_t, the variance of q(x_t | x_0)
    weight_0, weight_t         √ᾱ_{t−1}·β_t/(1 − ᾱ_t) and √α_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), the weights of x_0 and x_t
                               in the mean of q(x_{t−1} | x_t, x_0)
    beta_tilde                 β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), its variance
    snr, log_snr               ᾱ_t/(1 − ᾱ_t) and its logarithm; infinite at t = 0

    The last three rows are unused at t = 0.  ValueError: no β at all, one outside (0, 1), or so many
    large ones that ᾱ_T is zero in floating point.
    """

    def __init__(self, beta):
        beta = np.asarray(beta, np.float64)
        check(beta.ndim == 1 and beta.size, "shape of beta", beta.shape, "a schedule takes a list of T >= 1 numbers")
        outside = np.flatnonzero(~((beta > 0) & (beta < 1)))
        if outside.size:
            t = outside[0] + 1
            raise ValueError(f"beta_{t} = {beta[t - 1]:g} of T = {beta.size}: every beta lies strictly between 0 and 1")
        beta = np.concatenate([[0.0], beta])
        log_alpha_bar = np.cumsum(np.log1p(-beta))
        one_minus = -np.expm1(log_alpha_bar)
        one_minus[1] = beta[1]  # exactly so; through log1p and expm1 it could be one ulp away
        self.T = beta.size - 1
        self.beta, self.alpha = beta, 1 - beta
        self.log_alpha_bar, self.alpha_bar, self.one_minus_alpha_bar = log_alpha_bar, np.exp(log_alpha_bar), one_minus
        if not self.alpha_bar[-1]:
            raise ValueError(f"log alpha_bar_T = {log_alpha_bar[-1]:.0f} leaves alpha_bar_T = 0: "
                             f"T = {self.T} betas of this size are too many")
        divisor = np.append(1.0, one_minus[1:])
        alpha_bar_prev, one_minus_prev = np.append(1.0, self.alpha_bar[:-1]), np.append(0.0, one_minus[:-1])
        self.weight_0 = np.sqrt(alpha_bar_prev) * beta / divisor
        self.weight_t = np.sqrt(self.alpha) * one_minus_prev / divisor
        self.beta_tilde = beta * one_minus_prev / divisor  # β̃_1 = 0: a point mass on x_0
        with np.errstate(divide="ignore"):
            self.log_snr = log_alpha_bar - np.log(one_minus)
        self.snr = np.exp(self.log_snr)
        for table in vars(self).values():
            if isinstance(table, np.ndarray):
                table.flags.writeable = False

    def __repr__(self):
        return f"Schedule(T={self.T}, beta {self.beta[1]:.3g}..{self.beta[-1]:.3g}, alpha_bar_T {self.alpha_bar[-1]:.3g})"

    def check_t(self, t, batch=None, lowest=1):
        """t as an integer array, () or (B,).  ValueError: not integers, outside lowest…T, or not B of them."""
        t = np.asarray(t)
        if t.dtype.kind not in "iu":
            raise ValueError(f"t = {t} is no integer: t is a whole number from {lowest} to T = {self.T}")
        inside = (lowest <= t) & (t <= self.T)
        if not inside.all():
            raise ValueError(f"t = {t[~inside].flat[0]} is outside {lowest}..T = {self.T}")
        if t.ndim > 1 or t.ndim == 1 and batch is not None and t.size != batch:
            raise ValueError(f"t has shape {t.shape}: it is one number, or one for each of the {batch} items of the batch")
        return t

    def at(self, t, x, lowest=1):
        """The tables at t, shaped to multiply x: a number for one t, (B, 1, …) for a t of each item.

        The result has the tables' names.  All of it is still float64: combine first, then give the
        combination the dtype of x with `like`.
        t: int or (B,) in lowest…T; x: (B, …) of floats.  ValueError: t outside lowest…T, x not floats.
        """
        dtype = getattr(x, "dtype", type(x))
        check(getattr(dtype, "kind", None) == "f", "dtype of x", dtype, "the chain runs on arrays of floats")
        t = self.check_t(t, x.shape[0] if x.ndim else None, lowest)
        t = t.reshape(t.shape + (1,) * (x.ndim - 1)) if t.ndim else t
        return SimpleNamespace(**{name: table[t] for name, table in vars(self).items() if name != "T"})


def like(x, *coefficients):
    """Coefficients computed in float64, now in the dtype of x: a float32 chain stays float32."""
    cast = tuple(np.asarray(c, x.dtype) for c in coefficients)
    return cast if len(cast) > 1 else cast[0]


def _check_T(T, least=1):
    check(isinstance(T, (int, np.integer)) and T >= least, "T", T, f"the number of steps is a whole number of {least} or more")


def linear(T=1000, beta_1=1e-4, beta_T=0.02, scaled=True):
    """β_t rising linearly from β_1 to β_T (Ho §4), times 1000/T unless scaled=False.

    The paper's two numbers are for T = 1000.  Taken unscaled at T = 50 they leave ᾱ_T = 0.603, and
    sampling would start from an x_T that training never saw.  Scaled, ᾱ_T is below 5e-5 for every T, but
    T ≤ 20 would need β_T ≥ 1.  ValueError: then, and for any other β outside (0, 1).
    """
    _check_T(T)
    try:
        return Schedule(np.linspace(beta_T, beta_1, T)[::-1] * (1000 / T if scaled else 1))  # T = 1 takes β_T
    except ValueError as error:
        hint = f"; scaled by 1000/T = {1000 / T:g}, the linear schedule needs a larger T" if scaled else ""
        raise ValueError(f"{error}{hint}") from None


def cosine(T=1000, s=0.008, beta_max=0.999):
    """ᾱ_t = f(t/T)/f(0) with f(u) = cos²((u + s)/(1 + s)·π/2) (Improved DDPM eq 17), β clipped at beta_max.

    s keeps β from vanishing near t = 0.  At the default beta_max only β_T, which would be 1, is clipped;
    ᾱ_T follows from the clipped value.  β_t = 1 − ᾱ_t/ᾱ_{t−1} is written with cos²A − cos²B =
    sin(B − A)·sin(B + A), which does not cancel.  ValueError: T < 1, a β outside (0, 1).
    """
    _check_T(T)
    check(0 <= s < np.inf, "s", s, "the offset is a finite number of 0 or more")
    angle = (np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2
    beta = np.sin(np.diff(angle)) * np.sin(angle[1:] + angle[:-1]) / np.cos(angle[:-1]) ** 2
    return Schedule(np.minimum(beta, beta_max))


def log_snr_uniform(T=1000, log_snr_1=10.0, log_snr_T=-10.0):
    """log SNR falling from log_snr_1 at t = 1 to log_snr_T at t = T in equal steps.

    With σ_t² = β̃_t the ELBO's weights of ‖ε − ε_θ‖² are the same at every t ≥ 2 of this grid, and nearly
    so with β_t (elbo.simple_weights): L_simple is then the bound up to a constant factor, except for
    L_0 and L_T.  With λ = log SNR, ᾱ = 1/(1 + e^{−λ}) (Kingma et al. 2021, eq 4).

    T = 1 has log_snr_T alone.  ValueError: log_snr_1 ≤ log_snr_T, or values so extreme that β leaves (0, 1).
    """
    _check_T(T)
    check(-np.inf < log_snr_T < log_snr_1 < np.inf, "log_snr_1", log_snr_1, f"finite, and above log_snr_T = {log_snr_T}: noise only grows")
    log_snr = np.linspace(log_snr_T, log_snr_1, T)[::-1]
    log_alpha_bar = np.concatenate([[0.0], -np.logaddexp(0, -log_snr)])
    return Schedule(-np.expm1(np.diff(log_alpha_bar)))


def grey_levels(T=1000):
    """The uniform grid for 256-level images: from a noise of a sixth of a grey level to one of 15 times the largest pixel.

    A sixth of a level already shows which level it is, and a smaller noise would only add steps that cost nothing; a
    larger one would leave the decoder to guess among neighbours.  At log SNR = −5.5, L_T is below 0.003 bits/dim.
    """
    return log_snr_uniform(T, 13.3, -5.5)


def respace(schedule, times):
    """The chain that visits only some of the steps: (Schedule, times), with β′_i = 1 − ᾱ_{τ_i}/ᾱ_{τ_{i−1}}.

    Its ᾱ′_i is ᾱ_{τ_i}, so a network trained on the whole chain serves the short one, as long as it is told
    τ_i and not i (Improved DDPM §4).  times: τ_1 < τ_2 < …, in 1…T.  ValueError: any other times.
    """
    times = schedule.check_t(times)
    check(times.ndim == 1 and times.size and (np.diff(times) > 0).all(), "times", times, "one time or more, in rising order")
    return Schedule(-np.expm1(np.diff(schedule.log_alpha_bar[times], prepend=0.0))), times
