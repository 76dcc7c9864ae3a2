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
from tinyddpm.linear_chain import gaussian_chain, gaussian_terms


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
    ax.text(0.5, 0.14, "T = 1000 (grey), and\nT = 50 with β × 20", fontsize=11, va="bottom")
    ax.set(xlabel="t/T", ylabel=r"$\bar\alpha_t$: share of $x_0$'s variance that is left",
           ylim=(0, 1.02))
    ax.set_title(f"With the β of another T, $x_T$ keeps {alpha_bar_T:.0%} of the data's variance",
                 loc="left", fontsize=11.5)
    return alpha_bar_T, L_T


def draw_equations(ax, Ts):
    rows = np.array([two_equations(T) for T in Ts])
    by_58, by_44, by_45, closed_form = rows[-1]
    print(f"b. T = {Ts[-1]}: −ELBO = {by_58:.6f} by Luo 58, {by_44:.6f} by 44, {by_45:.6f} by 45; "
          f"45 is off by {by_45 - by_44:.6f} nats, in closed form {closed_form:.6f}")
    ax.plot(Ts, rows[:, 2], "o-", color=plot.MODEL, linewidth=2)
    ax.plot(Ts, rows[:, 0], "o-", color=plot.EXACT, linewidth=2)
    ax.text(Ts[-2], 0.5 * rows[-2, 2], "Luo 45", color=plot.MODEL, fontsize=11, va="top")
    ax.text(Ts[0], 1.25 * by_58, "Luo 44 and Luo 58: the right value", fontsize=11, va="bottom")
    ax.set(xscale="log", yscale="log", xlabel="T", ylabel=r"$-$ELBO for $x_0 = 0.5$, nats",
           ylim=(0.5, None))
    ax.set_title(f"Equation 45 of Luo's review is {closed_form:.0f} nats off at T = {Ts[-1]}",
                 loc="left", fontsize=11.5)
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
    for row, shift in enumerate(shifts.values()):
        which = int((shift / error).argmax())
        moment = ("mean", "standard deviation")[which]
        ax.plot(shift[which] / error[which], row, "o", color=plot.MODEL, markersize=9,
                clip_on=False)
        ax.text(shift[which] / error[which] + 0.1, row, f"{moment} off by {shift[which]:.0e}",
                color=plot.MODEL, fontsize=11, va="center")
    ax.axvspan(2, 3, color=plot.DATA, alpha=0.2, linewidth=0)
    ax.text(2.5, -0.75, "100,000 samples\nshow an error", color=plot.DATA, fontsize=11,
            va="center", ha="center")
    ax.text(0.1, -0.75, "an exact recursion shows\nall three (above 1e-9)", fontsize=11,
            va="center")
    names = [name.replace(" at ", "\nat ").replace(" a ", " a\n") for name in shifts]
    ax.set(xlim=(0, 3), ylim=(2.5, -1.2), yticks=range(3), yticklabels=names, xticks=range(4),
           xlabel="error of the sampler, in standard errors of 100,000 samples")
    ax.tick_params(axis="y", length=0, labelsize=11)
    ax.set_title("Three mistakes in a sampler do not show in 100,000 samples", loc="left",
                 fontsize=11.5)
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
    ax.text(5, relative[0], "tables computed in float32", color=plot.MODEL, fontsize=11,
            va="bottom")
    ax.set(xscale="log", yscale="log", xlabel="t", ylabel=r"relative error of $1-\bar\alpha_t$",
           ylim=(1e-8, 1e-3))
    digits = np.log10(relative.max() / round_off)
    ax.set_title(f"float32 loses {digits:.0f} of its 7 digits of $1-\\bar\\alpha_t$ at small t",
                 loc="left", fontsize=11.5)
    return float(relative[0])


def main(out, seed, quick):
    Ts, T = ((25, 50, 100), 100) if quick else ((25, 50, 100, 200, 500, 1000), 1000)
    figure, ((signal, equations), (mistakes, cancellation)) = plot.new_figure(2, 5.6, 3.9, rows=2)
    alpha_bar_T, L_T = draw_schedules(signal)
    by_58, by_44, by_45, closed_form = draw_equations(equations, Ts)
    shifts, error, largest = draw_mistakes(mistakes, T)
    relative_error = draw_float32(cancellation)
    write_picture(out / "surprises.png", figure)
    answer = (f"The β of T = 1000, used with T = 50, leaves {alpha_bar_T:.0%} of the data's "
              f"variance in x_T; and equation 45 of Luo's review (2022) is off by "
              f"{closed_form:.0f} nats at T = {Ts[-1]}.  Three mistakes in a sampler change its "
              f"output by at most {largest:.1f} standard errors of 100,000 samples; and in float32 "
              f"1 − ᾱ_1 is off by {relative_error:.0e}, relative.")
    finish(out, answer, seed, alpha_bar_T=alpha_bar_T, L_T_bits=L_T, by_58=by_58, by_44=by_44,
           by_45=by_45, closed_form=closed_form, relative_error=relative_error,
           standard_errors=list(error), largest_in_standard_errors=largest,
           shifts={name: list(shift) for name, shift in shifts.items()})


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "surprises-out"))
