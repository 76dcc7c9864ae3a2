"""Where do the nats of −ELBO go, term by term?

    python demos/ledger.py                  # --steps N: training steps

−ELBO is a sum of T + 1 terms, and the ledger has every one of them.  With a small MLP trained on
eight Gaussians, four panels show
* the running sum of all terms, L_T first and L_0 last, and that of the exact denoiser;
* the weight of each squared error in the ELBO, which L_simple replaces by 1;
* the standard deviation of each term in the two forms of the ELBO (Luo 44 and 58), σ_t² = β_t;
* the excess of −ELBO over the data's entropy for three choices of σ_t², exact, for Gaussian data.
The data are real-valued, so L_0 = −E log p_θ(x_0 | x_1) is that of a density, and may be negative.
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
    """The running sum of the terms, L_T first and L_0 last: each bar adds one term or a block.

    mean, exact: (T + 1,) nats, of the network and of the exact denoiser.  Returns the t up to
    which the L_{t−1} add up to half of their sum.
    """
    T = len(mean) - 1
    names, columns = ["$L_T$"], [slice(T, T + 1)]
    starts = [2 ** i for i in range(T) if 2 ** i < T]  # column k is L_k, so t = k + 1
    for first in reversed(starts):
        last = min(2 * first, T)
        names.append(f"t = {first + 1}…{last}" if first + 1 < last else f"t = {last}")
        columns.append(slice(first, last))
    names, columns = [*names, "$L_0$", "sum: −ELBO"], [*columns, slice(0, 1)]
    nats = np.array([mean[block].sum() for block in columns])
    tops = np.cumsum(nats)
    exact_tops = np.cumsum([exact[block].sum() for block in columns])
    rows = np.arange(len(names))
    colours = [plot.OTHERS[0], *[plot.MODEL] * len(starts), plot.OTHERS[1], plot.FAINT]
    widths, lefts = np.append(nats, tops[-1]), np.append(tops - nats, 0)
    ax.barh(rows, widths, left=lefts, color=colours)
    ends = np.append(exact_tops, exact_tops[-1])
    ax.vlines(ends, rows - 0.4, rows + 0.4, color=plot.EXACT, linewidth=2)
    for row, width, left in zip(rows, widths, lefts):
        ax.text(max(left, left + width, ends[row]), row, f"  {width:.2g}".replace("-", "−"),
                va="center", fontsize=10)
    ax.text(0.98, 0.97, "black: the sum for the exact denoiser,\nthe smallest possible",
            ha="right", va="top", fontsize=10, transform=ax.transAxes)
    ax.text(0.98, 0.83, "$L_T$: prior matching", color=plot.OTHERS[0], ha="right", va="top",
            fontsize=10, transform=ax.transAxes)
    ax.text(0.98, 0.76, "$L_{t-1}$: denoising matching", color=plot.MODEL, ha="right", va="top",
            fontsize=10, transform=ax.transAxes)
    ax.text(0.98, 0.69, "$L_0$: reconstruction (of a density,\nso it may be negative)",
            color=plot.OTHERS[1], ha="right", va="top", fontsize=10, transform=ax.transAxes)
    ax.set(yticks=rows, ylim=(len(rows) - 0.4, -0.6), xlabel="running sum of the terms, nats",
           xlim=(min(0, tops.min()) - 0.1, 1.12 * max(tops.max(), exact_tops.max())))
    ax.set_yticklabels(names, fontsize=10)
    ax.tick_params(axis="y", length=0)
    half = 2 + int(np.argmax(np.cumsum(mean[1:T]) >= 0.5 * mean[1:T].sum()))
    ax.set_title(f"Half of $\\sum L_{{t-1}}$ is in the steps t = 2…{half} of {T}", loc="left")
    return half


def draw_weights(ax, T=1000):
    """The weights of the squared errors, t = 1…T, with σ_t² = β_t; returns largest/smallest."""
    t, ratio = np.arange(1, T + 1), {}
    for make, label, colour in ((linear, "linear β", plot.MODEL),
                                (cosine, "cosine", plot.OTHERS[1]),
                                (log_snr_uniform, "uniform in log SNR", plot.OTHERS[0])):
        weight = simple_weights(make(T))[1:]
        ratio[make.__name__] = weight.max() / weight.min()
        ax.plot(t, weight, color=colour, linewidth=2, label=label)
    weight = simple_weights(cosine(T))
    lowest = 1 + int(weight[1:].argmin())
    first, least, last = f"{weight[1]:.1f}", f"{weight[lowest]:.3f}", f"{weight[T]:.1f}"
    for at, number, x, y in ((1, first, 3, 0.45), (lowest, least, 200, 0.0015),
                             (T, last, 300, 500)):
        ax.plot(at, weight[at], "o", color=plot.OTHERS[1], clip_on=False)
        ax.text(x, y, f"{number} at t = {at}", color=plot.OTHERS[1], ha="center", va="center")
    ax.axhline(1, color=plot.EXACT, linewidth=1)
    ax.text(2, 1.2, "$L_{simple}$: 1 for every t", va="bottom")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.1, 1))
    ax.set(xscale="log", yscale="log", xlabel=f"t, of T = {T}", ylim=(5e-4, 3 * weight[T]),
           ylabel=r"weight of $\|\varepsilon-\varepsilon_\theta\|^2$ in the ELBO")
    ax.set_title(f"$L_{{simple}}$ replaces weights of {least} to {last} by 1 (cosine)", loc="left")
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
    ax.text(0.35, 0.76, "first form: differences of log-densities\n"
            f"(Luo 44); std of their sum: {sums[0]:.2f}", color=plot.OTHERS[0], fontsize=11,
            transform=ax.transAxes)
    ax.text(0.35, 0.6, f"second form: KLs (Luo 58);\nstd of their sum: {sums[1]:.2f}",
            color=plot.MODEL, fontsize=11, transform=ax.transAxes)
    ax.set(yscale="log", xlabel="index of the term: $L_0$ at 0, $L_T$ at $T$",
           ylabel="standard deviation (std), nats")
    than = "yet their sum is less" if sums[0] < sums[1] else "and their sum is more"
    ax.set_title(f"First form: its terms are noisier, {than} noisy", loc="left")
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
    ax.text(Ts[-1], limit - 0.03, f"limit: Euler's constant/2 = {limit:.3f}", ha="right",
            va="top", fontsize=11)
    ax.text(110, 1.3, r"$\sigma_t^2 = \tilde\beta_t$", color=plot.MODEL, fontsize=11)
    ax.text(Ts[0], 0.09, r"$\sigma_t^2 = \beta_t$", color=plot.OTHERS[1], fontsize=11)
    ax.text(200, 0.04, "exact variance of $x_{t-1}$ given $x_t$: 0", color=plot.EXACT, fontsize=11)
    ax.text(0.98, 0.95, "solid: linear β, dashed: cosine\ndata N(0, ¼), exact denoiser", ha="right",
            va="top", transform=ax.transAxes)
    ax.set(xscale="log", xlabel="T", ylabel="−ELBO − entropy, nats per dimension",
           ylim=(-0.03, 2))
    ax.set_title(r"With $\sigma_t^2 = \tilde\beta_t$ more steps do not make the bound tight",
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
    figure, ((terms, weights), (noise, variances)) = plot.new_figure(2, 5.6, 4.2, rows=2)
    half = draw_terms(terms, second.per_t()[0], exact)
    weight_ratio = draw_weights(weights)
    by_term, sums = draw_noise(noise, first, second.terms)
    costs = draw_variances(variances, largest)
    write_picture(out / "ledger.png", figure)

    listed = ", ".join(f"{name} {value:.3f}" for name, value in nats.items())
    print(f"−ELBO in nats by σ_t²: {listed}; entropy {data.entropy():.3f}, "
          f"exact denoiser with β {exact.sum():.3f}")
    parts = {name: mean for name, (mean, _) in second.summary().items()}
    with_beta_tilde, with_beta = (costs["linear", name] for name in ("beta_tilde", "beta"))
    L_0 = f"{parts['L_0']:.2f}".replace("-", "−")
    answer = (f"Of {parts['sum L_{t-1}']:.2f} nats in Σ L_{{t−1}} the terms t = 2…{half} of {T} "
              f"hold half; L_T adds {parts['L_T']:.1g}, and L_0, of a density, is {L_0}.  With "
              f"σ_t² = β̃_t and the exact denoiser the bound stays {with_beta_tilde:.2f} nats "
              f"below the likelihood of N(0, ¼) at T = {largest:,}.")
    finish(out, answer, seed, nats_by_variance=nats, entropy=data.entropy(),
           exact_optimum=exact.sum(), std_of_sum_first_and_second=sums, terms=parts,
           t_of_half_the_sum=half, weights_largest_over_smallest=weight_ratio,
           std_of_a_term_first_over_second=by_term,
           cost_of_beta_tilde_and_beta=[with_beta_tilde, with_beta])


if __name__ == "__main__":
    parser = demo_parser(__doc__, "ledger-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=3000, metavar="N",
                        help="training steps (%(default)s)")
    with one_blas_thread():  # the matrix products are small
        run_demo(main, parser)
