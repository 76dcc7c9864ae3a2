"""Where was the chain one step earlier, for someone who knows where it started?

    python demos/posterior.py

Bayes' rule as a picture.  x_0 alone says q(x_{t−1} | x_0): the prior.  x_t adds q(x_t | x_{t−1}), as a function of
x_{t−1}: the likelihood.  Their product, normalised, is q(x_{t−1} | x_t, x_0).  Here it is multiplied out on a grid, and the
closed form that the code uses (`posterior`) is drawn on top.  Precisions add, so either side contributes a share of what is
known; at t = 1 the prior is the point x_0 itself, and no likelihood moves it.  Writes posterior.png.
"""
# %%
import numpy as np

from tinyddpm import cosine, diffuse, forward, marginal, posterior
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, write_picture

PRIOR, LIKELIHOOD, PRODUCT = plot.DATA, plot.OTHERS[1], plot.MODEL


def by_bayes(schedule, x, x_0, x_t, t):
    """Prior, likelihood, their normalised product and the closed form, at the values x of x_{t−1}; t ≥ 2."""
    x_0, x_t, spacing = np.full_like(x, x_0), np.full_like(x, x_t), (x[-1, 0] - x[0, 0]) / (len(x) - 1)
    prior = np.exp(marginal(schedule, x_0, t - 1).log_prob(x))
    likelihood = np.exp(forward.forward_step(schedule, x, t).log_prob(x_t))
    evidence = (prior * likelihood).sum() * spacing  # ∫ q(x_t|x_{t−1})·q(x_{t−1}|x_0) dx_{t−1}
    return prior, likelihood, prior * likelihood / evidence, np.exp(posterior(schedule, x_t, t, x_0).log_prob(x))


def main(out, seed, quick):
    schedule = cosine(10)  # few steps, hence large ones: prior and likelihood are both wide enough to be seen
    x = np.linspace(-12, 12, 2401)[:, None]

    # %% Every t from 2 to T, with x_0 and x_t as they come: how far apart are product and closed form?
    rng = np.random.default_rng(seed)
    largest = 0.0
    for t in np.repeat(np.arange(2, schedule.T + 1), 5 if quick else 100):
        x_0 = rng.standard_normal((1, 1))
        _, _, product, exact = by_bayes(schedule, x, x_0, diffuse(schedule, x_0, t, rng.standard_normal((1, 1))), t)
        largest = max(largest, abs(product - exact).max() / exact.max())

    # %% Four of them to look at, all with the same x_0 and an x_t that lies 1.5 standard deviations low.
    figure, axes = plot.new_figure(2, 4.2, 2.5, rows=2)
    x_0, shares = np.full((1, 1), 1.0), {}
    for ax, t in zip(axes.flat, (1, 2, 5, 10)):
        x_t = diffuse(schedule, x_0, t, np.full((1, 1), -1.5))
        if t == 1:
            point = posterior(schedule, x_t, t, x_0)
            likelihood = np.exp(forward.forward_step(schedule, x, t).log_prob(np.full_like(x, x_t)))
            largest = max(largest, abs(point.mean - x_0).max() + point.var)  # a point mass on x_0, or this is not 0
            ax.plot([point.mean[0, 0]] * 2, [0, 2.6], color=plot.EXACT, linestyle="--")
        else:
            prior, likelihood, product, exact = by_bayes(schedule, x, x_0, x_t, t)
            ax.plot(x, prior, color=PRIOR)
            ax.fill_between(x[:, 0], product, color=plot.MODEL, alpha=0.4, linewidth=0)
            ax.plot(x, exact, color=plot.EXACT, linestyle="--")
        ax.plot(x, likelihood, color=LIKELIHOOD)
        shares[t] = float(schedule.beta[t] / schedule.one_minus_alpha_bar[t])  # of 1/β̃_t = 1/(1 − ᾱ_{t−1}) + α_t/β_t
        ax.set(xlim=(-2.4, 3.2), ylim=(0, None), yticks=[], xticks=[x_0[0, 0], x_t[0, 0]], xticklabels=["$x_0$", "$x_t$"])
        for tick, colour in zip(ax.get_xticklabels(), (PRIOR, LIKELIHOOD)):
            tick.set(color=colour, fontsize=11)
        ax.set_title(f"$t = {t}$:  {100 * shares[t]:.3g} % of the precision is from $x_0$", loc="left", fontsize=10)
    axes[0, 0].text(1.1, 2.2, "all mass on $x_0$")
    axes[0, 0].text(0.4, 1.2, "$q(x_t\\,|\\,x_{t-1})$\nlikelihood of $x_{t-1}$", color=LIKELIHOOD, ha="right")
    axes[1, 0].text(1.35, 0.47, "$q(x_{t-1}|\\,x_0)$\nprior", color=PRIOR)
    axes[1, 0].text(-1.12, 0.47, "likelihood", color=LIKELIHOOD, ha="right")
    axes[1, 0].text(0.5, 0.85, "product", color=plot.MODEL)
    axes[1, 0].text(0.5, 0.75, "closed form, dashed")
    figure.suptitle(f"Prior × likelihood, normalised, is $q(x_{{t-1}}|\\,x_t, x_0)$, within {largest:.0e} of its peak",
                    x=0.01, ha="left")

    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "posterior.png", figure)
    finish(out, f"Where x_0 and x_t together say it was: prior times likelihood, normalised on a grid, is the closed form "
                f"q(x_{{t-1}} | x_t, x_0) to {largest:.0e} of its peak; of its precision x_0 gives all at t = 1, "
                f"{shares[5]:.0%} at t = 5 and {shares[10]:.1%} at t = T = 10.", seed,
           largest_difference=largest, share_of_x_0=shares)


if __name__ == "__main__":
    arguments = demo_parser(__doc__, "posterior-out").parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
