"""What is worth sending first?

    python demos/rate_distortion.py                  # --run RUN: the run folder of a denoiser of digits

Progressive coding (Ho §4.3, figure 5).  Whoever sends x_T, then x_{T−1} given x_T, and so on, has sent L_T + … + L_t bits by
the time the receiver holds x_t, and x̂_0(x_t) is what the receiver then makes of it.  So the terms of the ledger are a rate,
and what x̂_0 is wrong by is a distortion.  Writes rate_distortion.png: the curve of held-out digits (of 256 grey levels: these
are bits that could be sent), and two of them as they are received.
"""
# %%
import numpy as np

from tinyddpm import mnist, predict, transition
from tinyddpm.app import plot
from tinyddpm.app.console import (add_digit_run, progress_over, demo_parser, digit_run, finish, one_sentence_for_mistakes, integer_at_least,
                              write_picture)

SHARES = (0, 0.02, 0.06, 0.12, 0.22, 0.36, 0.6, 1)  # of all bits: where to look at what has been received


def received(run, digits, times, rng):
    """x̂_0(x_t) at the times, along one path of q for each digit: {t: (N, 28, 28) uint8}."""
    x, s, seen = run.encode(digits), 0, {}
    for t in sorted(times):
        x, s = transition(run.schedule, x, s, t).sample(rng.standard_normal(x.shape)), t
        seen[t] = run.decode(predict(run.schedule, run.denoiser, x, t, run.clip).x_0)
    return seen


def main(out, seed, quick, run, n):
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    rng, run, digits = np.random.default_rng(seed), digit_run(run, seed, quick), mnist().held_out
    out.mkdir(parents=True, exist_ok=True)

    # %% The ledger is the curve; x_0 runs over 2 where grey levels run over 255.
    ledger = run.ledger(digits[:4 if quick else n], rng, progress=progress_over("ledger"))
    rate, distortion = ledger.rate_distortion()
    distortion = 127.5 * distortion

    # %% Where a share of all bits has been sent, and what is to be seen there.
    sent = (rate - rate[-1]) / (rate[0] - rate[-1])
    at = {share: 1 + int(abs(sent[1:] - share).argmin()) for share in SHARES}
    pictures = received(run, digits[[0, 3]], set(at.values()), rng)
    outline = int(np.argmax(distortion > distortion[-1] / 4))  # the last quarter of the error begins here
    exact = int(np.argmax(distortion > 2))  # below this t, the guess is right to two grey levels
    bits = rate[0] * digits[0].size

    figure, (ax,) = plot.new_figure(1, 9, 5.6)
    ax.plot(rate, distortion, color=plot.MODEL, linewidth=2.5, zorder=3)
    ax.set(xlabel="bits sent, per pixel", ylabel="error of the picture received, in grey levels",
           xlim=(-0.03 * rate[0], 1.05 * rate[0]), ylim=(0, 2.1 * distortion[-1]), yticks=range(0, int(distortion[-1]) + 1, 20))
    for place, (share, t) in enumerate(at.items()):
        ax.plot(rate[t], distortion[t], "o", color=plot.MODEL, markersize=7, zorder=4)
        image = OffsetImage(plot.to_canvas(pictures[t], columns=1), zoom=1.9, interpolation="nearest")
        ax.add_artist(AnnotationBbox(image, (rate[t], distortion[t]), ((place + 0.45) / len(at), 0.8), boxcoords="axes fraction",
                                     frameon=False, arrowprops=dict(arrowstyle="-", color=plot.FAINT)))
    answer = (f"Shape first: {100 * sent[outline]:.0f} % of the bits take away three quarters of the error,\n"
              f"and the last {100 - 100 * sent[exact]:.0f} % are for less than two grey levels")
    ax.set_title(answer, loc="left")
    write_picture(out / "rate_distortion.png", figure)
    answer = answer.replace("\n", " ")
    finish(out, f"{answer}; in all {bits:.0f} bits a digit.", seed, digits=len(ledger.terms), steps_of_training=run.state.step,
           rate=rate[1:].tolist(), distortion=distortion[1:].tolist())


if __name__ == "__main__":
    parser = demo_parser(__doc__, "rate_distortion-out")
    add_digit_run(parser)
    parser.add_argument("--n", type=integer_at_least(2), default=32, metavar="N", help="held-out digits for the curve (%(default)s)")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
