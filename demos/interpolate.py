"""What lies between two digits?

    python demos/interpolate.py

Two held-out digits are diffused to x_t and x'_t, mixed there, and the mixture is taken t steps back (Ho §4.4).  Both get
the same ε: then (1 − λ)·x_t + λ·x'_t is exactly the straight mixture of their pixels, diffused, with the variance that the
denoiser expects at every λ (two independent ε would leave half of it at λ = ½).  The way back draws the same noise for
every λ, so what changes along a row is λ alone.  The larger t, the less is left of the two digits, and the freer is the
chain to make a third one of them.  Writes interpolate.png and report.json.
"""
# %%
import numpy as np

from tinyddpm import diffuse, mnist, predict, reverse
from tinyddpm.app import plot
from tinyddpm.app.console import add_digit_run, progress_over, demo_parser, digit_run, finish, one_sentence_for_mistakes, write_picture
from tinyddpm.schedule import respace


def between(run, first, second, share, t, rng, noises, steps):
    """Out of (1 − λ)·x_t + λ·x'_t back to x_0.  first, second: (B, 28, 28); share: λ, (B,); noises: B, or 1 for all."""
    def eps():
        return np.broadcast_to(rng.standard_normal((noises, 28, 28), np.float32), first.shape)

    share, noise = np.reshape(share, (-1, 1, 1)).astype(np.float32), eps()
    x = (1 - share) * diffuse(run.schedule, first, t, noise) + share * diffuse(run.schedule, second, t, noise)
    # Of the t steps some are taken, each as long as many.
    short, times = respace(run.schedule, np.unique(np.linspace(1, t, steps).round().astype(int)))
    for i in range(short.T, 0, -1):
        p = reverse.reverse_step(short, predict(short, lambda x, i: run.denoiser(x, times[i - 1]), x, i, run.clip), "beta_tilde")
        x = p.sample(eps()) if i > 1 else p.mean
    return run.decode(x)


def grey(images):
    """Of the pixels that are not nearly black, the share that is not nearly white either."""
    return float(((images > 50) & (images < 205)).sum() / (images > 50).sum())


def main(out, seed, quick, run, pair=(11, 5), pairs=20, steps=50):
    run, rng = digit_run(run, seed, quick), np.random.default_rng(seed)
    if quick:
        pairs, steps = 2, 5
    moments = {f"t = {t}": t for t in (round(share * run.schedule.T) for share in (0.6, 0.7, 0.75, 0.85))}
    digits = run.encode(mnist().held_out).astype(np.float32)

    # %% One pair on its way, and the middle of others.
    shares = np.linspace(0, 1, 9)
    first, second = (np.repeat(digits[i:i + 1], len(shares), 0) for i in pair)
    one, other = digits[rng.permutation(len(digits))[:2 * pairs].reshape(2, pairs)]
    mean = (1 - shares[:, None, None]) * first + shares[:, None, None] * second
    rows = {"pixels": run.decode(mean)}
    greys = {"digits": grey(run.decode(digits)), "pixels": grey(run.decode((one + other) / 2))}
    for name in progress_over("decoding")(moments):
        rows[name] = between(run, first, second, shares, moments[name], rng, 1, steps)
        greys[name] = grey(between(run, one, other, np.full(pairs, 0.5), moments[name], rng, pairs, steps))

    # %%
    chosen = list(moments)[2]
    answer = (f"Half-way between two digits, the mean of pixels is a double exposure: "
              f"{100 * greys['pixels']:.0f} % of its ink is grey.\n"
              f"Mixed at {chosen} and decoded, {100 * greys[chosen]:.0f} % is; of real digits, {100 * greys['digits']:.0f} %")
    figure, (ax,) = plot.new_figure(1, 8, 4.75)
    plot.draw_table(ax, np.stack(list(rows.values())), ["λ = 0", "", "¼", "", "½", "", "¾", "", "λ = 1"], list(rows))
    ax.set_title(answer, loc="left", fontsize=11)
    out.mkdir(parents=True, exist_ok=True)
    write_picture(out / "interpolate.png", figure)
    finish(out, f"{answer}.".replace("\n", " "), seed, pairs=pairs, grey_share=greys)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "interpolate-out")
    add_digit_run(parser)
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(**vars(arguments))
