"""How large and how noisy is each term of the ELBO?

    python demos/ledger.py                  # --steps N: training steps

−ELBO is a sum of T + 1 terms, and the ledger has every one of them.  With a small MLP trained on
eight Gaussians, four panels show
* how large each L_{t−1} is, beside that of the exact denoiser, the smallest possible;
* the weight of each squared error in the ELBO, which L_simple replaces by 1;
* the standard deviation of each term in the two forms of the ELBO (Luo 44 and 58);
* the excess of −ELBO over the data's entropy for three choices of σ_t², exact, for Gaussian data.
Writes ledger.png and report.json, which also has the network's −ELBO with four choices of σ_t².
"""
# %%
import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import (cosine, first_form_terms, ledger, linear, log_snr_uniform, simple_weights,
                      toy)
from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, progress_bar, progress_over, write_picture
from tinyddpm.app.run import fit, open_data, start
from tinyddpm.network.threads import one_blas_thread
from tinyddpm.oracle import optimal_variance, terms_from_error


def trained(dataset, seed, steps, T, **choices):
    with progress_bar(steps, "training") as bar:
        run, rng = start(dataset, seed, steps=steps, T=T, schedule="linear", **choices)
        return fit(run, dataset, rng, bar=bar)


def gap(schedule, variance, data_var=0.25):
    """E[−ELBO] − entropy in nats, exact, for data N(0, data_var) and their exact denoiser."""
    noise_var = schedule.one_minus_alpha_bar
    error = data_var * noise_var / (schedule.alpha_bar * data_var + noise_var)  # Var(x_0 | x_t)
    if variance == "exact":
        variance = optimal_variance(schedule, error, 1)
    minus_elbo = terms_from_error(schedule, error, data_var, 1, variance).sum()
    return minus_elbo - 0.5 * np.log(2 * np.pi * np.e * data_var)


# %% The four panels.
def draw_terms(ax, mean, exact):
    """L_{t−1} for t = 2…T; returns the t up to which they add up to half of Σ L_{t−1}."""
    T = len(mean) - 1
    t = np.arange(2, T + 1)
    cumulative = np.cumsum(mean[1:T]) / mean[1:T].sum()
    half = int(t[np.argmax(cumulative >= 0.5)])
    ax.plot(t, mean[1:T], color=plot.MODEL, linewidth=2)
    ax.plot(t, exact[1:T], color=plot.EXACT, linewidth=1)
    ax.text(3.5, 1.3 * mean[3], "the network", color=plot.MODEL, fontsize=11)
    ax.text(2.2, exact[6], "the exact\ndenoiser", color=plot.EXACT, fontsize=11, va="top")
    ax.set(xscale="log", yscale="log", xlabel="t", ylabel=r"$L_{t-1}$, nats", ylim=(1e-5, None))
    ax.set_title(f"The terms t = 2…{half} of {T} hold half of $\\sum L_{{t-1}}$", loc="left")
    return half


def draw_weights(ax, schedule):
    """The weights of the squared errors, t = 2…T; returns largest/smallest for the linear β."""
    T, t = schedule.T, np.arange(2, schedule.T + 1)
    for make, label, colour, at in ((linear, "linear β", plot.MODEL, 5),
                                    (cosine, "cosine", plot.OTHERS[1], T // 2),
                                    (log_snr_uniform, "uniform in log SNR", plot.OTHERS[0], 2)):
        weight = simple_weights(make(T))
        is_above = make is linear  # the label, of its line
        ax.plot(t, weight[2:], color=colour, linewidth=2)
        ax.text(at, weight[at] * (1.12 if is_above else 0.93), label, color=colour, fontsize=11,
                va="bottom" if is_above else "top")
    weight = simple_weights(schedule)[2:]
    ratio = weight.max() / weight.min()
    ax.set(xscale="log", yscale="log", xlabel="t", ylim=(0.01, 1),
           ylabel=r"weight of $\|\varepsilon-\varepsilon_\theta\|^2$ in the ELBO")
    ax.set_title(f"$L_{{simple}}$ ignores weights that differ {ratio:.0f}-fold (linear β)",
                 loc="left")
    return ratio


def draw_noise(ax, first, second):
    """The standard deviation of each term in Luo's two forms.  first, second: (N, T + 1) nats.

    Returns how many times noisier a term of the first form is (median), and the standard deviations
    of the two sums.
    """
    by_term = np.median(first.std(0)[1:] / second.std(0)[1:])
    sums = first.sum(1).std(), second.sum(1).std()
    ax.plot(first.std(0), color=plot.OTHERS[0], linewidth=2)
    ax.plot(second.std(0)[:-1], color=plot.MODEL, linewidth=2)
    ax.text(0.35, 0.85, f"first form (Luo 44); their sum: {sums[0]:.2f}", color=plot.OTHERS[0],
            fontsize=11, transform=ax.transAxes)
    ax.text(0.35, 0.72, f"second form (Luo 58); their sum: {sums[1]:.2f}", color=plot.MODEL,
            fontsize=11, transform=ax.transAxes)
    ax.set(yscale="log", xlabel="term k (0: $L_0$, $T$: $L_T$)", ylabel="standard deviation, nats")
    than = "less" if sums[0] < sums[1] else "more"
    ax.set_title(f"First form: each term ~{by_term:.0f} times noisier, yet the sum {than} noisy",
                 loc="left", fontsize=11)
    return by_term, sums


def draw_variances(ax, largest):
    """−ELBO above the entropy for N(0, ¼) and its exact denoiser; returns it for the largest T."""
    Ts, limit = np.unique(np.geomspace(25, largest, 40).astype(int)), np.euler_gamma / 2
    colours = {"beta_tilde": plot.MODEL, "beta": plot.OTHERS[1], "exact": plot.EXACT}
    at_largest = {}
    for make, style in ((linear, "-"), (cosine, "--")):
        for variance, colour in colours.items():
            nats = [gap(make(int(T)), variance) for T in Ts]
            ax.plot(Ts, nats, color=colour, linewidth=2, linestyle=style)
            at_largest[make.__name__, variance] = nats[-1]
    ax.axhline(limit, color=plot.FAINT, zorder=0)
    ax.text(Ts[-1], limit - 0.03, f"Euler's constant/2 = {limit:.4f}", ha="right", va="top",
            fontsize=11)
    ax.text(110, 1.3, r"$\tilde\beta_t$ (dashed: cosine)", color=plot.MODEL, fontsize=11)
    ax.text(Ts[0], 0.09, r"$\beta_t$", color=plot.OTHERS[1], fontsize=11)
    ax.text(200, 0.04, "the exact reverse variance: 0", color=plot.EXACT, fontsize=11)
    ax.set(xscale="log", xlabel="T", ylabel="−ELBO − entropy, nats per dimension",
           ylim=(-0.03, 2))
    cost = at_largest["linear", "beta_tilde"]
    ax.set_title(f"$\\sigma_t^2 = \\tilde\\beta_t$ still costs {cost:.3f} nats at T = {largest:,}",
                 loc="left")
    return at_largest


def main(out, seed, quick, steps):
    steps, T, n, largest = (20, 25, 40, 1000) if quick else (steps, 200, 1000, 64000)
    rng, data = np.random.default_rng(seed), toy("eight_gaussians")
    dataset = open_data("eight_gaussians")

    # %% A network, its ELBO in both forms, and the exact ELBO of the best possible denoiser.
    run = trained(dataset, seed, steps, T)
    schedule, x_0 = run.schedule, data.sample(rng, n)
    second = ledger(schedule, run.denoiser, x_0, rng, progress=progress_over("ledger"))
    first = first_form_terms(schedule, run.denoiser, x_0, rng)
    times = progress_over("exact terms")(range(1, T + 1))
    error = np.array([0] + [data.error(schedule, t) for t in times])
    exact = terms_from_error(schedule, error, square=2, dimensions=2)

    # %% The same network with three variances, and one that has learned its own; all with the same
    # noise.
    learner = trained(dataset, seed, steps, T, loss="hybrid", variance="learned")
    optimal = optimal_variance(schedule, error, dimensions=2)
    choices = {"beta": (run, "beta"), "beta_tilde": (run, "beta_tilde"), "exact": (run, optimal),
               "learned": (learner, "learned")}
    nats = {}
    for name, (network, variance) in choices.items():
        same_rng = np.random.default_rng(seed)
        nats[name] = -ledger(schedule, network.denoiser, x_0, same_rng, variance).elbo[0]

    # %% The picture.
    figure, ((terms, weights), (noise, variances)) = plot.new_figure(2, 5.6, 4, rows=2)
    half = draw_terms(terms, second.per_t()[0], exact)
    weight_ratio = draw_weights(weights, schedule)
    by_term, sums = draw_noise(noise, first, second.terms)
    costs = draw_variances(variances, largest)
    write_picture(out / "ledger.png", figure)

    listed = ", ".join(f"{name} {value:.3f}" for name, value in nats.items())
    print(f"−ELBO in nats by σ_t²: {listed}; entropy {data.entropy():.3f}, "
          f"exact denoiser with β {exact.sum():.3f}")
    with_beta_tilde, with_beta = (costs["linear", name] for name in ("beta_tilde", "beta"))
    answer = (f"The terms t = 2…{half} of {T} hold half of Σ L_{{t−1}}.  The weights that "
              f"L_simple ignores differ {weight_ratio:.0f}-fold.  A term of the first form is "
              f"{by_term:.0f} times noisier than one of the second (median), but the sum of its "
              f"terms is {sums[0] / sums[1]:.1f} times as noisy.  For N(0, ¼) and T = {largest}, "
              f"exactly, σ_t² = β̃_t costs {with_beta_tilde:.4f} nats, and β_t {with_beta:.1g}.")
    finish(out, answer, seed, nats_by_variance=nats, entropy=data.entropy(),
           exact_optimum=exact.sum(), std_of_sum_first_and_second=sums)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "ledger-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=3000, metavar="N",
                        help="training steps (%(default)s)")
    with one_blas_thread():  # the matrix products are small
        run_demo(main, parser)
