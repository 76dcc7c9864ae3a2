"""Predict the noise, the image, v or the score: does it matter?

    python demos/noise_or_image.py

Given x_t, each of the four converts into each of the others, so to an exact denoiser it makes no difference.  To a network
it does: the same error of its output is another error of ε̂.  Here one small network is trained four times with L_simple,
from the same seed and so on the same batches, its output taken for ε, x_0, v or the score; and four times with the squared
error of the output itself.  The data are eight Gaussians: every error is one against the exact denoiser.  Writes
noise_or_image.png.
"""
# %%
import autograd.numpy as np
import numpy

from tinyddpm import as_denoiser, diffuse, linear, mlp, reverse, simple_loss, toy, training
from tinyddpm.app import plot
from tinyddpm.app.console import demo_parser, finish, one_sentence_for_mistakes, progress_bar, write_picture
from tinyddpm.oracle import excess
from tinyddpm.schedule import cast_like
from tinyddpm.network.threads import one_blas_thread

NAMES = {"eps": "ε", "x_0": "x₀", "v": "v", "score": "score"}
COLOURS = dict(zip(NAMES, (plot.MODEL, *plot.OTHERS)))
FROM_EPS = {"eps": lambda schedule, x_t, t, eps: eps, "x_0": reverse.x_0_from_eps, "v": reverse.v_from_eps,
            "score": reverse.score_from_eps}
LOSSES = {"L_simple": lambda predicts: simple_loss, "its own": lambda predicts: own_loss(predicts)}


def own_loss(predicts):
    """The squared error of the output itself: the one of ε̂, times a weight that depends on t."""
    def loss(schedule, denoiser, x_0, t, eps):
        at = schedule.coefficients_at(t, x_0)
        weight = {"eps": 1.0, "x_0": 1 / at.snr, "v": 1 / at.alpha_bar, "score": 1 / at.one_minus_alpha_bar}[predicts]
        eps_hat, _ = reverse.evaluate(denoiser, diffuse(schedule, x_0, t, eps), t)
        return np.mean(cast_like(x_0, weight) * (eps - eps_hat) ** 2)
    return loss


def main(out, seed, quick):
    schedule, data, network = linear(100), toy("eight_gaussians"), mlp(2, width=64)
    best, steps, n = data.denoiser(schedule), 40 if quick else 1500, 100 if quick else 2000
    rng = numpy.random.default_rng(seed)

    # %% To the exact denoiser it is all one: convert its ε and back, and the mean of the reverse step is the same.
    apart = 0.0
    for t in range(1, schedule.T + 1):
        x_t = diffuse(schedule, data.sample(rng, 100), t, rng.standard_normal((100, 2)))
        mean = reverse.mean_from_eps(schedule, x_t, t, best(x_t, t))
        for name, convert in FROM_EPS.items():
            there_and_back = as_denoiser(schedule, lambda x_t, t: convert(schedule, x_t, t, best(x_t, t)), name)
            apart = max(apart, float(abs(reverse.mean_from_eps(schedule, x_t, t, there_and_back(x_t, t)) - mean).max()))

    # %% To a network it is not: the same weights and batches for all eight.
    gap, error = {}, {}
    with one_blas_thread(), progress_bar(8 * steps, "training") as bar:
        for loss_name, loss_of in LOSSES.items():
            for name in NAMES:
                for step in training.train(schedule, network, lambda rng, n: data.sample(rng, n).astype(np.float32),
                                           numpy.random.default_rng(seed), steps, loss=loss_of(name), predicts=name):
                    bar.update()
                trained = training.denoiser(schedule, network, step.state.ema, name)
                gap[loss_name, name] = excess(schedule, trained, data, numpy.random.default_rng(seed), n=n)
                error[loss_name, name] = []
                for t in range(1, schedule.T + 1):
                    x_t = diffuse(schedule, data.sample(rng, n), t, rng.standard_normal((n, 2)))
                    error[loss_name, name].append(float(np.mean((trained(x_t, t) - best(x_t, t)) ** 2)))

    # %% The picture.
    figure, (left, right) = plot.new_figure(2, 4.2, 3.7)
    for i, (name, colour) in enumerate(COLOURS.items()):
        left.loglog(range(1, schedule.T + 1), error["L_simple", name], color=colour, label=NAMES[name], linewidth=1.3)
        simple, own = gap["L_simple", name][0], gap["its own", name][0]
        right.plot([simple, own], [i, i], color=colour, linewidth=1, alpha=0.5)
        right.plot(own, i, "o", color=colour, markersize=9, markerfacecolor="white")
        right.plot(simple, i, "o", color=colour, markersize=9)
        for value in (simple, own) if own > 1.3 * simple else (simple,):
            right.text(value, i - 0.22, f"{value:.2f}", color=colour, ha="center", clip_on=True)
    left.legend(frameon=False, loc="lower left")
    left.set(xlabel="$t$")
    left.set_title("squared error of ε̂, trained with $L_{simple}$", loc="left", fontsize=10)
    ticks = [0.5, 1, 2, 5, 10]
    right.set(xscale="log", xlim=(0.4, 12), ylim=(3.6, -0.6), xticks=ticks, xticklabels=map(str, ticks), xlabel="nats")
    right.minorticks_off()
    right.set_yticks(range(4), NAMES.values(), fontsize=11)
    for tick, colour in zip(right.get_yticklabels(), COLOURS.values()):
        tick.set_color(colour)
    right.set_title("−ELBO above the optimum\n● $L_{simple}$   ○ squared error of the output", loc="left", fontsize=10)
    by_gap = sorted(NAMES, key=lambda name: gap["L_simple", name][0])
    first, final = by_gap[0], by_gap[-1]
    figure.suptitle(f"One mean, whichever is exact; yet this network comes nearest with {NAMES[first]}\n"
                    f"({gap['L_simple', first][0]:.2f} nats above the optimum) and stays farthest with {NAMES[final]} "
                    f"({gap['L_simple', final][0]:.2f})", x=0.01, ha="left")

    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "noise_or_image.png", figure)
    listed = ", ".join(f"{name} {gap['L_simple', name][0]:.2f} ({gap['its own', name][0]:.2f})" for name in NAMES)
    finish(out, f"Not to an exact denoiser, whose four means agree to {apart:.0e}; to this network it does: after "
                f"{steps} steps of L_simple (of the output's own squared error) its -ELBO is above the optimum "
                f"by {listed} nats.", seed, means_apart=apart,
           nats_above_the_optimum={loss: {name: gap[loss, name][0] for name in NAMES} for loss in LOSSES})


if __name__ == "__main__":
    arguments = demo_parser(__doc__, "noise-or-image-out").parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
