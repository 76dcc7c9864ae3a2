"""Can the model complete half a digit?

    python demos/inpaint.py

The upper half of a held-out digit is given, and the lower half is sampled, by a denoiser that was
not trained for this task.  At every step the given half of x_{t−1} is a draw of q(x_{t−1} | x_0),
known there, and the other half a draw of p_θ.  The two halves were drawn independently, so they
may not fit.  Therefore one step of noise is added and both are drawn again, several rounds at
each t (RePaint: Lugmayr et al. 2022, algorithm 1).  This remains an approximation, with any
number of rounds: an exact sample of p_θ(lower | upper) would have to weight each step by how well
the lower half explains the upper one.  Writes inpaint.png and report.json.
"""
# %%
import numpy as np
from common import (add_digit_run, classify, demo_parser, digit_run, draw_table, finish, respaced,
                    run_demo, spread_times)

from tinyddpm import ancestral_sampling, diffuse, forward_step, mnist
from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, progress_over, write_picture
from tinyddpm.gaussian import noise_like


def inpaint(schedule, denoiser, given, known, rng, rounds, clip, progress=iter):
    """Samples of x_0 that agree with `given` (B, H, W) where `known` (H, W) is true."""
    x = noise_like(rng, given)
    for t in progress(range(schedule.T, 0, -1)):
        for rounds_left in range(rounds - 1, -1, -1):
            chain = ancestral_sampling(schedule, denoiser, x, rng, start=t, variance="beta_tilde",
                                       clip=clip)
            sampled = next(chain).x
            true = diffuse(schedule, given, t - 1, noise_like(rng, given)) if t > 1 else given
            x = np.where(known, true, sampled)
            if rounds_left > 0 and t > 1:
                x = forward_step(schedule, x, t).sample(noise_like(rng, x))
    return x


def main(out, seed, quick, run, rounds, draws=5, steps=50):
    from matplotlib.patches import Rectangle

    # %% One held-out digit of each class, each completed several times.
    run, rng, digits = digit_run(run, seed, quick), np.random.default_rng(seed), mnist()
    if quick:
        rounds, draws, steps = 2, 1, 5
    labels = digits.held_out_labels[:10]
    x_0 = run.encode(digits.held_out[:10]).astype(np.float32)
    known = np.arange(28)[:, None] < 14
    # Few times, so that there is time for many rounds; below 0.4·T a digit hardly changes.
    T = run.schedule.T
    times = np.unique(np.append(1, spread_times(0.4 * T, T, steps)))
    schedule, denoiser = respaced(run, times)
    completed = inpaint(schedule, denoiser, np.repeat(x_0, draws, 0), known, rng, rounds, run.clip,
                        progress_over("completing"))

    # %% How many are recognised as the original digit?  And of real digits, whole and halved?
    images, truth = run.encode(digits.train), run.encode(digits.held_out)

    def recognised(x_0, labels, height):
        """Which images does a classifier, which sees only their upper rows, get right?  (N,)."""
        classes = [images[digits.train_labels == label, :height] for label in range(10)]
        return classify(run.schedule, x_0[:, :height], classes) == labels

    is_right = recognised(completed, np.repeat(labels, draws), 28).reshape(10, draws)
    right = float(is_right.mean())
    half, whole = (float(recognised(truth, digits.held_out_labels, height).mean())
                   for height in (14, 28))
    title = f"{right:.0%} of the completed digits are recognised as the original digit (framed)"
    answer = (f"Yes: a classifier recognises {right:.0%} of the completed digits as the original "
              f"one; most others became another digit.  Of real digits it recognises {whole:.0%}, "
              f"and {half:.0%} if it sees only their upper half.")

    # %%
    hidden = np.where(known, run.decode(x_0), 110).astype(np.uint8)
    by_draw = run.decode(completed).reshape(10, draws, 28, 28).swapaxes(0, 1)
    rows = np.stack([hidden, *by_draw, run.decode(x_0)])
    names = ["given: upper half", *[f"completion {i + 1}" for i in range(draws)],
             "original, not seen"]
    order = np.argsort(labels)
    figure, (ax,) = plot.new_figure(1, 8.6, 0.71 * len(rows) + 0.75)
    draw_table(ax, rows[:, order], rows=names)
    for column, row in np.argwhere(is_right[order]):
        corner = 30 * column - 1, 30 * (row + 1) - 1
        ax.add_patch(Rectangle(corner, 29, 29, fill=False, edgecolor=plot.MODEL, linewidth=2))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.supxlabel("framed: a classifier, which compares with real digits, finds the class "
                     "of the original digit", x=0.01, ha="left", fontsize=9)
    write_picture(out / "inpaint.png", figure)
    finish(out, answer, seed, rounds=rounds, samples=draws, recognised_as_original=right,
           real_digits_recognised=whole, real_upper_halves_recognised=half)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "inpaint-out")
    add_digit_run(parser)
    parser.add_argument("--rounds", type=integer_at_least(1), default=16, metavar="N",
                        help="at each t; with 1 the given half is only replaced (%(default)s)")
    run_demo(main, parser)
