"""Can it finish a digit?

    python demos/inpaint.py

The upper half of a held-out digit is given, the lower half drawn, by a denoiser that was never trained for it.  At every
step the given half of x_{t−1} is replaced by a draw of q(x_{t−1} | x_0), known there; the other half is p_θ's.  The two were
drawn without regard to each other: so a step of noise is added again and both are drawn anew, some rounds at each t, and
they come to fit (RePaint: Lugmayr et al. 2022, algorithm 1).  It remains an approximation, however many the rounds: a draw
of p_θ(lower | upper) itself would have to weigh, at each step, how well the lower half explains the upper.
Writes inpaint.png and report.json.
"""
# %%
import numpy as np

from tinyddpm import FiniteData, ancestral_sampling, diffuse, forward, mnist
from tinyddpm.app import plot
from tinyddpm.app.console import (add_digit_run, progress_over, demo_parser, digit_run, finish, one_sentence_for_mistakes, integer_at_least,
                              write_picture)
from tinyddpm.gaussian import noise_like
from tinyddpm.schedule import respace


def inpaint(schedule, denoiser, given, known, rng, rounds, clip, progress=iter):
    """Draws of x_0 that agree with `given` (B, H, W) where `known` (H, W) is true."""
    x = noise_like(rng, given)
    for t in progress(range(schedule.T, 0, -1)):
        for again in range(rounds - 1, -1, -1):
            drawn = next(ancestral_sampling(schedule, denoiser, x, rng, start=t, variance="beta_tilde", clip=clip)).x
            true = diffuse(schedule, given, t - 1, noise_like(rng, given)) if t > 1 else given
            x = np.where(known, true, drawn)
            if again and t > 1:
                x = forward.forward_step(schedule, x, t).sample(noise_like(rng, x))
    return x


def main(out, seed, quick, run, rounds, draws=5, steps=50):
    # %% One held-out digit of each kind, each to be finished several times.
    run, rng, digits = digit_run(run, seed, quick), np.random.default_rng(seed), mnist()
    if quick:
        rounds, draws, steps = 2, 1, 5
    labels = digits.held_out_labels[:10]
    x_0 = run.encode(digits.held_out[:10]).astype(np.float32)
    known = np.arange(28)[:, None] < 14
    # Few steps, so that there is time for many rounds; and none for the last grey levels of noise, where nothing is decided.
    T = run.schedule.T
    short, times = respace(run.schedule, np.unique(np.append(1, np.linspace(0.4 * T, T, steps).round().astype(int))))
    finished = inpaint(short, lambda x, i: run.denoiser(x, times[i - 1]), np.repeat(x_0, draws, 0), known, rng, rounds,
                       run.clip, progress_over("finishing"))

    # %% What is it now?  Bayes' rule over the training digits, or their upper halves, all seen through noise of σ = 0.5.
    t = 1 + int(np.abs(run.schedule.log_snr[1:] - np.log(4)).argmin())

    def taken_for(x_0, height):
        x_t = forward.marginal(run.schedule, x_0[:, :height].astype(float), t).mean
        kinds = [run.encode(digits.train[digits.train_labels == label])[:, :height] for label in range(10)]
        return np.argmax([FiniteData(kind).log_q(run.schedule, x_t, t) for kind in kinds], 0)

    right = float((taken_for(finished, 28) == np.repeat(labels, draws)).mean())
    truth, true_labels = run.encode(digits.held_out), digits.held_out_labels
    upper, entire = (float((taken_for(truth, height) == true_labels).mean()) for height in (14, 28))
    answer = (f"{100 * right:.0f} % of the finished digits are taken for the digit that was written\n"
              f"(of held-out digits {100 * entire:.0f} % when seen whole, {100 * upper:.0f} % when only their upper half is)")

    # %%
    hidden = np.where(known, run.decode(x_0), 110).astype(np.uint8)
    rows = np.stack([hidden, *run.decode(finished).reshape(10, draws, 28, 28).swapaxes(0, 1), run.decode(x_0)])
    figure, (ax,) = plot.new_figure(1, 8, 0.8 * len(rows) + 0.5)
    plot.draw_table(ax, rows[:, np.argsort(labels)], rows=["given", *[f"draw {i + 1}" for i in range(draws)], "true"])
    ax.set_title(answer, loc="left", fontsize=11)
    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "inpaint.png", figure)
    finish(out, f"{answer}.".replace("\n", " "), seed, rounds=rounds, draws=draws, taken_for_the_written=right,
           held_out_seen_whole=entire, upper_half_only=upper)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "inpaint-out")
    add_digit_run(parser)
    parser.add_argument("--rounds", type=integer_at_least(1), default=16, metavar="N",
                        help="at each t; 1 is the plain replacement (%(default)s)")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
