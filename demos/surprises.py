"""Which four things look right, and are wrong?

    python demos/surprises.py

A schedule for T = 1000, used with T = 50; an equation of a well-known review; tests of a sampler
by its samples; and 1 − ᾱ_t in float32.  Every number is exact, by closed forms and recursions for
Gaussian data; nothing is sampled.  Writes surprises.png, with a panel for each, and report.json.
"""
# %%
from typing import NamedTuple

import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import Mixture, bits_per_dim, linear, predict, prior_term, reverse_step
from tinyddpm.app import plot
from tinyddpm.app.console import write_picture
from tinyddpm.oracle import gaussian_chain, gaussian_terms


def one_gaussian(mean, var):
    return Mixture([1], [[mean]], [[[var]]])


class Affine(NamedTuple):
    """p_θ(x_{t−1} | x_t) = N(gain·x_t + offset, var), 1-D; (T + 1,) each, entry 0 unused."""

    gain: np.ndarray
    offset: np.ndarray
    var: np.ndarray


def affine(step, T):
    """`Affine` of the step (x_t, t) → Gaussian, by its values at x_t = 0 and 1."""
    steps = Affine(*np.zeros((3, T + 1)))
    for t in range(1, T + 1):
        p = step(np.array([[0.0], [1.0]]), t)
        at_0, at_1 = p.mean[:, 0]
        steps.offset[t] = at_0
        steps.gain[t] = at_1 - at_0
        steps.var[t] = np.ravel(p.var)[0]
    return steps


# %% Equations 44 and 45 of Luo's review.
def first_form(schedule, steps, x_0, as_kl):
    """−ELBO of x_0 by Luo 44; with as_kl by Luo 45.

    Luo 45 is right only if, given x_{t−1}, x_t and x_{t+1} were independent; they are not.
    """
    before, now = slice(0, -1), slice(1, None)  # x_{t−1} and x_t
    gain, step_var, beta = steps.gain[now], steps.var[now], schedule.beta[now]
    mean, var = np.sqrt(schedule.alpha_bar) * x_0, schedule.one_minus_alpha_bar
    shared = var[before] - (schedule.beta[before] if as_kl else 0)
    covariance = np.sqrt(schedule.alpha[now]) * shared
    bias = mean[before] - gain * mean[now] - steps.offset[now]
    variance = var[before] + gain ** 2 * var[now] - 2 * gain * covariance
    log_p = -0.5 * (np.log(2 * np.pi * step_var) + (bias ** 2 + variance) / step_var)
    log_q = -0.5 * (np.log(2 * np.pi * beta) + 1)
    log_prior = -0.5 * (np.log(2 * np.pi) + mean[-1] ** 2 + var[-1])
    return log_q.sum() - log_p.sum() - log_prior


def two_equations(T, x_0=0.5):
    """−ELBO of x_0 by the ledger (Luo 58), by 44, by 45; and the error of 45 in closed form."""
    schedule, data = linear(T), one_gaussian(0.0, 1.0)
    denoiser = data.denoiser(schedule)
    steps = affine(lambda x, t: reverse_step(schedule, predict(schedule, denoiser, x, t)), T)
    by_ledger = gaussian_terms(schedule, data, np.array([[x_0]])).sum()
    by_44, by_45 = (first_form(schedule, steps, x_0, as_kl) for as_kl in (False, True))
    errors = np.sqrt(schedule.alpha[2:]) * schedule.beta[1:-1] * steps.gain[2:] / steps.var[2:]
    return by_ledger, by_44, by_45, errors.sum()


# %% Three mistakes in a sampler.
def with_mistakes(schedule, data):
    """Exact (mean, standard deviation) of a sampler's output: without and with each mistake."""
    denoiser, T = data.denoiser(schedule), schedule.T

    def correct(x, t):
        return reverse_step(schedule, predict(schedule, denoiser, x, t))

    def padded(x, t):  # Ho 11 with 1e-5 added "for safety" to its denominator
        at = schedule.coefficients_at(t, x)
        denominator = np.sqrt(at.one_minus_alpha_bar) + 1e-5
        mean = (x - at.beta / denominator * denoiser(x, t)) / np.sqrt(at.alpha)
        return correct(x, t)._replace(mean=mean)

    def chain(step, start=T, stop=0):
        steps = affine(step, T)
        mean, var = 0.0, 1.0
        for t in range(start, stop, -1):
            mean = steps.gain[t] * mean + steps.offset[t]
            var = steps.gain[t] ** 2 * var + (steps.var[t] if t > 1 else 0)
        return np.array([mean, np.sqrt(var)])

    mean, covariance = gaussian_chain(schedule, data)
    expected = np.array([mean[0, 0], np.sqrt(covariance[0, 0, 0])])
    return expected, {"starting at T − 1": chain(correct, start=T - 1),
                      "stopping at t = 2": chain(correct, stop=1),
                      "1e-5 in a denominator": chain(padded)}


# %% The four panels; each function returns its numbers.
def draw_schedules(ax):
    full, unscaled, scaled = linear(1000), linear(50, scaled=False), linear(50)
    alpha_bar_T = unscaled.alpha_bar[-1]
    L_T = bits_per_dim(prior_term(unscaled, np.array([[1.0]]))[0], 1)
    print(f"a. linear β of T = 1000 at T = 50: alpha_bar_T = {alpha_bar_T:.3f} and L_T = {L_T:.2f} "
          f"bits/dim at x² = 1; scaled by 1000/T: {scaled.alpha_bar[-1]:.2g}")
    try:
        linear(20)
    except ValueError as error:
        print(f"   and T = 20: {error}")
    lines = ((full, plot.FAINT, 6), (scaled, plot.EXACT, 1.5), (unscaled, plot.MODEL, 2.5))
    for schedule, colour, width in lines:
        t = np.arange(schedule.T + 1)
        ax.plot(t / schedule.T, schedule.alpha_bar, color=colour, linewidth=width)
    ax.text(1, alpha_bar_T - 0.03, "T = 50 with the β\nof T = 1000", color=plot.MODEL, ha="right",
            va="top", fontsize=11)
    ax.text(0.5, 0.14, "T = 1000, and\nT = 50 with β × 20", fontsize=11, va="bottom")
    ax.set(xlabel="t/T", ylabel=r"$\bar\alpha_t$", ylim=(0, 1.02))
    ax.set_title(f"With the β of another T, $x_T$ keeps {alpha_bar_T:.0%} of the variance",
                 loc="left")
    return alpha_bar_T, L_T


def draw_equations(ax, Ts):
    rows = np.array([two_equations(T) for T in Ts])
    by_58, by_44, by_45, closed_form = rows[-1]
    print(f"b. T = {Ts[-1]}: −ELBO = {by_58:.6f} by Luo 58, {by_44:.6f} by 44, {by_45:.6f} by 45; "
          f"45 is off by {by_45 - by_44:.6f} nats, in closed form {closed_form:.6f}")
    ax.plot(Ts, rows[:, 2], "o-", color=plot.MODEL, linewidth=2)
    ax.plot(Ts, rows[:, 0], "o-", color=plot.EXACT, linewidth=2)
    ax.text(Ts[-2], 0.5 * rows[-2, 2], "Luo 45", color=plot.MODEL, fontsize=11, va="top")
    ax.text(Ts[0], 1.25 * by_58, "Luo 44 and 58", fontsize=11, va="bottom")
    ax.set(xscale="log", yscale="log", xlabel="T", ylabel=r"$-$ELBO, nats", ylim=(0.5, None))
    ax.set_title(f"Luo 45 is not the ELBO: {closed_form:.0f} nats too large at T = {Ts[-1]}",
                 loc="left")
    return rows[-1]


def draw_mistakes(ax, T):
    expected, wrong = with_mistakes(linear(T), one_gaussian(0.5, 0.25))
    error = expected[1] / np.sqrt([100_000, 200_000])  # of mean and std of 100,000 samples
    shifts = {name: abs(moments - expected) for name, moments in wrong.items()}
    for name, shift in shifts.items():
        relative = shift / error
        print(f"c. {name}: mean and standard deviation are off by {shift[0]:.1e} and "
              f"{shift[1]:.1e}, {relative[0]:.2f} and {relative[1]:.2f} standard errors of "
              f"100,000 samples")
    largest = max((shift / error).max() for shift in shifts.values())
    ax.axvspan(1e-9, 1, color=plot.FAINT, alpha=0.25, linewidth=0)
    ax.axvspan(2 * error[1], 1, color=plot.DATA, alpha=0.2, linewidth=0)
    ax.text(2e-9, -0.8, "found by the exact recursion", fontsize=11, va="center")
    ax.text(1, -0.8, "by samples ", color=plot.DATA, fontsize=11, va="center", ha="right")
    for row, shift in enumerate(shifts.values()):
        ax.plot(shift, [row, row], "o", color=plot.MODEL, markersize=8)
        style = dict(color=plot.MODEL, fontsize=11, ha="center")
        ax.text(shift[0], row - 0.15, "mean", va="bottom", **style)
        ax.text(shift[1], row + 0.17, "std", va="top", **style)
    names = [name.replace(" at ", "\nat ").replace(" a ", " a\n") for name in shifts]
    ax.set(xscale="log", xlim=(1e-12, 1), ylim=(2.5, -1.2), yticks=range(3), yticklabels=names,
           xlabel="error of the samples' mean and standard deviation")
    ax.tick_params(axis="y", length=0, labelsize=11)
    ax.set_title("100,000 samples do not show three mistakes", loc="left")
    return shifts, error, largest


def draw_float32(ax):
    schedule = linear(1000)
    in_float32 = 1 - np.cumprod(1 - schedule.beta.astype(np.float32))
    relative = abs(in_float32[1:] / schedule.one_minus_alpha_bar[1:] - 1)
    round_off = 2.0 ** -24
    print(f"d. 1 − ᾱ_t from float32 tables is off by {relative[0]:.1e} at t = 1; "
          f"the round-off of float32 is {round_off:.0e}")
    ax.plot(range(1, 1001), relative, color=plot.MODEL, linewidth=1)
    ax.axhline(round_off, color=plot.EXACT)
    ax.text(1, round_off * 1.3, "the round-off of float32", fontsize=11, va="bottom")
    ax.set(xscale="log", yscale="log", xlabel="t", ylabel=r"relative error of $1-\bar\alpha_t$",
           ylim=(1e-8, 1e-3))
    digits = np.log10(relative.max() / round_off)
    ax.set_title(f"float32 tables lose {digits:.1f} digits of $1-\\bar\\alpha_t$", loc="left")
    return float(relative[0])


def main(out, seed, quick):
    Ts, T = ((25, 50, 100), 100) if quick else ((25, 50, 100, 200, 500, 1000), 1000)
    figure, ((signal, equations), (mistakes, cancellation)) = plot.new_figure(2, 5.6, 3.9, rows=2)
    alpha_bar_T, L_T = draw_schedules(signal)
    by_58, by_44, by_45, closed_form = draw_equations(equations, Ts)
    shifts, error, largest = draw_mistakes(mistakes, T)
    relative_error = draw_float32(cancellation)
    write_picture(out / "surprises.png", figure)
    answer = (f"The linear β of T = 1000 used with T = 50: x_T keeps {alpha_bar_T:.1%} of the "
              f"data's variance.  Luo's equation 45: off by {closed_form:.1f} nats at T = "
              f"{Ts[-1]}.  Tests by samples: three mistakes in a sampler change mean and standard "
              f"deviation by at most {largest:.1f} standard errors of 100,000 samples.  Tables in "
              f"float32: 1 − ᾱ_1 is off by {relative_error:.1e}, relative.")
    finish(out, answer, seed, alpha_bar_T=alpha_bar_T, L_T_bits=L_T, by_58=by_58, by_44=by_44,
           by_45=by_45, closed_form=closed_form, relative_error=relative_error,
           standard_errors=list(error),
           shifts={name: list(shift) for name, shift in shifts.items()})


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "surprises-out"))
