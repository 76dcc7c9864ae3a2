"""Where do the nats go?

    python demos/ledger.py                  # --steps N: training steps

−ELBO is a sum of T + 1 terms, and the ledger keeps every one.  A small MLP learns eight Gaussians, and four questions follow:
which terms are large, and how much of them is the network's fault (the exact optimum is drawn beside it); what weight
L_simple drops from each; how noisy each is in the bound's two forms (Luo 44 and 58); and what the choice of σ_t² costs,
exactly, for Gaussian data.  Writes ledger.png; the report has the network's −ELBO with four choices of σ_t².
"""
# %%
import numpy as np

from tinyddpm import cosine, first_form_terms, ledger, linear, log_snr_uniform, simple_weights, toy
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, demo_parser, finish, one_sentence_for_mistakes, progress_bar, integer_at_least, write_picture
from tinyddpm.oracle import optimal_variance, terms_from_error
from tinyddpm.app.run import fit, open_data, start
from tinyddpm.network.threads import one_blas_thread


def trained(dataset, seed, steps, T, **choices):
    with progress_bar(steps, "training") as bar:
        run, rng = start(dataset, seed, steps=steps, T=T, schedule="linear", **choices)
        return fit(run, dataset, rng, bar=bar)


def gap(schedule, variance, s=0.25):
    """E[−ELBO] − entropy for data N(0, s) and its exact denoiser, in nats: exact, at any T."""
    error = s * schedule.one_minus_alpha_bar / (schedule.alpha_bar * s + schedule.one_minus_alpha_bar)  # Var(x_0 | x_t)
    variance = optimal_variance(schedule, error, 1) if variance == "exact" else variance
    return terms_from_error(schedule, error, s, 1, variance).sum() - 0.5 * np.log(2 * np.pi * np.e * s)


def main(out, seed, quick, steps):
    steps, T, n, largest = (20, 25, 40, 1000) if quick else (steps, 200, 1000, 64000)
    rng, data, dataset = np.random.default_rng(seed), toy("eight_gaussians"), open_data("eight_gaussians")
    out.mkdir(parents=True, exist_ok=True)

    # %% A network, its ledger in both forms, and the exact one of the best denoiser there can be.
    run = trained(dataset, seed, steps, T)
    schedule, x_0 = run.schedule, data.sample(rng, n)
    second = ledger(schedule, run.denoiser, x_0, rng, progress=progress_over("ledger"))
    first = first_form_terms(schedule, run.denoiser, x_0, rng)
    error = np.array([0] + [data.error(schedule, t) for t in progress_over("exact terms")(range(1, T + 1))])
    exact = terms_from_error(schedule, error, square=2, dimensions=2)

    # %% The same network with three variances, and one that has learned its own.
    best = optimal_variance(schedule, error, dimensions=2)
    learner = trained(dataset, seed, steps, T, loss="hybrid", variance="learned")
    nats = {name: -ledger(schedule, denoiser, x_0, np.random.default_rng(seed), variance).elbo[0]  # the same noise for all
            for name, denoiser, variance in (("beta", run.denoiser, "beta"), ("beta_tilde", run.denoiser, "beta_tilde"),
                                             ("exact", run.denoiser, best), ("learned", learner.denoiser, "learned"))}

    # %% Which terms are large?
    figure, ((where, dropped), (noise, variances)) = plot.new_figure(2, 5.6, 4, rows=2)
    t, mean = np.arange(2, T + 1), second.per_t()[0]
    middle = np.cumsum(mean[1:T]) / mean[1:T].sum()
    half = int(t[np.argmax(middle >= 0.5)])
    where.plot(t, mean[1:T], color=plot.MODEL, linewidth=2)
    where.plot(t, exact[1:T], color=plot.EXACT, linewidth=1)
    where.text(3.5, 1.3 * mean[3], "the network", color=plot.MODEL, fontsize=11)
    where.text(2.2, exact[6], "the optimum,\nexact", color=plot.EXACT, fontsize=11, va="top")
    where.set(xscale="log", yscale="log", xlabel="t", ylabel=r"$L_{t-1}$, nats", ylim=(1e-5, None))
    where.set_title(f"Half of $\\sum L_{{t-1}}$ goes in the steps t = 2…{half} of {T}", loc="left")

    # %% What does L_simple drop?  (t = 1 is the decoder's.)
    for make, label, colour, at in ((linear, "linear", plot.MODEL, 5), (cosine, "cosine", plot.OTHERS[1], T // 2),
                                    (log_snr_uniform, "uniform in log SNR", plot.OTHERS[0], 2)):
        weight = simple_weights(make(T))
        dropped.plot(t, weight[2:], color=colour, linewidth=2)
        dropped.text(at, weight[at] * (1.12 if make is linear else 0.93), label, color=colour, fontsize=11,
                     va="bottom" if make is linear else "top")
    weight = simple_weights(schedule)[2:]
    apart = weight.max() / weight.min()
    dropped.set(xscale="log", yscale="log", xlabel="t", ylim=(0.01, 1),
                ylabel=r"weight of $\|\varepsilon-\varepsilon_\theta\|^2$ in the bound")
    dropped.set_title(f"$L_{{simple}}$ drops weights {apart:.0f}-fold apart (linear)", loc="left")

    # %% How noisy is each form?
    columns = np.median(first.std(0)[1:] / second.terms.std(0)[1:])
    paths = first.sum(1).std(), second.terms.sum(1).std()
    noise.plot(first.std(0), color=plot.OTHERS[0], linewidth=2)
    noise.plot(second.terms.std(0)[:-1], color=plot.MODEL, linewidth=2)
    noise.text(0.35, 0.85, f"first form (44); the sum: {paths[0]:.2f}", color=plot.OTHERS[0], fontsize=11, transform=noise.transAxes)
    noise.text(0.35, 0.72, f"second form (58); the sum: {paths[1]:.2f}", color=plot.MODEL, fontsize=11, transform=noise.transAxes)
    noise.set(yscale="log", xlabel="column t", ylabel="standard deviation, nats")
    noise.set_title(f"First form: {columns:.0f} times as noisy by column, {paths[0] / paths[1]:.1f} in sum", loc="left")

    # %% What does σ_t² cost?
    Ts, limit = np.unique(np.geomspace(25, largest, 40).astype(int)), np.euler_gamma / 2
    costs = {(make.__name__, variance): [gap(make(int(k)), variance) for k in Ts]
             for make in (linear, cosine) for variance in ("beta_tilde", "beta", "exact")}
    for (make, variance), cost in costs.items():
        colour = {"beta_tilde": plot.MODEL, "beta": plot.OTHERS[1], "exact": plot.EXACT}[variance]
        variances.plot(Ts, cost, color=colour, linewidth=2, linestyle="-" if make == "linear" else "--")
    variances.axhline(limit, color=plot.FAINT, zorder=0)
    variances.text(Ts[-1], limit - 0.03, f"γ/2 = {limit:.4f}", ha="right", va="top", fontsize=11)
    variances.text(110, 1.3, r"$\tilde\beta_t$ (dashed: cosine)", color=plot.MODEL, fontsize=11)
    variances.text(Ts[0], 0.09, r"$\beta_t$", color=plot.OTHERS[1], fontsize=11)
    variances.text(200, 0.04, "the exact reverse variance: 0", color=plot.EXACT, fontsize=11)
    variances.set(xscale="log", xlabel="T", ylabel="above the entropy, nats per dimension", ylim=(-0.03, 2))
    variances.set_title(f"At T = {largest:,}, $\\tilde\\beta_t$ still costs {costs['linear', 'beta_tilde'][-1]:.3f} nats", loc="left")
    write_picture(out / "ledger.png", figure)

    print("−ELBO in nats by σ_t²: " + ", ".join(f"{name} {value:.3f}" for name, value in nats.items())
          + f"; entropy {data.entropy():.3f}, exact optimum with β {exact.sum():.3f}")
    with_beta_tilde, with_beta = (costs["linear", variance][-1] for variance in ("beta_tilde", "beta"))
    finish(out, f"Half of Σ L_{{t−1}} goes in t = 2…{half} of {T}; the weights that L_simple drops are {apart:.0f}-fold apart; "
                f"a column of the first form is {columns:.0f} times as noisy as one of the second (median), "
                f"the sum over a path {paths[0] / paths[1]:.1f} times; exactly, for N(0, ¼) at T = {largest}, "
                f"β̃_t costs {with_beta_tilde:.4f} nats (in the limit γ/2 = {limit:.4f}) and β_t {with_beta:.1g}.",
           seed, nats_by_variance=nats, entropy=data.entropy(), exact_optimum=exact.sum(), std_of_sum_first_and_second=paths)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "ledger-out")
    parser.add_argument("--steps", type=integer_at_least(1), default=3000, metavar="N", help="training steps (%(default)s)")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes(), one_blas_thread():  # its products are small
        main(**vars(arguments))
