"""Why draw ε and not x?

    python demos/reparameterise.py

How does E[f(z)], z ~ N(μ, σ²), change with μ?  There are two unbiased answers from a single draw.  The score-function
estimator takes z as it comes and asks how its probability changes: f(z)·∇_μ log N(z; μ, σ²).  The pathwise one writes
z = μ + σ·ε: the chance is all in ε, so the gradient passes through the draw, and is ∇f(z).  Here f(z) = ½‖z‖², with autograd
for the estimates, and closed forms for the gradient, which is μ, and for all variances.  Even with a baseline, E[f] taken
off f, the score-function estimator gets noisier with every dimension, and a digit has 784.  Writes reparameterise.png.
"""
# %%
import autograd.numpy as np
import numpy
from autograd import grad

from tinyddpm import Gaussian
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, write_picture

COLOURS = {"pathwise": plot.MODEL, "score function": plot.OTHERS[0], "score function, baseline": plot.OTHERS[1]}


def f(z):
    return 0.5 * np.sum(z ** 2, axis=1)


def gradients(mean, var, eps):
    """∇_μ E[f(z)] as each draw by itself has it: {estimator: (n, D)}.  mean: (n, D), the same for every draw."""
    z = Gaussian(mean, var).sample(eps)  # a number: the score function does not look at where it came from
    expected = 0.5 * np.sum(mean ** 2 + var, axis=1)
    log_prob = {name: grad(lambda mean: np.sum(weight * Gaussian(mean, var).log_prob(z)))(mean)
                for name, weight in (("score function", f(z)), ("score function, baseline", f(z) - expected))}
    return {"pathwise": grad(lambda mean: np.sum(f(Gaussian(mean, var).sample(eps))))(mean), **log_prob}


def exact_variances(m, var, D):
    """The variance of one coordinate of each, where every coordinate of μ is m: moments of z = m + σ·ε."""
    others, spread = (D - 1) * (m ** 2 + var), (D - 1) * (2 * var ** 2 + 4 * m ** 2 * var)  # of Σ z_j² over the other j
    f_eps2 = (m ** 2 + 3 * var + others) / 2  # E[f·ε²]
    f2_eps2 = (m ** 4 + 18 * m ** 2 * var + 15 * var ** 2 + 2 * (m ** 2 + 3 * var) * others + others ** 2 + spread) / 4
    expected = D * (m ** 2 + var) / 2
    return {"pathwise": var, "score function": f2_eps2 / var - m ** 2,
            "score function, baseline": (f2_eps2 - 2 * expected * f_eps2 + expected ** 2) / var - m ** 2}


def main(out, seed, quick):
    rng, m, var, n = numpy.random.default_rng(seed), 1.0, 1.0, 400 if quick else 4000
    dimensions, D_shown = (1, 4, 16, 64, 256, 784), 16
    figure, (left, right) = plot.new_figure(2, 4.2, 3.6)

    # %% n draws in more and more dimensions: is the average the gradient, and what is the variance of one draw?
    furthest, measured = 0.0, {}
    for D in dimensions:
        exact = exact_variances(m, var, D)
        for name, draws in gradients(np.full((n, D), m), var, rng.standard_normal((n, D))).items():
            standard_error = np.sqrt(exact[name] / n)
            furthest = max(furthest, float(abs(draws.mean(0) - m).max() / standard_error))
            measured[name, D] = float(draws.var(0).mean())
            if D == D_shown:
                count = np.arange(1, n + 1)
                left.plot(count, np.cumsum(draws[:, 0]) / count, color=COLOURS[name], linewidth=1.2)
                band = 2 * np.sqrt(exact[name] / count)
                left.fill_between(count, m - band, m + band, color=COLOURS[name], alpha=0.15, linewidth=0)

    # %% The picture: exact lines, measured dots.
    left.axhline(m, color=plot.EXACT, linewidth=0.8, linestyle="--")
    left.set(xscale="log", xlim=(10, n), ylim=(m - 7, m + 7), xlabel="draws", yticks=[m], yticklabels=["exact"])
    left.set_title(f"average of one coordinate, D = {D_shown}, ± 2 s.e.", loc="left", fontsize=10)
    grid = range(1, 1001)
    for name, colour in COLOURS.items():
        right.plot(grid, [exact_variances(m, var, D)[name] for D in grid], color=colour, linewidth=1.2)
        right.plot(dimensions, [measured[name, D] for D in dimensions], "o", color=colour, markersize=5)
    right.set(xscale="log", yscale="log", xlabel="dimensions", ylim=(0.3, 4e6))
    right.set_title("variance of one draw: exact lines, measured dots", loc="left", fontsize=10)
    for name, x, y in zip(COLOURS, (30, 1.2, 30), (1.6, 2e3, 15)):
        right.text(x, y, name, color=COLOURS[name])
    last = dimensions[-1]
    ratio = {name: measured[name, last] / measured["pathwise", last] for name in COLOURS}
    exact_ratio = {name: v / exact["pathwise"] for name, v in exact.items()}
    plain, helped = list(COLOURS)[1:]
    figure.suptitle(f"Both are right on average; in {last} dimensions the score function's\nvariance is {ratio[plain]:,.0f} "
                    f"times the pathwise one's, with a baseline {ratio[helped]:,.0f} times", x=0.01, ha="left")

    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "reparameterise.png", figure)
    finish(out, f"Because the gradient then passes through the draw: both estimators are unbiased (no average of {n} further "
                f"than {furthest:.1f} standard errors from the exact gradient), but in {last} dimensions the score "
                f"function's variance is {ratio[plain]:,.0f} times the pathwise one's (exactly {exact_ratio[plain]:,.0f}), "
                f"and with a baseline {ratio[helped]:,.0f} times ({exact_ratio[helped]:,.0f}).", seed,
           furthest_in_standard_errors=furthest, variance_ratio=ratio, exact_variance_ratio=exact_ratio)


if __name__ == "__main__":
    arguments = demo_parser(__doc__, "reparameterise-out").parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
