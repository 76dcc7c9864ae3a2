"""What is known about x_{t−1}, given x_t and x_0?

    python demos/posterior.py

Bayes' rule as a picture.  q(x_{t−1} | x_0) is the prior, before x_t is known.  q(x_t | x_{t−1}),
as a function of x_{t−1}, is the likelihood.  Their product, normalised, is q(x_{t−1} | x_t, x_0).
Here it is computed on a grid, and the closed form that the package uses (`posterior`) is drawn
over it.  The precision (1/variance) of the product is the sum of the precisions of prior and
likelihood; at t = 1 the prior is the point x_0 itself, and the likelihood changes nothing.
Writes posterior.png and report.json.
"""
# %%
import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import cosine, diffuse, forward_step, marginal, posterior
from tinyddpm.app import plot
from tinyddpm.app.console import write_picture

PRIOR, LIKELIHOOD, PRODUCT = plot.DATA, plot.OTHERS[1], plot.MODEL


def by_bayes(schedule, x, x_0, x_t, t):
    """Prior, likelihood, their normalised product and the closed form, at x_{t−1} = x; t ≥ 2."""
    x_0, x_t = np.full_like(x, x_0), np.full_like(x, x_t)
    spacing = (x[-1, 0] - x[0, 0]) / (len(x) - 1)
    prior = np.exp(marginal(schedule, x_0, t - 1).log_prob(x))
    likelihood = np.exp(forward_step(schedule, x, t).log_prob(x_t))
    evidence = (prior * likelihood).sum() * spacing  # ∫ q(x_t | x_{t−1})·q(x_{t−1} | x_0) dx_{t−1}
    exact = np.exp(posterior(schedule, x_t, t, x_0).log_prob(x))
    return prior, likelihood, prior * likelihood / evidence, exact


def main(out, seed, quick):
    schedule = cosine(10)  # few and large steps, so that prior and likelihood are both wide
    x = np.linspace(-12, 12, 2401)[:, None]

    # %% The largest difference of product and closed form, for t = 2…T and random x_0, x_t.
    rng = np.random.default_rng(seed)
    largest = 0.0
    for t in np.repeat(np.arange(2, schedule.T + 1), 5 if quick else 100):
        x_0 = rng.standard_normal((1, 1))
        x_t = diffuse(schedule, x_0, t, rng.standard_normal((1, 1)))
        _, _, product, exact = by_bayes(schedule, x, x_0, x_t, t)
        largest = max(largest, abs(product - exact).max() / exact.max())

    # %% Four t, all with the same x_0, and with an x_t 1.5 standard deviations below its mean.
    figure, axes = plot.new_figure(2, 4.2, 2.6, rows=2)
    titles = {1: "$t = 1$: $x_{t-1}$ is $x_0$ itself", 2: "$t = 2$: $x_0$ tells more than $x_t$",
              5: "$t = 5$: both tell about the same",
              10: "$t = T = 10$: $x_t$ tells almost nothing"}
    x_0, shares = np.full((1, 1), 1.0), {}
    for ax, t in zip(axes.flat, (1, 2, 5, 10)):
        x_t = diffuse(schedule, x_0, t, np.full((1, 1), -1.5))
        if t == 1:
            point = posterior(schedule, x_t, t, x_0)
            likelihood = np.exp(forward_step(schedule, x, t).log_prob(np.full_like(x, x_t)))
            ax.plot(x, likelihood, color=LIKELIHOOD)
            # 0 if q(x_0 | x_1, x_0) is the point x_0
            largest = max(largest, abs(point.mean - x_0).max() + point.var)
            ax.plot([point.mean[0, 0]] * 2, [0, 2.6], color=plot.EXACT, linestyle="--")
        else:
            prior, likelihood, product, exact = by_bayes(schedule, x, x_0, x_t, t)
            ax.plot(x, prior, color=PRIOR, label="prior $q(x_{t-1}|\\,x_0)$: what $x_0$ tells")
            ax.plot(x, likelihood, color=LIKELIHOOD,
                    label="likelihood $q(x_t\\,|\\,x_{t-1})$: what $x_t$ tells")
            ax.fill_between(x[:, 0], product, color=PRODUCT, alpha=0.4, linewidth=0,
                            label="prior × likelihood, normalised")
            ax.plot(x, exact, color=plot.EXACT, linestyle="--",
                    label="closed form of $q(x_{t-1}|\\,x_t, x_0)$")
        # 1/β̃_t = 1/(1 − ᾱ_{t−1}) + α_t/β_t, and the prior's share of it is β_t/(1 − ᾱ_t)
        shares[t] = float(schedule.beta[t] / schedule.one_minus_alpha_bar[t])
        ax.set(xlim=(-2.4, 3.2), ylim=(0, None), yticks=[], xticks=[x_0[0, 0], x_t[0, 0]],
               xticklabels=["$x_0$", "$x_t$"])
        for tick, colour in zip(ax.get_xticklabels(), (PRIOR, LIKELIHOOD)):
            tick.set(color=colour, fontsize=11)
        ax.set_title(titles[t], loc="left", fontsize=11)
    axes[0, 0].text(1.1, 2.2, "all probability at $x_0$")
    figure.suptitle("Prior × likelihood = what is known about $x_{t-1}$, given $x_t$ and $x_0$",
                    x=0.01, ha="left")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2,
                  frameon=False)
    write_picture(out / "posterior.png", figure)

    answer = ("A Gaussian: the product of the prior q(x_{t−1} | x_0) and the likelihood "
              "q(x_t | x_{t−1}), normalised.  It lies between the two, nearer to the narrower one, "
              "and the closed form (dashed) agrees with the product on a grid.")
    finish(out, answer, seed, largest_difference=largest, prior_share_of_precision=shares)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "posterior-out"))
