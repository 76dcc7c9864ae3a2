"""Why write a draw as μ + σ·ε?

    python demos/reparameterise.py

How does E[f(z)], z ~ N(μ, σ²), change with μ?  A single draw gives two unbiased estimates.
* REINFORCE, the likelihood-ratio estimator, f(z)·∇_μ log N(z; μ, σ²), takes z as a constant, and
  asks how its probability changes.
* The reparameterised estimator writes z = μ + σ·ε.  The randomness is in ε alone, so the gradient
  passes through the draw, and the estimate is ∇f(z).
Here f(z) = ½‖z‖².  Autograd computes the estimates; the gradient, which is μ, and all variances
have closed forms.  REINFORCE gets noisier with every dimension, even with a baseline (E[f] is
subtracted from f), and a digit has 784 dimensions.  Writes reparameterise.png and report.json.
"""
# %%
import autograd.numpy as anp
import numpy as np
from autograd import grad
from common import demo_parser, finish, run_demo

from tinyddpm import Gaussian
from tinyddpm.app import plot
from tinyddpm.app.console import write_picture

OURS, REINFORCE, BASELINE = "reparameterised", "REINFORCE", "REINFORCE, baseline"
FORMULAS = {OURS: r"reparameterised: $\nabla f(\mu+\sigma\varepsilon)$",
            REINFORCE: r"REINFORCE: $f(z)\,\nabla_\mu\log N(z;\mu,\sigma^2)$",
            BASELINE: r"REINFORCE, baseline: $(f(z)-E[f])\,\nabla_\mu\log N(z;\mu,\sigma^2)$"}
COLOURS = {OURS: plot.MODEL, REINFORCE: plot.OTHERS[0], BASELINE: plot.OTHERS[1]}


def f(z):
    return 0.5 * anp.sum(z ** 2, axis=1)


def gradients(mean, var, eps):
    """The estimates of ∇_μ E[f(z)], one for each draw: {estimator: (n, D)}.

    mean: (n, D), the same for every draw.
    """
    z = Gaussian(mean, var).sample(eps)
    expected = 0.5 * np.sum(mean ** 2 + var, axis=1)

    def reparameterised(mean):
        return anp.sum(f(Gaussian(mean, var).sample(eps)))

    def likelihood_ratio(weight):
        return lambda mean: anp.sum(weight * Gaussian(mean, var).log_prob(z))

    return {OURS: grad(reparameterised)(mean), REINFORCE: grad(likelihood_ratio(f(z)))(mean),
            BASELINE: grad(likelihood_ratio(f(z) - expected))(mean)}


def exact_variances(m, var, D):
    """The variance of one coordinate of each estimate, if every coordinate of μ is m.

    By the moments of z = m + σ·ε.  `others` and `others_var` are mean and variance of Σ z_j² over
    the other D − 1 coordinates.
    """
    others, others_var = (D - 1) * (m ** 2 + var), (D - 1) * (2 * var ** 2 + 4 * m ** 2 * var)
    f_eps2 = (m ** 2 + 3 * var + others) / 2  # E[f·ε²]
    own = m ** 4 + 18 * m ** 2 * var + 15 * var ** 2
    mixed = 2 * (m ** 2 + 3 * var) * others
    f2_eps2 = (own + mixed + others ** 2 + others_var) / 4  # E[f²·ε²]
    expected = D * (m ** 2 + var) / 2  # E[f]
    with_baseline = f2_eps2 - 2 * expected * f_eps2 + expected ** 2
    return {OURS: var, REINFORCE: f2_eps2 / var - m ** 2, BASELINE: with_baseline / var - m ** 2}


def main(out, seed, quick):
    rng, m, var, n = np.random.default_rng(seed), 1.0, 1.0, 400 if quick else 4000
    dimensions, D_shown = (1, 4, 16, 64, 256, 784), 16
    figure, (left, right) = plot.new_figure(2, 4.2, 3.9)

    # %% n draws in more and more dimensions: their average and their variance.
    furthest, measured = 0.0, {}
    for D in dimensions:
        exact = exact_variances(m, var, D)
        estimates = gradients(np.full((n, D), m), var, rng.standard_normal((n, D)))
        for name, draws in estimates.items():
            standard_error = np.sqrt(exact[name] / n)
            furthest = max(furthest, float(abs(draws.mean(0) - m).max() / standard_error))
            measured[name, D] = float(draws.var(0).mean())
            if D == D_shown:
                count = np.arange(1, n + 1)
                average = np.cumsum(draws[:, 0]) / count
                left.plot(count, average, color=COLOURS[name], linewidth=1.2)
                band = 2 * np.sqrt(exact[name] / count)
                left.fill_between(count, m - band, m + band, color=COLOURS[name], alpha=0.15,
                                  linewidth=0)

    # %% The picture: exact lines, measured dots.
    left.axhline(m, color=plot.EXACT, linewidth=0.8, linestyle="--")
    left.set(xscale="log", xlim=(10, n), ylim=(m - 7, m + 7), xlabel="number of draws", yticks=[m],
             yticklabels=["exact"])
    left.set_title(f"average of the estimates in {D_shown} dimensions\n"
                   f"(one coordinate; bands: ± 2 standard errors)", loc="left", fontsize=10)
    grid = range(1, 1001)
    for name, colour in COLOURS.items():
        lines = [exact_variances(m, var, D)[name] for D in grid]
        right.plot(grid, lines, color=colour, linewidth=1.2, label=FORMULAS[name])
        dots = [measured[name, D] for D in dimensions]
        right.plot(dimensions, dots, "o", color=colour, markersize=5)
    right.set(xscale="log", yscale="log", xlabel="dimensions", ylim=(0.3, 4e6))
    right.set_title("variance of the estimate from one draw\n(lines: exact, dots: measured)",
                    loc="left", fontsize=10)
    for name, x, y in zip(COLOURS, (30, 1.2, 30), (1.6, 2e3, 15)):
        right.text(x, y, name, color=COLOURS[name])
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower left", ncols=2,
                  frameon=False, alignment="left",
                  title=r"Estimates of $\nabla_\mu E[f(z)]$ from $z = \mu+\sigma\varepsilon$, here "
                        r"with $f(z) = \frac{1}{2}\Vert z\Vert^2$")
    last = dimensions[-1]
    ratio = {name: measured[name, last] / measured[OURS, last] for name in COLOURS}
    exact_ratio = {name: exact[name] / exact[OURS] for name in COLOURS}
    figure.suptitle("A gradient through the draw is far less noisy than REINFORCE", x=0.01,
                    ha="left")
    write_picture(out / "reparameterise.png", figure)
    answer = ("Because the gradient then passes through the draw, and its estimate has little "
              f"variance.  In {last} dimensions the alternative, REINFORCE, has "
              f"{ratio[REINFORCE]:,.0f} times the variance, and {ratio[BASELINE]:,.0f} times with "
              "a baseline (E[f], subtracted from f).")
    finish(out, answer, seed, draws=n, furthest_average_in_standard_errors=furthest,
           variance_ratio=ratio, exact_variance_ratio=exact_ratio)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "reparameterise-out"))
