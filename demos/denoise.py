"""Can the model remove noise from a digit?

    python demos/denoise.py

Held-out digits get noise of a known standard deviation, y = x_0 + σ·n.  With (1 − ᾱ_t)/ᾱ_t = σ²,
√ᾱ_t·y is a draw of q(x_t | x_0).  So the reverse chain may start there, and it ends in a sample
of q(x_0 | x_t): one of the digits that y may have been.  The guess x̂_0(x_t) approximates the
mean of all these digits, E[x_0 | x_t], and no estimate has a smaller squared error.  A sample
looks more like a digit, but with an ideal denoiser its squared error is twice as large, because
the true digit and the sample are two independent draws of q(x_0 | x_t).  The mean of K samples
has 1 + 1/K times the error of the guess.  Writes denoise.png and report.json.
"""
# %%
import numpy as np
from common import (add_digit_run, demo_parser, digit_run, draw_table, finish, respaced, run_demo,
                    spread_times, time_of_noise)

from tinyddpm import ancestral_sampling, final_sample, mnist, predict
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, write_picture

SIGMAS = (0.5, 1.0, 1.5)  # black is −1 and white is 1


def psnr(x_0, guess):
    """Peak signal-to-noise ratio, 10·log₁₀(2²/mean squared error) dB; 2 is the range of x_0."""
    return float(10 * np.log10(4 / np.mean((x_0 - guess) ** 2)))


def grey_levels(decibels):
    """The root mean square error in grey levels, 0…255, of a PSNR."""
    return 255 / 10 ** (decibels / 20)


def main(out, seed, quick, run, digits=16, draws=4, steps=80):
    run, rng = digit_run(run, seed, quick), np.random.default_rng(seed)
    if quick:
        digits, draws, steps = 4, 4, 5
    x_0 = run.encode(mnist().held_out[:digits]).astype(np.float32)
    rows, decibels = [], {}
    for sigma in progress_over("noise levels")(SIGMAS):
        # %% y, and the t at which the chain has this noise.
        y = x_0 + np.float32(sigma) * rng.standard_normal(x_0.shape, np.float32)
        t = time_of_noise(run.schedule, sigma)
        x_t = (np.sqrt(run.schedule.alpha_bar[t]) * y).astype(np.float32)

        # %% The guess; and samples, by the reverse chain from t on, in some of the times 1…t.
        guess = predict(run.schedule, run.denoiser, x_t, t, run.clip).x_0
        schedule, denoiser = respaced(run, spread_times(1, t, steps))
        chain = ancestral_sampling(schedule, denoiser, np.repeat(x_t, draws, 0), rng,
                                   variance="beta_tilde", clip=run.clip)
        samples = final_sample(chain).reshape(digits, draws, 28, 28)
        mean = samples.mean(1)
        decibels[sigma] = {"noisy": psnr(x_0, y), "one sample": psnr(x_0[:, None], samples),
                           f"mean of {draws}": psnr(x_0, mean), "guess x̂₀": psnr(x_0, guess)}
        shown = samples.swapaxes(0, 1)[:3]
        rows.append(np.stack([x_0, y, *shown, mean, guess], 1))

    # %%
    noisy, one, _, guess = (grey_levels(value) for value in decibels[1.0].values())
    ideal = 10 * np.log10(2)
    title = "One guess removes most of the noise; a sample is sharper, but further off"
    figure, axes = plot.new_figure(1, 7.6, 2.35, rows=len(SIGMAS))
    for ax, images, (sigma, estimates) in zip(axes.flat, rows, decibels.items()):
        errors = [f"error {grey_levels(value):.0f}" for value in estimates.values()]
        columns = ["", errors[0], "", errors[1], "", *errors[2:]]
        if ax is axes[0]:
            names = ["original", "noisy", "", "three samples of the reverse chain", "",
                     f"mean of\n{draws} samples", "guess x̂₀"]
            columns = [f"{name}\n{error}" for name, error in zip(names, columns)]
        draw_table(ax, run.decode(images[:2]), columns)
        ax.set_ylabel(f"noise of\nσ = {sigma:g}", rotation=0, ha="right", va="center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.supxlabel(f"error: root mean square over {digits} digits, in grey levels (0: black, "
                     "255: white)\nσ: standard deviation of the noise, if black is −1 and white 1; "
                     "x̂₀: the network's estimate of E[x₀ | noisy digit]", x=0.01,
                     ha="left", fontsize=9)
    write_picture(out / "denoise.png", figure)
    answer = (f"Yes: at σ = 1 the guess x̂₀ reduces the error from {noisy:.0f} to {guess:.0f} of "
              "255 grey levels (root mean square).  A sample of the reverse chain is sharper, but "
              f"its error is {one:.0f}: it is one of the digits that the noisy one may have been, "
              "and the guess is nearly their mean.")
    finish(out, answer, seed, digits=digits, draws=draws, ideal_loss_of_a_sample=ideal,
           psnr=decibels)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "denoise-out")
    add_digit_run(parser)
    run_demo(main, parser)
