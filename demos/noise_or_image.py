"""Predict the noise, the image, v or the score: does it matter?

    python demos/noise_or_image.py

Given x_t, each of the four can be converted into each of the others, so with an exact denoiser
the choice makes no difference.  With a network it does: the same error of its output becomes a
different error of ε̂.  Here one small network is trained four times with L_simple, from the same
seed and so on the same batches, with its output taken as ε, x_0, v or the score; and four times
with the squared error of the output itself.  The data are eight Gaussians, so all errors are
measured against the exact denoiser.  Writes noise_or_image.png and report.json.
"""
# %%
import autograd.numpy as anp
import numpy as np
from common import demo_parser, finish, run_demo

from tinyddpm import as_denoiser, diffuse, linear, mlp, reverse, simple_loss, toy, training
from tinyddpm.app import plot
from tinyddpm.app.console import progress_bar, write_picture
from tinyddpm.network.threads import one_blas_thread
from tinyddpm.oracle import excess
from tinyddpm.schedule import cast_like

NAMES = {"eps": "ε", "x_0": "x₀", "v": "v", "score": "score"}
COLOURS = dict(zip(NAMES, (plot.MODEL, *plot.OTHERS)))
FROM_EPS = {"eps": lambda schedule, x_t, t, eps: eps, "x_0": reverse.x_0_from_eps,
            "v": reverse.v_from_eps, "score": reverse.score_from_eps}
SIMPLE, OWN = "L_simple", "squared error of the output"


def output_loss(predicts):
    """The squared error of the output itself: that of ε̂, times a weight that depends on t."""
    def loss(schedule, denoiser, x_0, t, eps):
        at = schedule.coefficients_at(t, x_0)
        weight = {"eps": 1.0, "x_0": 1 / at.snr, "v": 1 / at.alpha_bar,
                  "score": 1 / at.one_minus_alpha_bar}[predicts]
        eps_hat, _ = reverse.evaluate(denoiser, diffuse(schedule, x_0, t, eps), t)
        return anp.mean(cast_like(x_0, weight) * (eps - eps_hat) ** 2)
    return loss


def converted(schedule, denoiser, name):
    """The denoiser's ε̂ as a function (x_t, t) → ε̂, x̂_0, v̂ or score."""
    convert = FROM_EPS[name]
    return lambda x_t, t: convert(schedule, x_t, t, denoiser(x_t, t))


def largest_difference(schedule, data, denoiser, rng):
    """max |μ_θ − μ_θ'| over the four conversions: the exact ε̂, converted and converted back."""
    largest = 0.0
    for t in range(1, schedule.T + 1):
        x_t = diffuse(schedule, data.sample(rng, 100), t, rng.standard_normal((100, 2)))
        mean = reverse.mean_from_eps(schedule, x_t, t, denoiser(x_t, t))
        for name in NAMES:
            eps = as_denoiser(schedule, converted(schedule, denoiser, name), name)(x_t, t)
            difference = abs(reverse.mean_from_eps(schedule, x_t, t, eps) - mean).max()
            largest = max(largest, float(difference))
    return largest


def main(out, seed, quick):
    schedule, data, network = linear(100), toy("eight_gaussians"), mlp(2, width=64)
    best, steps, n = data.denoiser(schedule), 40 if quick else 1500, 100 if quick else 2000
    rng = np.random.default_rng(seed)

    # %% With the exact denoiser, the mean of the reverse step is the same for all four.
    difference = largest_difference(schedule, data, best, rng)

    # %% With a network it is not: eight trainings, with the same initial weights and batches.
    def draw(rng, n):
        return data.sample(rng, n).astype(np.float32)

    gap, error = {}, {}
    with one_blas_thread(), progress_bar(8 * steps, "training") as bar:
        for loss_name in (SIMPLE, OWN):
            for name in NAMES:
                loss = simple_loss if loss_name == SIMPLE else output_loss(name)
                same_rng = np.random.default_rng(seed)
                for step in training.train(schedule, network, draw, same_rng, steps, loss=loss,
                                           predicts=name):
                    weights = step.state.ema
                    bar.update()
                trained = training.denoiser(schedule, network, weights, name)
                same_rng = np.random.default_rng(seed)
                gap[loss_name, name] = excess(schedule, trained, data, same_rng, n=n)[0]
                error[loss_name, name] = []
                for t in range(1, schedule.T + 1):
                    x_t = diffuse(schedule, data.sample(rng, n), t, rng.standard_normal((n, 2)))
                    square = (trained(x_t, t) - best(x_t, t)) ** 2
                    error[loss_name, name].append(float(np.mean(square)))

    # %% The picture.
    figure, (left, right) = plot.new_figure(2, 4.2, 3.7)
    for i, (name, colour) in enumerate(COLOURS.items()):
        left.loglog(range(1, schedule.T + 1), error[SIMPLE, name], color=colour, label=NAMES[name],
                    linewidth=1.3)
        for y, loss_name, face in ((i - 0.19, SIMPLE, colour), (i + 0.19, OWN, "none")):
            nats = gap[loss_name, name]
            right.barh(y, nats, 0.34, facecolor=face, edgecolor=colour, linewidth=1.5)
            right.text(nats + 0.1, y, f"{nats:.2f}", color=colour, va="center")
    left.legend(frameon=False, loc="lower left", title="the output is")
    left.set(xlabel="$t$", ylabel="mean squared error")
    left.set_title("error of $\\hat\\varepsilon$ at each t, against the exact denoiser\n"
                   "(trained with $L_{simple}$)", loc="left", fontsize=10)
    right.set(xlim=(0, 1.15 * max(gap.values())), ylim=(3.6, -0.6),
              xlabel="−ELBO above the smallest possible, nats")
    right.set_yticks(range(4), NAMES.values(), fontsize=11)
    right.tick_params(axis="y", length=0)
    for tick, colour in zip(right.get_yticklabels(), COLOURS.values()):
        tick.set_color(colour)
    right.set_title("filled: trained with $L_{simple}$\n"
                    "hollow: with the squared error of the output", loc="left", fontsize=10)
    by_gap = sorted(NAMES, key=lambda name: gap[SIMPLE, name])
    first, last = NAMES[by_gap[0]], NAMES[by_gap[-1]]
    title = f"The same network learns best if its output is {first}, and worst if it is {last}"
    figure.suptitle(title, x=0.01, ha="left")
    write_picture(out / "noise_or_image.png", figure)

    answer = (f"With a network it does: after {steps} steps with L_simple, −ELBO is above the "
              f"smallest possible by {gap[SIMPLE, by_gap[0]]:.2f} nats if the network predicts "
              f"{first}, and by {gap[SIMPLE, by_gap[-1]]:.2f} if it predicts {last}.  With an "
              f"exact denoiser it does not: the four means of a reverse step agree to "
              f"{difference:.0e}.")
    nats = {loss: {name: gap[loss, name] for name in NAMES} for loss in (SIMPLE, OWN)}
    finish(out, answer, seed, largest_difference_of_means=difference, nats_above_the_optimum=nats)


if __name__ == "__main__":
    run_demo(main, demo_parser(__doc__, "noise-or-image-out"))
