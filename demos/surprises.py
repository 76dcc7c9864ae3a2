"""What surprised us?

    python demos/surprises.py

Four things that look right and are not: a schedule of T = 1000 used with T = 50; an equation of a well-known review; Monte-Carlo
tests of a sampler; and 1 − ᾱ_t in float32.  Every number here is exact, by closed forms and recursions for Gaussian data;
nothing is sampled.  Writes surprises.png, a panel for each.
"""
# %%
import numpy as np

from tinyddpm import Mixture, bits_per_dim, linear, predict, prior_term, reverse
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, write_picture
from tinyddpm.oracle import gaussian_chain, gaussian_terms


def one_gaussian(mean, var):
    return Mixture([1], [[mean]], [[[var]]])


def affine(step, T):
    """M, k, S of p_θ(x_{t−1}|x_t) = N(M·x_t + k, S), (T + 1,) each; entry 0 is unused.  step: (x_t, t) → Gaussian."""
    M, k, S = np.zeros((3, T + 1))
    for t in range(1, T + 1):
        p = step(np.array([[0.0], [1.0]]), t)
        k[t], M[t], S[t] = p.mean[0, 0], p.mean[1, 0] - p.mean[0, 0], np.ravel(p.var)[0]
    return M, k, S


# %% Equations 44 and 45 of Luo's review.
def first_form(schedule, M, k, S, x_0, as_kl):
    """−ELBO of x_0 by Luo 44; or, as_kl, by Luo 45, which draws x_t anew from q(x_t|x_{t−1}), whatever x_{t+1} is."""
    here, there = slice(0, -1), slice(1, None)  # x_{t−1} and x_t
    mean, var = np.sqrt(schedule.alpha_bar) * x_0, schedule.one_minus_alpha_bar
    covariance = np.sqrt(schedule.alpha[there]) * (var[here] - (schedule.beta[here] if as_kl else 0))
    off = mean[here] - M[there] * mean[there] - k[there]
    spread = var[here] + M[there] ** 2 * var[there] - 2 * M[there] * covariance
    log_p = -0.5 * (np.log(2 * np.pi * S[there]) + (off ** 2 + spread) / S[there])
    log_q = -0.5 * (np.log(2 * np.pi * schedule.beta[there]) + 1)
    log_prior = -0.5 * (np.log(2 * np.pi) + mean[-1] ** 2 + var[-1])
    return log_q.sum() - log_p.sum() - log_prior


def two_equations(T, x_0=0.5):
    """−ELBO of x_0 by the ledger (Luo 58), by 44, by 45, and 58's excess over 45 in closed form."""
    schedule, data = linear(T), one_gaussian(0.0, 1.0)
    denoiser = data.denoiser(schedule)
    M, k, S = affine(lambda x, t: reverse.reverse_step(schedule, predict(schedule, denoiser, x, t)), T)
    missing = (np.sqrt(schedule.alpha[2:]) * schedule.beta[1:-1] * M[2:] / S[2:]).sum()
    return (gaussian_terms(schedule, data, np.array([[x_0]])).sum(), first_form(schedule, M, k, S, x_0, False),
            first_form(schedule, M, k, S, x_0, True), missing)


# %% Three mistakes in a sampler.
def with_mistakes(schedule, data):
    """Exact mean and standard deviation of the samples of N(m, s): as they should be, and with each mistake."""
    denoiser, T = data.denoiser(schedule), schedule.T

    def right(x, t):
        return reverse.reverse_step(schedule, predict(schedule, denoiser, x, t))

    def padded(x, t):  # Ho 11 with 1e-5 "for safety" in its denominator
        at = schedule.coefficients_at(t, x)
        mean = (x - at.beta / (np.sqrt(at.one_minus_alpha_bar) + 1e-5) * denoiser(x, t)) / np.sqrt(at.alpha)
        return right(x, t)._replace(mean=mean)

    def chain(step, start=T, stop=0):
        M, k, S = affine(step, T)
        mean, var = 0.0, 1.0
        for t in range(start, stop, -1):
            mean, var = M[t] * mean + k[t], M[t] ** 2 * var + (S[t] if t > 1 else 0)
        return np.array([mean, np.sqrt(var)])

    mean, cov = gaussian_chain(schedule, data)
    return np.array([mean[0, 0], np.sqrt(cov[0, 0, 0])]), {
        "starting at T − 1": chain(right, start=T - 1), "stopping at t = 2": chain(right, stop=1),
        "1e-5 in a denominator": chain(padded)}


def main(out, seed, quick):
    out.mkdir(parents=True, exist_ok=True)
    figure, ((signal, bound), (blind, cancels)) = plot.new_figure(2, 5.6, 3.9, rows=2)

    # %% a. A schedule belongs to its T.
    whole, short, scaled = linear(1000), linear(50, scaled=False), linear(50)
    lost = bits_per_dim(prior_term(short, np.array([[1.0]]))[0], 1)
    print(f"a. linear β of T = 1000 at T = 50: alpha_bar_T = {short.alpha_bar[-1]:.3f} and L_T = {lost:.2f} bits/dim at x² = 1; "
          f"scaled by 1000/T: {scaled.alpha_bar[-1]:.2g}")
    try:
        linear(20)
    except ValueError as error:
        print(f"   and T = 20: {error}")
    for schedule, colour, width in ((whole, plot.FAINT, 6), (scaled, plot.EXACT, 1.5), (short, plot.MODEL, 2.5)):
        signal.plot(np.arange(schedule.T + 1) / schedule.T, schedule.alpha_bar, color=colour, linewidth=width)
    signal.text(1, short.alpha_bar[-1] - 0.03, "T = 50 with the β\nof T = 1000", color=plot.MODEL, ha="right", va="top", fontsize=11)
    signal.text(0.5, 0.14, "T = 1000, and\nT = 50 with β × 20", fontsize=11, va="bottom")
    signal.set(xlabel="t/T", ylabel=r"$\bar\alpha_t$", ylim=(0, 1.02))
    signal.set_title(f"$x_T$ is {100 * short.alpha_bar[-1]:.0f} % data still: $L_T$ = {lost:.2f} bits/dim", loc="left")

    # %% b. Equation 45 is not the ELBO.
    Ts = (25, 50, 100) if quick else (25, 50, 100, 200, 500, 1000)
    rows = np.array([two_equations(T) for T in Ts])
    by_ledger, by_44, by_45, missing = rows[-1]
    print(f"b. T = {Ts[-1]}: −ELBO = {by_ledger:.6f} by Luo 58, {by_44:.6f} by 44, {by_45:.6f} by 45; "
          f"45 is off by {by_45 - by_44:.6f} nats, closed form {missing:.6f}")
    bound.plot(Ts, rows[:, 2], "o-", color=plot.MODEL, linewidth=2)
    bound.plot(Ts, rows[:, 0], "o-", color=plot.EXACT, linewidth=2)
    bound.text(Ts[-2], 0.5 * rows[-2, 2], "equation 45", color=plot.MODEL, fontsize=11, va="top")
    bound.text(Ts[0], 1.25 * by_ledger, "equations 44 and 58", fontsize=11, va="bottom")
    bound.set(xscale="log", yscale="log", xlabel="T", ylabel=r"$-$ELBO, nats", ylim=(0.5, None))
    bound.set_title(f"Equation 45 is not the ELBO: off by {missing:.0f} nats at T = {Ts[-1]}", loc="left")

    # %% c. Samples see little.
    right, wrong = with_mistakes(linear(100 if quick else 1000), one_gaussian(0.5, 0.25))
    error = right[1] / np.sqrt([100_000, 200_000])  # of the mean and standard deviation of 100,000 samples
    shifts = {name: abs(moments - right) for name, moments in wrong.items()}
    for name, shift in shifts.items():
        print(f"c. {name}: mean and standard deviation move by {shift[0]:.1e} and {shift[1]:.1e}, "
              f"{shift[0] / error[0]:.2f} and {shift[1] / error[1]:.2f} standard errors of 100,000 samples")
    worst = max((shift / error).max() for shift in shifts.values())
    blind.axvspan(1e-9, 1, color=plot.FAINT, alpha=0.25, linewidth=0)
    blind.axvspan(2 * error[1], 1, color=plot.DATA, alpha=0.2, linewidth=0)
    blind.text(2e-9, -0.8, "seen by the exact recursion", fontsize=11, va="center")
    blind.text(1, -0.8, "by samples ", color=plot.DATA, fontsize=11, va="center", ha="right")
    for row, shift in enumerate(shifts.values()):
        blind.plot(shift, [row, row], "o", color=plot.MODEL, markersize=8)
        blind.text(shift[0], row - 0.15, "mean", color=plot.MODEL, fontsize=11, ha="center", va="bottom")
        blind.text(shift[1], row + 0.17, "std", color=plot.MODEL, fontsize=11, ha="center", va="top")
    blind.set(xscale="log", xlim=(1e-12, 1), ylim=(2.5, -1.2), yticks=range(3),
              yticklabels=[name.replace(" at ", "\nat ").replace(" a ", " a\n") for name in shifts], xlabel="shift of the samples' distribution")
    blind.tick_params(axis="y", length=0, labelsize=11)
    blind.set_title(f"Three mistakes, ≤ {worst:.1f} s.e. of 100,000 samples", loc="left")

    # %% d. 1 − ᾱ_t cancels.
    in_float32 = 1 - np.cumprod(1 - whole.beta.astype(np.float32))
    relative = abs(in_float32[1:] / whole.one_minus_alpha_bar[1:] - 1)
    print(f"d. 1 − ᾱ_t from float32 tables is off by {relative[0]:.1e} at t = 1; float32 itself rounds by {2.0 ** -24:.0e}")
    cancels.plot(range(1, 1001), relative, color=plot.MODEL, linewidth=1)
    cancels.axhline(2.0 ** -24, color=plot.EXACT)
    cancels.text(1, 2.0 ** -24 * 1.3, "the round-off of float32", fontsize=11, va="bottom")
    cancels.set(xscale="log", yscale="log", xlabel="t", ylabel=r"relative error of $1-\bar\alpha_t$", ylim=(1e-8, 1e-3))
    cancels.set_title(f"float32 tables lose {np.log10(relative.max() / 2 ** -24):.1f} digits of $1-\\bar\\alpha_t$", loc="left")
    write_picture(out / "surprises.png", figure)
    answer = (f"T = 50 with the β of T = 1000 leaves {100 * short.alpha_bar[-1]:.1f} % of the data's variance in x_T; "
              f"equation 45 is off by {missing:.1f} nats at T = {Ts[-1]}; "
              f"three mistakes in a sampler move its samples by at most {worst:.1f} standard errors of 100,000; "
              f"float32 tables get 1 − ᾱ_1 wrong by {relative[0]:.1e}.")
    finish(out, answer, seed, alpha_bar_T=short.alpha_bar[-1], L_T_bits=lost, by_58=by_ledger, by_44=by_44, by_45=by_45,
           closed_form=missing, shifts={name: list(shift) for name, shift in shifts.items()}, standard_errors=list(error),
           relative_error=float(relative[0]))


if __name__ == "__main__":
    arguments = demo_parser(__doc__, "surprises-out").parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
