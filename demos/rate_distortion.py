"""Which bits matter most when a digit is transmitted?

    python demos/rate_distortion.py              # --run RUN: the run folder of a denoiser of digits

Progressive coding (Ho §4.3, figure 5).  To send x_T, then x_{T−1} given x_T, and so on, down to
x_t takes L_T + … + L_t bits with an ideal code, and the receiver's estimate of the digit is then
x̂_0(x_t).  So sums of the ELBO's terms are a rate, and the error of x̂_0 is a distortion.  No bits
are sent here: Ho calls it a proof of concept, because such a code is not tractable for data of
many dimensions.  (The data have 256 grey levels, so −ELBO is a number of bits, not a density.)
Writes rate_distortion.png, the curve of held-out digits and two of them as they would be received,
and report.json.
"""
# %%
import numpy as np
from common import add_digit_run, demo_parser, digit_run, finish, run_demo

from tinyddpm import mnist, predict, transition
from tinyddpm.app import plot
from tinyddpm.app.console import integer_at_least, progress_over, write_picture

SHARES = (0, 0.02, 0.06, 0.12, 0.22, 0.36, 0.6, 1)  # of all bits: where digits are shown


def received(run, digits, times, rng):
    """x̂_0(x_t) at the times, along one path of q for each digit: {t: (N, 28, 28) uint8}."""
    x, s, estimates = run.encode(digits), 0, {}
    for t in sorted(times):
        x = transition(run.schedule, x, s, t).sample(rng.standard_normal(x.shape))
        s = t
        x_0 = predict(run.schedule, run.denoiser, x, t, run.clip).x_0
        estimates[t] = run.decode(x_0)
    return estimates


def main(out, seed, quick, run, n):
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    rng, run = np.random.default_rng(seed), digit_run(run, seed, quick)
    digits = mnist().held_out

    # %% The curve.  A difference of 2 in x_0 is one of 255 grey levels.
    ledger = run.ledger(digits[:4 if quick else n], rng, progress=progress_over("ledger"))
    rate, distortion = ledger.rate_distortion()
    distortion = 127.5 * distortion

    # %% Eight points of it, and the estimates there.
    sent = (rate - rate[-1]) / (rate[0] - rate[-1])  # the share of all bits
    times = [1 + int(abs(sent[1:] - share).argmin()) for share in SHARES]
    pictures = received(run, digits[[0, 3]], set(times), rng)
    quarter = int(np.argmax(distortion > distortion[-1] / 4))  # the first t with so much error
    two_levels = int(np.argmax(distortion > 2))  # the first t with an error of two grey levels
    bits = rate[0] * digits[0].size

    # %%
    figure, (ax,) = plot.new_figure(1, 9, 5.6)
    ax.plot(rate, distortion, color=plot.MODEL, linewidth=2.5, zorder=3)
    ax.set(xlabel="rate: bits that could be sent, per pixel",
           ylabel="distortion: error of $\\hat x_0$, in grey levels",
           xlim=(-0.03 * rate[0], 1.05 * rate[0]), ylim=(0, 2.1 * distortion[-1]),
           yticks=range(0, int(distortion[-1]) + 1, 20))
    for i, t in enumerate(times):
        point, place = (rate[t], distortion[t]), ((i + 0.45) / len(times), 0.8)
        ax.plot(*point, "o", color=plot.MODEL, markersize=7, zorder=4)
        canvas = plot.to_canvas(pictures[t], columns=1)
        image = OffsetImage(canvas, zoom=1.9, interpolation="nearest")
        ax.add_artist(AnnotationBbox(image, point, place, boxcoords="axes fraction", frameon=False,
                                     arrowprops=dict(arrowstyle="-", color=plot.FAINT)))
    title = f"The first {sent[quarter]:.0%} of the bits remove three quarters of the error"
    ax.set_title(title, loc="left")
    write_picture(out / "rate_distortion.png", figure)
    answer = (f"Those that are sent first: the first {sent[quarter]:.0%} of the bits remove three "
              f"quarters of the error.  The last {1 - sent[two_levels]:.0%} describe differences "
              "of less than two grey levels.")
    finish(out, answer, seed, digits=len(ledger.terms), steps_of_training=run.state.step,
           bits_of_a_digit=bits, rate=rate[1:].tolist(), distortion=distortion[1:].tolist())


if __name__ == "__main__":
    parser = demo_parser(__doc__, "rate_distortion-out")
    add_digit_run(parser)
    parser.add_argument("--n", type=integer_at_least(2), default=32, metavar="N",
                        help="held-out digits for the curve (%(default)s)")
    run_demo(main, parser)
