"""What is between the bound and the likelihood?

    python demos/bound.py

log p(x) = ELBO + KL(q(z | x) ‖ p(z | x)) for every q (2.1): the gap is the KL from q to the model's
own posterior.  Above, a model with one latent, z ~ N(0, 1) and x | z ~ N(z, ¼), and four q: the
gap is zero where q is the posterior.  Below, left, the bound for every mean of q.  Then the same
for a chain, whose latents are x_1…x_T and whose q is the forward process: data N(0, ¼), the exact
denoiser, and T from 1 to 10,000.  With σ_t² = β_t the gap closes.  With σ_t² = β̃_t it does not,
although p_θ comes just as near to the data.
Every number is exact.  The KL is computed from q and the posterior, the ELBO and the likelihood
without it; report.json has the largest difference.  Writes bound.png and report.json.
"""
# %%
import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import Gaussian, Mixture, cosine
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, write_picture
from tinyddpm.linear_chain import gaussian_log_likelihood, gaussian_terms, path_kl

X, NOISE_VAR = 1.0, 0.25  # the datum, and the variance of p(x | z)
POSTERIOR = X / (1 + NOISE_VAR), NOISE_VAR / (1 + NOISE_VAR)  # mean and variance of p(z | x)
WIDE = 4 * POSTERIOR[1]
FOUR = {"A": (-0.2, POSTERIOR[1]), "B": (0.4, POSTERIOR[1]), "C": (POSTERIOR[0], WIDE),
        "D": POSTERIOR}  # q(z | x): mean and variance


# %% One latent.
def gaussian(mean, var):
    return Gaussian(np.array([[mean]]), var)


def log_likelihood():
    """log p(x), with z integrated out: x ~ N(0, 1 + ¼)."""
    return float(gaussian(0.0, 1 + NOISE_VAR).log_prob(np.array([[X]]))[0])


def elbo(mean, var):
    """E_q[log p(x, z) − log q(z | x)] by Gauss–Hermite nodes, exact for a quadratic."""
    nodes, weight = np.polynomial.hermite_e.hermegauss(3)
    z = (mean + np.sqrt(var) * nodes)[:, None]
    log_joint = Gaussian(0 * z, 1.0).log_prob(z) + Gaussian(z, NOISE_VAR).log_prob(X + 0 * z)
    return float(weight @ (log_joint - Gaussian(mean + 0 * z, var).log_prob(z)) / weight.sum())


def kl(mean, var):
    """KL(q(z | x) ‖ p(z | x))."""
    return float(gaussian(mean, var).kl(gaussian(*POSTERIOR))[0])


def colour_of(var):
    return plot.OTHERS[0] if var == WIDE else plot.MODEL


def draw_q(ax, name, mean, var):
    """q filled, the posterior dashed."""
    z = np.linspace(-1.9, 3.1, 300)[:, None]
    q, posterior = (np.exp(Gaussian(m + 0 * z, v).log_prob(z)) for m, v in ((mean, var), POSTERIOR))
    ax.fill_between(z[:, 0], q, color=colour_of(var), alpha=0.5, linewidth=0)
    ax.plot(z, posterior, "--", color=plot.EXACT)
    ax.set(yticks=[], xlabel="z", ylim=(0, 1))
    ax.spines["left"].set_visible(False)
    gap = "KL = 0, no gap" if name == "D" else f"KL = {kl(mean, var):.2f} nats"
    ax.set_title(f"{name}: {gap}", loc="left", fontsize=11)


def draw_bound(ax):
    """The ELBO for every mean of q, for two variances, below log p(x)."""
    means = np.linspace(-0.35, 1.95, 200)
    ax.plot(means, np.full_like(means, log_likelihood()), color=plot.EXACT, linewidth=2)
    ax.text(means[0], log_likelihood() + 0.06, "log p(x)", fontsize=11, va="bottom")
    for var in (POSTERIOR[1], WIDE):
        ax.plot(means, [elbo(mean, var) for mean in means], color=colour_of(var), linewidth=2)
    at_B = FOUR["B"][0]
    ax.plot([at_B, at_B], [elbo(*FOUR["B"]), log_likelihood()], ":", color=plot.EXACT)
    ax.text(at_B - 0.04, log_likelihood() - 0.2, "KL", fontsize=11, ha="right", va="center")
    ax.text(1.32, -1.85, "ELBO, q as wide\nas the posterior", color=plot.MODEL, fontsize=10)
    ax.text(POSTERIOR[0], -3.2, "ELBO, q twice\nas wide", color=plot.OTHERS[0], fontsize=10,
            ha="center")
    for name, (mean, var) in FOUR.items():
        ax.plot(mean, elbo(mean, var), "o", color=colour_of(var), markersize=7)
        ax.annotate(name, (mean, elbo(mean, var)), (5, -13), textcoords="offset points",
                    fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel="mean of q", ylabel="nats", ylim=(-4.3, -1.1))
    ax.set_title("One latent: ELBO + KL = log p(x)", loc="left")


# %% A chain.
def chains(Ts, variance):
    """E[log p_θ(x_0)], E[ELBO] and E[KL] over the data N(0, ¼), (3, len(Ts)), and log p_data."""
    data = Mixture([1], [[0.0]], [[[0.25]]])
    x_0 = np.array([[0.5]])  # all are quadratic in x_0: at x_0² = ¼ they have their expectation
    rows = []
    for T in progress_over(f"chains, {variance}")(Ts):
        schedule = cosine(int(T))
        log_p = gaussian_log_likelihood(schedule, data, x_0, variance)[0]
        bound = -gaussian_terms(schedule, data, x_0, variance)[0].sum()
        of_paths = path_kl(schedule, data.denoiser(schedule), x_0, variance)[0].sum()
        rows.append((log_p, bound, of_paths))
    return np.array(rows).T, float(data.log_prob(x_0)[0])


def draw_chain(ax, Ts, numbers, log_p_data, title):
    log_p, bound, _ = numbers
    ax.axhline(log_p_data, color=plot.DATA, linestyle=":", linewidth=2)
    ax.plot(Ts, log_p, color=plot.EXACT, linewidth=2)
    ax.plot(Ts, bound, color=plot.MODEL, linewidth=2)
    ax.fill_between(Ts, bound, log_p, color=plot.FAINT, alpha=0.4, linewidth=0)
    ax.set(xscale="log", xlabel="T", ylim=(-1.7, -0.55))
    ax.set_title(title, loc="left")


def main(out, seed, quick):
    Ts = np.unique(np.geomspace(1, 300 if quick else 10_000, 12 if quick else 33).astype(int))
    both = {variance: chains(Ts, variance) for variance in ("beta", "beta_tilde")}

    # %% The picture.
    figure, axes = plot.new_figure(4, 2.8, 3, rows=2, height_ratios=(0.75, 1.25))
    for ax, (name, (mean, var)) in zip(axes[0], FOUR.items()):
        draw_q(ax, name, mean, var)
    axes[0, 0].text(-0.3, 0.25, "q(z | x)", ha="center", fontsize=11)
    axes[0, 0].text(1.4, 0.7, "p(z | x),\nthe model's\nposterior", fontsize=11, va="center")
    for ax in axes[1, :2]:
        ax.remove()
    draw_bound(figure.add_subplot(axes[1, 0].get_gridspec()[1, :2]))
    titles = {"beta": r"$\sigma_t^2 = \beta_t$: the gap closes",
              "beta_tilde": r"$\sigma_t^2 = \tilde\beta_t$: a gap stays"}
    for ax, (variance, (numbers, log_p_data)) in zip(axes[1, 2:], both.items()):
        draw_chain(ax, Ts, numbers, log_p_data, titles[variance])
    left, right = axes[1, 2:]
    left.text(Ts[-1], log_p_data + 0.02, r"$\log p_{data}(x_0)$", color=plot.DATA, ha="right",
              va="bottom", fontsize=11)
    left.text(3, -1.0, "ELBO", color=plot.MODEL, fontsize=11)
    right.text(Ts[-1], -0.85, "KL", ha="right", va="center", fontsize=11)
    right.text(Ts[-1], log_p_data + 0.02, r"$\log p_\theta(x_0)$", ha="right", va="bottom",
               fontsize=11)
    right.text(2, -1.45, "ELBO", color=plot.MODEL, fontsize=11)
    figure.suptitle("The gap between the bound and the likelihood is the KL from q to the model's "
                    "posterior", x=0.01, ha="left")
    figure.supxlabel("below, right: chains of T steps, data N(0, ¼), the exact denoiser, averages "
                     "over the data", x=0.99, ha="right", fontsize=9)
    write_picture(out / "bound.png", figure)

    one = [log_likelihood() - elbo(*q) - kl(*q) for q in FOUR.values()]
    chain = [log_p - bound - of_paths for (log_p, bound, of_paths), _ in both.values()]
    largest = float(max(abs(difference).max() for difference in map(np.array, [one, *chain])))
    print(f"log p − ELBO and KL differ by at most {largest:.0e} nats")
    gaps = {variance: numbers[2][-1] for variance, (numbers, _) in both.items()}
    short = {variance: log_p - numbers[0][-1] for variance, (numbers, log_p) in both.items()}
    answer = (f"The KL from q to the model's posterior: it is zero only where q is the posterior.  "
              f"For a chain of T = {Ts[-1]} steps it is {gaps['beta']:.1g} nats with σ_t² = β_t "
              f"and {gaps['beta_tilde']:.2f} nats with β̃_t, although with both the likelihood is "
              f"within {max(map(abs, short.values())):.0e} nats of the data's.")
    finish(out, answer, seed, T=Ts.tolist(), largest_difference=largest, log_p_data=log_p_data,
           four={name: {"elbo": elbo(*q), "kl": kl(*q)} for name, q in FOUR.items()},
           chains={variance: dict(zip(("log_p", "elbo", "kl"), numbers.tolist()))
                   for variance, (numbers, _) in both.items()})


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "bound-out"))
