"""Can it clean a noisy digit?

    python demos/denoise.py

Held-out digits get noise of a known standard deviation, y = x_0 + σ·n.  That is an x_t of the chain in another scale: with
(1 − ᾱ_t)/ᾱ_t = σ², √ᾱ_t·y is a draw of q(x_t | x_0).  So the reverse chain may start there, and where it ends is a draw of
what the digit may have been.  The guess x̂_0(x_t) stands for the mean of all that, E[x_0 | x_t], and no estimate has less
squared error.  A draw looks like a digit and has twice that error, if chain and guess are ideal: truth and draw are then two
independent draws of q(x_0 | x_t).  The mean of K draws has 1 + 1/K times it.  Writes denoise.png and report.json.
"""
# %%
import numpy as np

from tinyddpm import ancestral_sampling, final_sample, mnist, predict
from tinyddpm.app import plot
from tinyddpm.app.console import add_digit_run, progress_over, demo_parser, digit_run, finish, one_sentence_for_mistakes, write_picture
from tinyddpm.schedule import respace

SIGMAS = (0.5, 1.0, 1.5)  # black is −1 and white is 1


def psnr(x_0, guess):
    """10·log₁₀(range²/mean squared error) in decibels; the range of [−1, 1] is 2."""
    return float(10 * np.log10(4 / np.mean((x_0 - guess) ** 2)))


def main(out, seed, quick, run, digits=16, draws=4, steps=80):
    run, rng = digit_run(run, seed, quick), np.random.default_rng(seed)
    if quick:
        digits, draws, steps = 4, 4, 5
    x_0 = run.encode(mnist().held_out[:digits]).astype(np.float32)
    rows, decibels = [], {}
    for sigma in progress_over("noise levels")(SIGMAS):
        # %% y, and the t at which the chain has this noise.
        y = x_0 + np.float32(sigma) * rng.standard_normal(x_0.shape, np.float32)
        t = 1 + int(np.abs(run.schedule.log_snr[1:] + 2 * np.log(sigma)).argmin())
        x_t = (np.sqrt(run.schedule.alpha_bar[t]) * y).astype(np.float32)

        # %% The guess, and the chain from t on, in fewer steps: of 1…t it visits some, and ends with a draw of x_0.
        guess = predict(run.schedule, run.denoiser, x_t, t, run.clip).x_0
        short, times = respace(run.schedule, np.unique(np.linspace(1, t, steps).round().astype(int)))
        chain = ancestral_sampling(short, lambda x, i: run.denoiser(x, times[i - 1]), np.repeat(x_t, draws, 0), rng,
                                   start=len(times), variance="beta_tilde", clip=run.clip)
        drawn = final_sample(chain).reshape(digits, draws, 28, 28)
        decibels[sigma] = {"noisy": psnr(x_0, y), "one draw": psnr(x_0[:, None], drawn),
                           f"mean of {draws}": psnr(x_0, drawn.mean(1)), "guess x̂₀": psnr(x_0, guess)}
        rows.append(np.stack([x_0, y, *drawn.swapaxes(0, 1)[:3], drawn.mean(1), guess], 1))

    # %%
    noisy, draw, _, guess = decibels[1.0].values()
    ideal = 10 * np.log10(2)
    answer = (f"Yes: at σ = 1 from {noisy:.1f} dB to {guess:.1f} dB by the guess, the mean of all that it may be.\n"
              f"A draw is sharper, and {guess - draw:.1f} dB worse ({ideal:.1f} dB if chain and guess were ideal)")
    figure, axes = plot.new_figure(1, 7.2, 2.5, rows=len(SIGMAS))
    for ax, images, (sigma, estimates) in zip(axes.flat, rows, decibels.items()):
        names = [f"{name}\n{value:.1f} dB" for name, value in estimates.items()]
        plot.draw_table(ax, run.decode(images[:2]), ["digit\n", names[0], "", *names[1:2], "", *names[2:]])
        ax.set_ylabel(f"σ = {sigma:g}")
    figure.suptitle(answer, x=0.01, ha="left", fontsize=11)
    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "denoise.png", figure)
    finish(out, f"{answer}.".replace("\n", " "), seed, digits=digits, draws=draws, ideal_loss_of_a_draw=ideal, psnr=decibels)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "denoise-out")
    add_digit_run(parser)
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
