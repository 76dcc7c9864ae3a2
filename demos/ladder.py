"""What does each step beyond the paper's DDPM improve on digits, with the same training time?

    python demos/ladder.py                  # --minutes M: training time of each model

The first model is that of Ho et al.: linear β, T = 1000, a network that predicts ε, L_simple,
Adam, and σ_t² = β_t.  Each model changes one thing and keeps the changes before it:
    v-loss               the network predicts v, with the squared error of v as the loss
    log-SNR grid         times evenly spread in log SNR, down to noise below one grey level
    σ² = β̃               the variance of a reverse step is β̃_t; the same weights
    prior per pixel      the network predicts a distribution of each pixel from its neighbours,
                         Bayes' rule adds the noisy pixel itself, and the loss is the ELBO's
    Muon                 an optimiser that updates each weight matrix as a whole
    variance per pixel   each pixel has the variance of its own posterior; the same weights
Every model is trained from the same seed for the same time, and all are compared by −ELBO in bits
per dimension, on the same held-out digits and with the same random numbers.  So the gain of a
step has a standard error of its own, over the digits' differences, which is much smaller than
that of either model.  The samples start from the same x_T and take all T steps of Algorithm 2,
with the model's own variance.  Writes ladder.png and report.json.
"""
# %%
import numpy as np
from common import TINY, demo_parser, finish, run_demo

from tinyddpm import ancestral_sampling
from tinyddpm.app import plot
from tinyddpm.app import run as runs
from tinyddpm.app.console import (integer_at_least, positive, progress_bar, progress_over,
                                  write_picture)
from tinyddpm.app.settings import DDPM
from tinyddpm.elbo import mean_and_error

# Each step, and the settings that it changes; those of the steps before it are kept.
STEPS = {"DDPM (Ho et al.)": {},
         "v-loss": dict(predicts="v", loss="v"),
         "log-SNR grid": dict(schedule="grey_levels"),
         "σ² = β̃": dict(variance="beta_tilde"),
         "prior per pixel": dict(predicts="prior", loss="bits"),
         "Muon": dict(optimiser="muon"),
         "variance per pixel": dict(variance="learned")}


def cumulative_settings():
    """{step: all settings of its model}."""
    settings, model = {}, DDPM
    for name, change in STEPS.items():
        model = {**model, **change}
        settings[name] = model
    return settings


def train(run, rng, dataset, name):
    with progress_bar(60 * run.settings["minutes"], f"training: {name}", "s") as bar:
        return runs.fit(run, dataset, rng, bar=bar)


def bits_per_digit(run, digits, seed, name):
    """−ELBO of each digit, in bits per dimension, (N,)."""
    progress = progress_over(f"ELBO: {name}")
    ledger = run.ledger(digits, np.random.default_rng(seed), progress=progress)
    return ledger.bits_per_dim(ledger.terms.sum(1))


def sample(run, count, seed, name):
    """Samples by Algorithm 2, uint8 (count, 28, 28)."""
    rng, T = np.random.default_rng(seed), run.schedule.T
    x = rng.standard_normal((count, 28, 28), np.float32)
    chain = ancestral_sampling(run.schedule, run.denoiser, x, rng,
                               variance=run.settings["variance"], clip=run.clip)
    for _, step in zip(progress_over(f"sampling: {name}")(range(T, 0, -1)), chain):
        x = step.x
    return run.decode(x)


# %% The picture: a row for each model, with its name, its bits and its samples.
def draw(results, minutes):
    """results: {step: (bits of each digit, samples)}."""
    names = list(results)
    count, height, width = results[names[0]][1].shape
    row_height = 0.62  # inches
    strip = row_height * count * (width + 2) / (height + 2)  # the width of a row of samples
    figure, (left, right) = plot.new_figure(2, (4.6 + strip) / 2, row_height * len(names) + 1.2,
                                            width_ratios=(4.6, strip))
    previous = None
    for y, (bits, _) in enumerate(results.values()):
        mean, error = mean_and_error(bits)
        left.errorbar(mean, y, xerr=error, fmt="o", color=plot.MODEL, capsize=3)
        text = f"{mean:.3f}"
        if previous is not None:
            gain, gain_error = mean_and_error(previous - bits)
            text += f"   ({-gain:+.3f} ± {gain_error:.3f})".replace("-", "−")
        left.annotate(text, (mean, y), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        previous = bits
    left.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5),
             xlabel="−ELBO of held-out digits, bits per dimension")
    left.margins(x=0.35)
    left.tick_params(axis="y", length=0, labelsize=11)
    left.set_title("mean ± standard error; in brackets, the change\n"
                   "from the row above ± its standard error", loc="left", fontsize=9)
    images = np.concatenate([samples for _, samples in results.values()])
    right.imshow(plot.to_canvas(images, count), interpolation="nearest", aspect="auto",
                 extent=(0, count, len(names) - 0.5, -0.5))
    right.axis("off")
    right.set_title("samples by Algorithm 2, in all T steps,\nfrom the same $x_T$ in every row",
                    loc="left", fontsize=9)
    first, last = (results[name][0].mean() for name in (names[0], names[-1]))
    figure.suptitle(f"After {minutes:g} minutes of training each, −ELBO falls from {first:.2f} "
                    f"to {last:.2f} bits per dimension", x=0.01, ha="left", fontsize=11)
    return figure


def main(out, seed, quick, minutes, n, shown=8):
    dataset, tiny = runs.open_data("mnist"), {}
    if quick:
        minutes, n, shown = 0.005, 4, 4
        tiny = {**TINY, "T": 25}  # the linear schedule takes T > 20
    digits = dataset.held_out[:n]

    # %% Train, measure and sample, model by model.
    results, report, state = {}, {}, None
    for name, settings in cumulative_settings().items():
        settings = {**settings, **tiny}
        run, rng = runs.start(dataset, seed, minutes=minutes, **settings)
        if set(STEPS[name]) == {"variance"}:  # none of these losses uses it: the same weights
            run = run._replace(state=state)
        else:
            run = train(run, rng, dataset, name)
        state = run.state
        bits = bits_per_digit(run, digits, seed, name)
        results[name] = bits, sample(run, shown, seed, name)
        mean, error = mean_and_error(bits)
        report[name] = {"bits_per_dim": mean, "standard_error": error, "steps": run.state.step,
                        "settings": settings}
        print(f"{name:20} {mean:.3f} ± {error:.3f} bits per dimension, {run.state.step} steps")

    # %% The gain of each step, digit by digit: the same digits and the same noise.
    names = list(results)
    gains = {}
    for before, name in zip(names, names[1:]):
        gain, error = mean_and_error(results[before][0] - results[name][0])
        gains[name] = {"bits_per_dim": gain, "standard_error": error}
    total, total_error = mean_and_error(results[names[0]][0] - results[names[-1]][0])
    write_picture(out / "ladder.png", draw(results, minutes))
    first, second = sorted(gains, key=lambda name: -gains[name]["bits_per_dim"])[:2]
    answer = (f"After {minutes:g} minutes of training each, −ELBO of {n} held-out digits is "
              f"{total:.2f} bits per dimension lower with all steps than for the paper's DDPM.  "
              f"Most is gained by {first} ({gains[first]['bits_per_dim']:.2f}) and {second} "
              f"({gains[second]['bits_per_dim']:.2f}).")
    finish(out, answer, seed, minutes=minutes, held_out=n, models=report, gains=gains,
           total_gain={"bits_per_dim": total, "standard_error": total_error})


if __name__ == "__main__":
    parser = demo_parser(__doc__, "ladder-out")
    parser.add_argument("--minutes", type=positive, default=2, metavar="M",
                        help="of training, for each model (%(default)s)")
    parser.add_argument("--n", type=integer_at_least(2), default=100, metavar="N",
                        help="held-out digits (%(default)s)")
    run_demo(main, parser)
