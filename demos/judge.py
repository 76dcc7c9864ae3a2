"""How far are samples of digits from real digits, and are they copies?

    python demos/judge.py                          # for scale: real digits, spoiled in known ways
    python demos/judge.py mnist-out/samples.npy    # samples beside them: uint8 (N, 28, 28), N ≥ 500

A classifier made of this package's layers is trained on half of the training digits, for about a
minute.  The 32 values of its last hidden layer are the features of an image.  Printed are
* the Fréchet distance between the features of samples and of held-out digits, by their means and
  covariances (Heusel et al. 2017):
    |μ − μ'|² + tr(C + C' − 2(CC')^½)
* the floor: the same distance for as many real digits, from the other half of the training
  digits.  With few samples the distance is large even for real digits, so read distances as
  multiples of the floor;
* the share of samples in each class;
* the distance from each sample to its nearest training digit.  A model that copies its training
  data has samples much nearer to one than held-out digits are.
Writes judge.png, nearest.png and report.json.
"""
# %%
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from common import demo_parser, run_demo
from tqdm import tqdm

from tinyddpm import load, mnist, training
from tinyddpm.app import plot
from tinyddpm.app.console import write_json, write_picture
from tinyddpm.decoder import from_levels
from tinyddpm.images.augment import random_shift
from tinyddpm.network.layers import dense, dense_layout
from tinyddpm.network.primitives import normalise, silu
from tinyddpm.network.threads import gradient_in_halves, in_halves
from tinyddpm.network.unet import conv_layer, conv_layout, space_to_depth
from tinyddpm.network.weights import initial_weights, pack, unpack

FEATURES = 32


# %% The classifier: two convolutions, one hidden layer, ten logits.
LAYOUT = {"first": conv_layout(4, 16), "second": conv_layout(64, 32),
          "hidden": dense_layout(7 * 7 * 32, FEATURES), "last": dense_layout(FEATURES, 10)}


def features(weights, x):
    """(B, 28, 28) in [−1, 1] → (B, 32)."""
    h = space_to_depth(anp.reshape(x, (-1, 28, 28, 1)))
    h = silu(conv_layer(weights["first"], h))
    h = silu(normalise(conv_layer(weights["second"], space_to_depth(h))))
    return silu(dense(weights["hidden"], anp.reshape(h, (-1, 7 * 7 * 32))))


def cross_entropy(weights, x, labels):
    logits = dense(weights["last"], features(weights, x))
    logits = logits - anp.max(logits, 1, keepdims=True)
    one_hot = np.eye(10, dtype=np.float32)[labels]
    return anp.mean(anp.log(anp.sum(anp.exp(logits), 1)) - anp.sum(logits * one_hot, 1))


def learn(images, labels, rng, steps):
    """The weights of the classifier after so many steps of Adam."""
    weights, rate = pack(initial_weights(LAYOUT, rng)), training.warm_up_and_decay(3e-3)
    state = training.State(0, weights, None, np.zeros_like(weights), np.zeros_like(weights))

    def loss(vector, x, labels):
        return cross_entropy(unpack(vector, LAYOUT), x, labels)

    value_and_gradient = gradient_in_halves(value_and_grad(loss))
    for step in tqdm(range(steps), "classifier"):
        rows = rng.integers(len(images), size=128)
        x = from_levels(random_shift(images[rows], rng, 2))
        _, gradient = value_and_gradient(state.weights, x, labels[rows])
        state = training.adam(state, gradient, rate(step, step / steps))
    return unpack(state.weights, LAYOUT)


def features_and_labels(weights, images):
    """The features of images, uint8, and their labels by the classifier: (N, 32) float64, (N,)."""
    parts = in_halves(lambda x: features(weights, x), from_levels(images))
    found = np.concatenate([part for _, part in parts])
    return found.astype(float), dense(weights["last"], found).argmax(1)


# %% What is measured.
def frechet(a, b):
    """|μ − μ'|² + tr(C + C' − 2(CC')^½) of two sets of features, (N, F) and (M, F)."""
    values, vectors = np.linalg.eigh(np.cov(a.T))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ np.cov(b.T) @ root)  # its eigenvalues are those of CC'
    square = ((a.mean(0) - b.mean(0)) ** 2).sum()
    trace = np.trace(np.cov(a.T) + np.cov(b.T))
    return float(square + trace - 2 * np.sqrt(np.maximum(cross, 0)).sum())


def nearest(images, others):
    """The nearest of the others to each image: index, and rms distance in grey levels."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (images, others))
    square = (a ** 2).sum(1)[:, None] - 2 * a @ b.T + (b ** 2).sum(1)
    return square.argmin(1), np.sqrt(np.maximum(square.min(1), 0) / a.shape[1])


def spoiled(digits, rng):
    """Real digits made worse in known ways."""
    shifted = [np.roll(digits.astype(float), shift, (1, 2)) for shift in np.ndindex(3, 3)]
    halves = np.concatenate([digits[:, :14], digits[rng.permutation(len(digits)), 14:]], 1)
    noisy = digits + 30 * rng.standard_normal(digits.shape)
    rows = rng.integers(len(digits), size=digits.shape)
    return {"real, noise of 30 levels": np.clip(noisy, 0, 255).astype(np.uint8),
            "real, blurred 3×3": (sum(shifted) / 9).astype(np.uint8),
            "halves of two digits": halves,
            "pixels of many digits": np.take_along_axis(digits, rows, 0)}


def judge(weights, samples, digits, unseen):
    """The report on samples, uint8 (N, 28, 28).  unseen: digits unknown to the classifier."""
    n = min(len(samples), len(unseen))
    truth, _ = features_and_labels(weights, digits.held_out)
    found, labels = features_and_labels(weights, samples)
    parts = np.split(unseen[:len(unseen) // n * n], len(unseen) // n)
    floor = np.mean([frechet(features_and_labels(weights, part)[0], truth) for part in parts])
    distance = frechet(found[:n], truth)
    share = np.bincount(labels, minlength=10) / len(samples)
    _, sample_distance = nearest(samples, digits.train)
    _, held_out_distance = nearest(digits.held_out, digits.train)
    is_nearer = sample_distance < np.quantile(held_out_distance, 0.01)
    return {"n": n, "frechet": distance, "floor": float(floor),
            "times_floor": float(distance / floor), "class_share": share.tolist(),
            "nearest_median": float(np.median(sample_distance)),
            "held_out_nearest_median": float(np.median(held_out_distance)),
            "nearer_than_99_percent_of_held_out": float(is_nearer.mean())}


# %% What is shown.
def print_reports(reports):
    print(f"\n{'':32}{'n':>5}{'Fréchet':>9}{'floor':>8}{'ratio':>8}{'nearest':>9}{'copies':>8}"
          f"   share of each class, %")
    for name, r in reports.items():
        shares = " ".join(f"{100 * share:.0f}" for share in r["class_share"])
        copies = 100 * r["nearer_than_99_percent_of_held_out"]
        print(f"{name[-31:]:32}{r['n']:5}{r['frechet']:9.2f}{r['floor']:8.2f}"
              f"{r['times_floor']:8.1f}{r['nearest_median']:9.1f}{copies:7.1f}%   {shares}")
    print(f"nearest: median distance to the nearest training digit, in grey levels "
          f"(held-out digits: {r['held_out_nearest_median']:.1f}); "
          f"copies: samples nearer than 99 % of held-out digits")


def draw(reports):
    """Fréchet distances beside their floors, on a logarithmic axis, and the share of each class."""
    rows = range(len(reports))
    figure, (left, right) = plot.new_figure(2, 5.5, 0.4 * len(reports) + 1.6, sharey=True,
                                            width_ratios=(3, 2))
    floors, distances = ([r[name] for r in reports.values()] for name in ("floor", "frechet"))
    left.hlines(rows, floors, distances, color=plot.FAINT)
    left.scatter(floors, rows, color=plot.DATA, label="floor: as many real digits")
    left.scatter(distances, rows, color=plot.MODEL, label="samples")
    for row, report in enumerate(reports.values()):
        left.text(report["frechet"] * 1.15, row, f"{report['times_floor']:.1f}×", va="center")
    left.set(xscale="log", title="Fréchet distance to held-out digits", yticks=rows,
             yticklabels=reports)
    left.invert_yaxis()
    left.margins(x=0.15)
    left.legend(frameon=False, loc="upper right")
    shares = [report["class_share"] for report in reports.values()]
    right.imshow(shares, aspect="auto", cmap="Greys", vmin=0, vmax=0.2)
    right.set(xticks=range(10), title="share of samples in each class")
    return figure


def main(out, seed, quick, samples):
    digits, rng = mnist(), np.random.default_rng(seed)
    given = {str(file): load(file) for file in samples}
    least = FEATURES + 2 if quick else 500  # with fewer, the floor is high
    for name, images in given.items():
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or len(images) < least:
            raise ValueError(f"samples = {name} holds {images.dtype} of shape {images.shape}: "
                             f"this demo takes {least} or more digits, uint8 (N, 28, 28)")
    learned, unseen = np.split(digits.train, 2)
    weights = learn(learned, digits.train_labels[:len(learned)], rng, 30 if quick else 800)
    labels = features_and_labels(weights, digits.held_out)[1]
    accuracy = float((labels == digits.held_out_labels).mean())
    print(f"the classifier recognises {100 * accuracy:.1f} % of held-out digits")

    needs_scale = not (given and quick)
    judged = {**given, **(spoiled(unseen[:500], rng) if needs_scale else {})}
    reports = {name: judge(weights, images, digits, unseen) for name, images in judged.items()}
    print_reports(reports)
    write_picture(out / "judge.png", draw(reports))
    first = next(iter(judged.values()))[:30]
    neighbours = digits.train[nearest(first, digits.train)[0]]
    rows = []
    for i in range(0, len(first), 10):
        rows += [first[i:i + 10], neighbours[i:i + 10]]
    title = "samples, and below each its nearest training digit"
    write_picture(out / "nearest.png", plot.image_grid(np.concatenate(rows), title, 10))
    write_json(out / "report.json", {"seed": seed, "accuracy": accuracy, "judged": reports})
    print(f"{out}: judge.png, nearest.png, report.json")


if __name__ == "__main__":
    parser = demo_parser(__doc__, "judge-out")
    parser.add_argument("samples", type=Path, nargs="*", metavar="FILE.npy")
    run_demo(main, parser)
