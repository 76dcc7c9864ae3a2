"""Digits: how far are samples from real ones, and are they new?

    python demos/judge.py                                    # how this judge sees spoiled digits: a scale to read it by
    python demos/judge.py mnist-out/samples.npy              # samples beside them: uint8 (N, 28, 28), 500 or more

A classifier made of our own layers learns half of the training digits, for about a minute.  In its last hidden layer
the Fréchet distance is taken between samples and held-out digits, |μ − μ'|² + tr(C + C' − 2(CC')^½) with means and
covariances of the 32 features (Heusel et al. 2017), and beside it the *floor*: the same for as many real digits as
there are samples, of the other half, that neither side has seen.  Few samples lie far even when they are real; so
distances are read as multiples of the floor.  Then class balance, and each sample's nearest training digit: a
model that copies has samples far nearer to one than held-out digits are.

Writes judge.png, nearest.png and report.json to --out.
"""
# %%
import argparse
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from tqdm import tqdm

from tinyddpm import load, mnist, training
from tinyddpm.app import plot
from tinyddpm.app.console import one_sentence_for_mistakes, integer_at_least, write_json
from tinyddpm.decoder import from_levels
from tinyddpm.images.augment import random_shift
from tinyddpm.network.unet import conv_layer, conv_layout, space_to_depth
from tinyddpm.network.layers import dense, dense_layout
from tinyddpm.network.primitives import normalise, silu
from tinyddpm.network.weights import initial_weights, pack, unpack
from tinyddpm.network.threads import gradient_in_halves, in_halves

FEATURES = 32


# %% The classifier: two convolutions, one hidden layer, ten logits.
LAYOUT = {"first": conv_layout(4, 16), "second": conv_layout(64, 32),
          "hidden": dense_layout(7 * 7 * 32, FEATURES), "last": dense_layout(FEATURES, 10)}


def features(weights, x):
    """(B, 28, 28) in [−1, 1] → (B, 32)."""
    h = silu(conv_layer(weights["first"], space_to_depth(anp.reshape(x, (-1, 28, 28, 1)))))
    h = silu(normalise(conv_layer(weights["second"], space_to_depth(h))))
    return silu(dense(weights["hidden"], anp.reshape(h, (-1, 7 * 7 * 32))))


def cross_entropy(weights, x, labels):
    logits = dense(weights["last"], features(weights, x))
    logits = logits - anp.max(logits, 1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(logits), 1)) - anp.sum(logits * np.eye(10, dtype=np.float32)[labels], 1))


def learn(images, labels, rng, steps):
    weights, rate = pack(initial_weights(LAYOUT, rng)), training.warm_up_and_decay(3e-3)
    state = training.State(0, weights, None, np.zeros_like(weights), np.zeros_like(weights))
    objective = gradient_in_halves(value_and_grad(lambda vector, *batch: cross_entropy(unpack(vector, LAYOUT), *batch)))
    for step in tqdm(range(steps), "classifier"):
        rows = rng.integers(len(images), size=128)
        _, gradient = objective(state.weights, from_levels(random_shift(images[rows], rng, 2)), labels[rows])
        state = training.adam(state, gradient, rate(step, step / steps))
    return unpack(state.weights, LAYOUT)


def seen(weights, images):
    """The features of images, uint8, and the digit they are taken for: (N, 32) float64, (N,)."""
    parts = in_halves(lambda x: features(weights, x), from_levels(images))
    found = np.concatenate([part for _, part in parts])
    return found.astype(float), dense(weights["last"], found).argmax(1)


# %% What is measured.
def frechet(a, b):
    """|μ − μ'|² + tr(C + C' − 2(CC')^½) of two clouds of features, (N, F) and (M, F)."""
    values, axes = np.linalg.eigh(np.cov(a.T))
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    cross = np.linalg.eigvalsh(root @ np.cov(b.T) @ root)  # its eigenvalues are those of CC'
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T)) - 2 * np.sqrt(np.maximum(cross, 0)).sum())


def nearest(images, others):
    """Index of, and root mean square distance in grey levels to, the nearest of the others: (N,) each."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (images, others))
    square = (a ** 2).sum(1)[:, None] - 2 * a @ b.T + (b ** 2).sum(1)
    return square.argmin(1), np.sqrt(np.maximum(square.min(1), 0) / a.shape[1])


def spoiled(digits, rng):
    """Real digits made worse in ways one can name."""
    blurred = sum(np.roll(digits.astype(float), shift, (1, 2)) for shift in np.ndindex(3, 3)) / 9
    halves = np.concatenate([digits[:, :14], digits[rng.permutation(len(digits)), 14:]], 1)
    return {"real, noise of 30 levels": np.clip(digits + 30 * rng.standard_normal(digits.shape), 0, 255).astype(np.uint8),
            "real, blurred 3×3": blurred.astype(np.uint8), "top and bottom of two digits": halves,
            "pixels of other digits": np.take_along_axis(digits, rng.integers(len(digits), size=digits.shape), 0)}


def judge(weights, samples, digits, unseen):
    """The report on samples, uint8 (N, 28, 28)."""
    n = min(len(samples), len(unseen))
    truth, (found, taken_for) = seen(weights, digits.held_out)[0], seen(weights, samples)
    floor = np.mean([frechet(seen(weights, part)[0], truth) for part in np.split(unseen[:len(unseen) // n * n], len(unseen) // n)])
    distance = frechet(found[:n], truth)
    share = np.bincount(taken_for, minlength=10) / len(samples)
    near, usual = nearest(samples, digits.train)[1], nearest(digits.held_out, digits.train)[1]
    return {"n": n, "frechet": distance, "floor": float(floor), "times_floor": float(distance / floor),
            "class_share": share.tolist(), "nearest_median": float(np.median(near)), "held_out_nearest_median": float(np.median(usual)),
            "nearer_than_99_percent_of_held_out": float((near < np.quantile(usual, 0.01)).mean())}


def draw(reports):
    """Fréchet distances beside their floors, on a logarithmic axis, and the share of each digit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.4 * len(reports) + 1.6), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for row, report in enumerate(reports.values()):
        left.plot([report["floor"], report["frechet"]], [row, row], color=plot.FAINT)
        left.scatter([report["floor"]], [row], color=plot.DATA, label="as many real digits" if not row else None)
        left.scatter([report["frechet"]], [row], color=plot.MODEL, label="these" if not row else None)
        left.text(report["frechet"] * 1.15, row, f"{report['times_floor']:.1f}×", va="center")
    left.set(xscale="log", title="Fréchet distance to held-out digits", yticks=range(len(reports)), yticklabels=reports)
    left.invert_yaxis()
    left.margins(x=0.15)
    left.legend(frameon=False, loc="upper right")
    right.imshow([report["class_share"] for report in reports.values()], aspect="auto", cmap="Greys", vmin=0, vmax=0.2)
    right.set(xticks=range(10), title="taken for the digit (a tenth each is even)")
    return figure


def main(files, out, seed=0, quick=False):
    digits, rng = mnist(), np.random.default_rng(seed)
    given, least = {str(file): load(file) for file in files}, FEATURES + 2 if quick else 500  # fewer lie far though they be real
    for name, samples in given.items():
        if samples.dtype != np.uint8 or samples.shape[1:] != (28, 28) or len(samples) < least:
            raise ValueError(f"{name} holds {samples.dtype} of shape {samples.shape}: the judge takes {least} or more "
                             f"digits, uint8 (N, 28, 28)")
    out.mkdir(parents=True, exist_ok=True)
    learned, unseen = np.split(digits.train, 2)
    weights = learn(learned, digits.train_labels[:len(learned)], rng, 30 if quick else 800)
    accuracy = float((seen(weights, digits.held_out)[1] == digits.held_out_labels).mean())
    print(f"classifier: {100 * accuracy:.1f} % of held-out digits right")

    real = unseen[:500]
    everything = {**given, **({} if given and quick else spoiled(real, rng))}
    reports = {name: judge(weights, samples, digits, unseen) for name, samples in everything.items()}
    print(f"\n{'':32}{'n':>5}{'Fréchet':>9}{'floor':>8}{'ratio':>8}{'nearest':>9}{'copies':>8}   share of each digit, %")
    for name, r in reports.items():
        print(f"{name[-31:]:32}{r['n']:5}{r['frechet']:9.2f}{r['floor']:8.2f}{r['times_floor']:8.1f}{r['nearest_median']:9.1f}"
              f"{100 * r['nearer_than_99_percent_of_held_out']:7.1f}%   " + " ".join(f"{100 * s:.0f}" for s in r["class_share"]))
    print(f"nearest: median distance to a training digit, in grey levels (held-out digits: {r['held_out_nearest_median']:.1f}); "
          f"copies: nearer than 99 % of those")
    draw(reports).savefig(out / "judge.png")
    samples = next(iter(everything.values()))[:30]
    beside = digits.train[nearest(samples, digits.train)[0]]
    rows = [row for i in range(0, len(samples), 10) for row in (samples[i:i + 10], beside[i:i + 10])]
    plot.image_grid(np.concatenate(rows), "samples, and below each its nearest training digit", 10).savefig(out / "nearest.png")
    write_json(out / "report.json", {"seed": seed, "accuracy": accuracy, "judged": reports})
    print(f"{out}: judge.png, nearest.png, report.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="*", metavar="FILE.npy")
    parser.add_argument("--out", type=Path, default=Path("judge-out"))
    parser.add_argument("--seed", type=integer_at_least(0), default=0)
    parser.add_argument("--quick", action="store_true", help="a moment only, to see that everything works")
    arguments = parser.parse_args()
    with one_sentence_for_mistakes():
        main(arguments.samples, arguments.out, arguments.seed, arguments.quick)
