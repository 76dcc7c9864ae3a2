"""What lies between two digits?

    python demos/interpolate.py

Two held-out digits are diffused to x_t and x'_t, mixed there, and the mixture is denoised (Ho
§4.4).  Both get the same ε: then (1 − λ)·x_t + λ·x'_t is the mixture of their pixels, diffused,
and for every λ its noise has the variance that the denoiser expects (with two independent ε it
would be half of that at λ = ½).  The reverse chain uses the same noise for every λ, so along a
row only λ changes.  The larger t, the less is left of the two digits, and the more often the
chain ends in a third one.  Writes interpolate.png and report.json.
"""
# %%
import numpy as np
from common import (add_digit_run, demo_parser, digit_run, draw_table, finish, respaced, run_demo,
                    spread_times)

from tinyddpm import diffuse, mnist, predict, reverse_step
from tinyddpm.app import plot
from tinyddpm.app.console import progress_over, write_picture


def between(run, first, second, share, t, rng, noises, steps):
    """x_0 from (1 − λ)·x_t + λ·x'_t, uint8.

    first, second: (B, 28, 28); share: λ, (B,); noises: B, or 1 for the same noise in all.
    """
    def draw_eps():
        eps = rng.standard_normal((noises, 28, 28), np.float32)
        return np.broadcast_to(eps, first.shape)

    share, eps = np.reshape(share, (-1, 1, 1)).astype(np.float32), draw_eps()
    x_t, other_x_t = diffuse(run.schedule, first, t, eps), diffuse(run.schedule, second, t, eps)
    x = (1 - share) * x_t + share * other_x_t
    schedule, denoiser = respaced(run, spread_times(1, t, steps))  # fewer and larger steps
    for i in range(schedule.T, 0, -1):
        prediction = predict(schedule, denoiser, x, i, run.clip)
        p = reverse_step(schedule, prediction, "beta_tilde")
        x = p.sample(draw_eps()) if i > 1 else p.mean
    return run.decode(x)


def grey_share(images):
    """Of the pixels that are not nearly black, the share that is not nearly white either."""
    is_grey = (images > 50) & (images < 205)
    return float(is_grey.sum() / (images > 50).sum())


def main(out, seed, quick, run, pair=(11, 5), pairs=20, steps=50):
    run, rng = digit_run(run, seed, quick), np.random.default_rng(seed)
    if quick:
        pairs, steps = 2, 5
    times = [round(share * run.schedule.T) for share in (0.6, 0.7, 0.75, 0.85)]
    digits = run.encode(mnist().held_out).astype(np.float32)

    # %% One pair for nine λ; and for λ = ½, many pairs.
    shares = np.linspace(0, 1, 9)
    first, second = (np.repeat(digits[i:i + 1], len(shares), 0) for i in pair)
    one, other = digits[rng.permutation(len(digits))[:2 * pairs].reshape(2, pairs)]
    column = shares[:, None, None]
    rows = {"pixels": run.decode((1 - column) * first + column * second)}
    greys = {"digits": grey_share(run.decode(digits)),
             "pixels": grey_share(run.decode((one + other) / 2))}
    for t in progress_over("denoising")(times):
        name = f"t = {t}"
        rows[name] = between(run, first, second, shares, t, rng, 1, steps)
        middle = between(run, one, other, np.full(pairs, 0.5), t, rng, pairs, steps)
        greys[name] = grey_share(middle)

    # %%
    chosen, signal = f"t = {times[2]}", run.schedule.alpha_bar[times]
    title = "With enough noise, mixing and denoising gives one digit, not two at once"
    answer = ("Another digit, if the two are mixed as x_t and denoised: half-way, "
              f"{greys[chosen]:.0%} of the ink is grey at {chosen}, {greys['digits']:.0%} in real "
              f"digits, and {greys['pixels']:.0%} in the mean of the pixels.  The larger t, the "
              f"less of the two digits is left: at t = {times[-1]}, where ᾱ_t = {signal[-1]:.2f}, "
              "even λ = 0 and 1 need not end in the original digits.")
    names = ["pixels mixed,\nno noise",
             *[f"t = {t},\n{share:.0%} signal" for t, share in zip(times, signal)]]
    figure, (ax,) = plot.new_figure(1, 9, 5.35)
    columns = ["first digit\nλ = 0", "", "¼", "", "½", "", "¾", "", "second digit\nλ = 1"]
    draw_table(ax, np.stack(list(rows.values())), columns, names)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.supxlabel("λ: share of the second digit; signal: $\\bar\\alpha_t$ in "
                     r"$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$." "\n"
                     "With little signal left the chain may end in any digit, also at λ = 0 and 1.",
                     x=0.01, ha="left", fontsize=9)
    write_picture(out / "interpolate.png", figure)
    finish(out, answer, seed, pairs=pairs, grey_share=greys)


if __name__ == "__main__":
    parser = demo_parser(__doc__, "interpolate-out")
    add_digit_run(parser)
    run_demo(main, parser)
