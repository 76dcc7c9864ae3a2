"""A run: one training from its data to its folder, and back from the folder to a denoiser.

The folder is all that sampling and the ledger need:

    settings.json     what was trained, on what, how
    checkpoint.npz    the schedule's β, the weights, their average (EMA), the optimiser's moments, the generator's state;
                      for images the histograms of their grey levels
    held_out.npy      data that was never trained on, for the ledger
    log.csv           step, loss, length of the gradient, seconds
    lock              held by the process that trains here

Each is replaced as a whole or not at all, settings.json last when the folder is new: where that one stands, there is a
run, and training goes on from its checkpoint: bit for bit, unless it is the clock that ends it and leads its learning rate.
"""
import hashlib
import io
import json
import math
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
from autograd import value_and_grad

from .. import elbo, schedule, toys, training
from ..gaussian import Gaussian
from ..decoder import from_levels, level_log_prob, to_images
from ..images import bits, muon, pixels
from ..images.augment import random_shift
from ..images.histograms import fit_histograms
from ..images.schedule import grey_levels
from ..network import Network, conv_denoiser, mlp
from ..reverse import TO_EPS
from ..network.threads import denoise_in_halves, gradient_in_halves, one_blas_thread
from ..network.weights import count
from . import data, files, readers
from .digits import mnist, mnist_full

SCHEDULES = {"linear": schedule.linear, "cosine": schedule.cosine, "log_snr_uniform": schedule.log_snr_uniform,
             "grey_levels": grey_levels}
PREDICTS = (*TO_EPS, "prior")  # a pixel's prior: see pixels
LOSSES = ("simple", "v", "vlb", "hybrid", "bits")
VARIANCES = ("beta", "beta_tilde", "learned")
FORMAT = 2  # of a run folder: another number where the same weights would mean another network
OPTIMISERS = {"adam": lambda layout: training.adam_in_place, "muon": muon.muon}

DEFAULTS = {
    "points": dict(schedule="log_snr_uniform", T=100, predicts="eps", variance="beta", loss="simple", steps=5000,
                   batch=256, optimiser="adam", learning_rate=4e-3, ema_decay=0.999, network=dict(width=96, depth=2)),
    "images": dict(schedule="grey_levels", T=1000, predicts="prior", variance="learned", loss="bits", steps=2000,
                   batch=64, optimiser="muon", learning_rate=4e-3, ema_decay=0.998,
                   network=dict(width=32, outer_blocks=2, inner_blocks=3)),  # most bits are in fine detail: the outer blocks'
}
LEAST = {"points": 800, "images": 2}  # items that two threads share: with fewer they cost more than they save

# The largest numbers that make sense here; what is larger is a slip of the finger, or a settings.json by a stranger.
MOST_NUMBERS = 2 ** 26  # in a batch, or in the samples drawn at once
MOST = {"T": 10 ** 5, "steps": 10 ** 9, "batch": 10 ** 5, "depth": 1000, "shape": MOST_NUMBERS}  # and 4096 for all others
MOST_WEIGHTS = 2 ** 24
MOST_ROWS = 2 ** 13  # of 24 kB each, in the table of pixels: 1024 noise levels, or fewer with more than 8 kinds of images


FILES = ("held_out.npy", "log.csv", "checkpoint.npz", "settings.json")  # of a run folder, in the order of their first writing


class DataSet(NamedTuple):
    """Data as training takes it.  draw: (rng, n) → raw items; held_out: raw items; kind: "points" or "images"."""

    name: str
    kind: str
    draw: Callable
    held_out: Any
    shift: Any  # x_0 = (raw − shift)/scale for points; images go to [−1, 1]
    scale: Any
    sha256: Any = None  # of the rows to train on, where they are a finite set


def open_data(name, held_out=2000):
    """The data set of that name: a toy, "mnist", "mnist_full", a folder of MNIST's idx files, or your own file.

    Toys are drawn afresh for every batch.  A file's points are shifted and scaled to mean 0 and variance 1 in each
    coordinate, and a tenth of its rows is held out.  The shipped digits, which are few and soon known by heart, are drawn
    as they are or, as often, up to a pixel off their place.  ValueError: no such data.
    """
    if name in toys.TOYS:
        source = toys.toy(name)
        D = len(source.mean)
        return DataSet(name, "points", lambda rng, n: source.sample(rng, n),
                       source.sample(np.random.default_rng(2006_11239), held_out), np.zeros(D), np.ones(D))
    if name in ("mnist", "mnist_full") or os.path.isdir(name):
        digits = mnist() if name == "mnist" else mnist_full(None if name == "mnist_full" else name)
        rows, held = digits.train, digits.held_out
    elif Path(name).suffix:
        rows, held = data.split(data.load(name))
    else:
        raise ValueError(f"data = {name!r} is no data set: choose among {', '.join(toys.TOYS)}, mnist, mnist_full, "
                         f"or give a .npy, .npz or .csv file")
    kind = "points" if rows.ndim == 2 else "images"
    if len(rows) < 2 or len(held) < 2:
        raise ValueError(f"data = {name!r} has {len(rows)} rows to train on and {len(held)} held out: each takes 2 or more")
    shift, scale = np.zeros(1), np.ones(1)
    if kind == "points":
        same = rows.min(0) == rows.max(0)
        if same.any():
            raise ValueError(f"data = {name!r} has the same value in every row of column {np.argmax(same)}: "
                             f"nothing to learn there")
        with np.errstate(over="ignore", invalid="ignore"):  # said in words, right below
            shift, scale = rows.mean(0), rows.std(0)
        if not (np.isfinite(shift) & np.isfinite(scale) & (scale > 0)).all():
            raise ValueError(f"data = {name!r} has numbers too large or too small for a float64 to hold their variance")

    def draw(rng, n):
        drawn = rows[rng.integers(len(rows), size=n)]
        return random_shift(drawn, rng, 1, share=0.5) if name == "mnist" else drawn
    return DataSet(name, kind, draw, held[:held_out], shift, scale, hashlib.sha256(np.ascontiguousarray(rows)).hexdigest())


class Run(NamedTuple):
    """A network in training, or trained: settings (plain JSON), schedule, network, state, held-out data (raw)."""

    settings: dict
    schedule: schedule.Schedule
    network: Network
    state: training.State
    held_out: Any
    table: Any = None  # `pixels.Table`, where the network predicts the prior of pixels

    @property
    def predicts(self):
        """What the network's output means.  From the prior of each pixel it has made x̂_0 already."""
        return "x_0" if self.settings["predicts"] == "prior" else self.settings["predicts"]

    @property
    def denoiser(self):
        """(x_t, t) → ε̂, or (ε̂, log_var_fraction) where the variance is learned, with the averaged weights."""
        return denoise_in_halves(training.denoiser(self.schedule, self.network, self.state.ema, self.predicts), LEAST[self.settings["kind"]])

    @property
    def decoder(self):
        """The decoder that fits the data: of 256 levels for images, a density for points."""
        return level_log_prob if self.settings["kind"] == "images" else Gaussian.log_prob

    @property
    def clip(self):
        """The range that x̂_0 is kept in by sampler and ledger alike: images have one, points have none."""
        return (-1, 1) if self.settings["kind"] == "images" else None

    def encode(self, raw):
        """Raw data → x_0 as the chain knows it, float64.  ValueError: items of another shape than the run's."""
        if list(raw.shape[1:]) != self.settings["shape"]:
            raise ValueError(f"the data has items of shape {raw.shape[1:]}, and the run knows {tuple(self.settings['shape'])}")
        if self.settings["kind"] == "images":
            return from_levels(raw).astype(np.float64)
        return (raw - np.array(self.settings["shift"])) / np.array(self.settings["scale"])

    def decode(self, x_0):
        """x_0 → raw data: uint8 images, or points in their own units."""
        if self.settings["kind"] == "images":
            return to_images(x_0)
        return x_0 * np.array(self.settings["scale"]) + np.array(self.settings["shift"])

    def ledger(self, raw, rng, **options):
        """`elbo.ledger` of raw data, its nats in the data's own units: scaling by s adds log s to −log density."""
        options = {"variance": self.settings["variance"], "decoder": self.decoder, "clip": self.clip, **options}
        ledger = elbo.ledger(self.schedule, self.denoiser, self.encode(raw), rng, **options)
        if self.settings["kind"] == "points":
            ledger.terms[:, 0] += np.log(self.settings["scale"]).sum()
        return ledger


def start(dataset, seed=0, **choices):
    """A fresh run on a data set: (Run, the generator to train it with).

    choices: any of the settings; what is not chosen, or None, goes with what is, or is from `DEFAULTS`.  With
    `minutes` the clock ends the training, and not `steps`.  ValueError: what `check_settings` and the parts themselves refuse.
    """
    chosen = {name: value for name, value in choices.items() if value is not None}
    by_pixel = dataset.kind == "images" and chosen.get("predicts", "prior") == "prior" and chosen.get("loss", "bits") == "bits"
    if not by_pixel:  # a choice, and what goes with it
        chosen.setdefault("loss", "hybrid" if chosen.get("variance") == "learned" else "v" if chosen.get("predicts") == "v" else "simple")
        chosen.setdefault("predicts", "v" if (dataset.kind, chosen["loss"]) == ("images", "v") else "eps")
        chosen.setdefault("variance", "learned" if chosen["loss"] == "hybrid" else "beta" if dataset.kind == "points" else "beta_tilde")
    settings = {"format": FORMAT, "data": dataset.name, "kind": dataset.kind, "shape": list(dataset.held_out.shape[1:]),
                "shift": dataset.shift.tolist(), "scale": dataset.scale.tolist(), "sha256": dataset.sha256,
                "seed": seed, "minutes": None, **DEFAULTS[dataset.kind], **chosen}
    check_settings(settings)
    rng = np.random.default_rng(seed)
    noise, table = SCHEDULES[settings["schedule"]](settings["T"]), None
    if settings["predicts"] == "prior":
        size = dataset.held_out[0].size
        enough = int(np.clip(2 ** 22 // size, min(100, MOST_NUMBERS // size), 2 ** 13))  # a histogram takes 2 kB
        table = pixels.Table(fit_histograms(dataset.draw(np.random.default_rng(seed), enough)), noise)
    network = make_network(settings, noise, table)
    return Run(settings, noise, network, training.initial_state(network, rng), dataset.held_out, table), rng


def check_settings(settings):
    """ValueError, naming what is wrong, unless the settings describe a run."""
    allowed = {"format": (FORMAT,), "kind": DEFAULTS, "schedule": SCHEDULES, "predicts": PREDICTS, "variance": VARIANCES, "loss": LOSSES,
               "optimiser": OPTIMISERS}
    for name, choices in allowed.items():
        if settings[name] not in choices:
            raise ValueError(f"{name} = {settings[name]!r}: one of {', '.join(map(str, choices))}")
    whole = {"T": settings["T"], "steps": settings["steps"], "batch": settings["batch"], **settings["network"],
             **{f"shape[{i}]": size for i, size in enumerate(settings["shape"])}}
    for name, value in whole.items():
        most = MOST.get(name.partition("[")[0], 4096)
        if not (isinstance(value, int) and 1 <= value <= most):
            raise ValueError(f"{name} = {value!r}: a whole number from 1 to {most}")
    check_size("batch", settings["batch"], settings["shape"])
    if not isinstance(settings["data"], str):
        raise ValueError(f"data = {settings['data']!r}: the name of a data set")
    if not (isinstance(settings["seed"], int) and settings["seed"] >= 0):
        raise ValueError(f"seed = {settings['seed']!r}: a whole number of 0 or more")
    for name in ("learning_rate", "minutes"):
        if settings[name] is not None and not 0 < settings[name] < 1e100:
            raise ValueError(f"{name} = {settings[name]}: a positive number below 1e100")
    if not 0 <= settings["ema_decay"] <= 1:
        raise ValueError(f"ema_decay = {settings['ema_decay']}: a number from 0 to 1")
    if {np.shape(settings["shift"]), np.shape(settings["scale"])} != {(settings["shape"][0] if settings["kind"] == "points" else 1,)}:
        raise ValueError("shift and scale have one number for each coordinate of a point, and one for images")
    if not (np.max(np.abs(settings["shift"])) < 1e200 and 1e-200 < np.min(settings["scale"]) <= np.max(settings["scale"]) < 1e200):
        raise ValueError("shift and scale are lists of numbers below 1e200, and the scale is positive, above 1e-200")
    learned = settings["variance"] == "learned"
    if learned and settings["loss"] not in ("hybrid", "bits") or settings["loss"] == "hybrid" and not learned:
        raise ValueError(f"loss = {settings['loss']!r} with variance = {settings['variance']!r}: the hybrid loss is there to "
                         f"learn the variance, and a learned variance takes that one, or the bits loss, where it follows from the mean's posterior")
    if settings["loss"] == "v" and settings["predicts"] != "v":
        raise ValueError(f"loss = 'v' with predicts = {settings['predicts']!r}: the v-loss is for a network that predicts v")
    prior = settings["predicts"] == "prior"
    if prior and settings["kind"] != "images" or prior != (settings["loss"] == "bits"):
        raise ValueError(f"predicts = {settings['predicts']!r} with loss = {settings['loss']!r}: the prior is that of an image's "
                         f"pixels, and goes with the bits loss alone, and the bits loss with it")


def check_size(name, count, shape):
    """ValueError where so many items of a shape are too many for the memory of a small computer."""
    if count * math.prod(shape) > MOST_NUMBERS:
        raise ValueError(f"{name} = {count}: of shape {tuple(shape)} there can be {MOST_NUMBERS // math.prod(shape)} at the most")


def make_network(settings, noise, table=None):
    """The network that the settings describe: an MLP for points, a convolutional one for images.

    ValueError: it would have too many weights.
    """
    shape, options, learned = settings["shape"], settings["network"], settings["variance"] == "learned"
    channels = shape[2] if len(shape) == 3 else 1
    if settings["kind"] == "points":
        network = mlp(shape[0], learn_variance=learned, **options)
    elif settings["predicts"] == "prior":
        network = pixels.pixel_network(noise, table, conv_denoiser(2 * channels, outputs=3 * channels, **options), learned)
    else:
        network = conv_denoiser(channels, learn_variance=learned, **options)
    if count(network.layout) > MOST_WEIGHTS:
        raise ValueError(f"network = {options}: it would have more than {MOST_WEIGHTS} weights")
    return network


def fit(run, dataset, rng, folder=None, bar=None, every=60.0):
    """Train the run to its last step, or for its minutes; returns the run with its new state.

    With a folder (hold it with `locked`), a checkpoint is written there at the start, every `every` seconds, at the
    end, and on Ctrl-C; always of the end of a step, so that nothing is lost or done twice when `load` and `fit` go on
    from it.  bar: a tqdm-like object with n, update(n), set_postfix(loss=…).
    FloatingPointError: the training has diverged; the checkpoint before that is left as it is.
    """
    settings, minutes = run.settings, run.settings["minutes"]
    losses = {"simple": elbo.simple_loss, "v": elbo.v_loss,
              "vlb": lambda *args: elbo.vlb_loss(*args, settings["variance"], run.decoder),
              "hybrid": lambda *args: elbo.hybrid_loss(*args, run.decoder)}
    times, network = training.draw_times, run.network
    if settings["loss"] == "bits":
        network = pixels.mean_only(run.network)
        losses["bits"], times = bits.loss_and_times(run.schedule, run.table)
    log = [] if folder is None else read_log(Path(folder) / "log.csv", run.state.step)
    began = saved = time.monotonic()
    before = log[-1][3] if log else 0.0

    def elapsed():
        return before + time.monotonic() - began

    by_clock = 0 if minutes is None or elapsed() >= 60 * minutes else np.inf
    steps = training.train(
        run.schedule, network, lambda rng, n: run.encode(dataset.draw(rng, n)).astype(np.float32), rng,
        settings["steps"] if minutes is None else by_clock, settings["batch"], losses[settings["loss"]], run.predicts,
        settings["learning_rate"], ema_decay=settings["ema_decay"], state=run.state, draw_times=times,
        optimiser=OPTIMISERS[settings["optimiser"]](network.layout),
        differentiate=lambda f: gradient_in_halves(value_and_grad(f), LEAST[settings["kind"]]),
        progress=None if minutes is None else lambda: elapsed() / (60 * minutes))
    average, latest = None, (run.state, rng.bit_generator.state)

    def checkpoint():
        if folder is not None:
            save(folder, run._replace(state=latest[0]), latest[1], log)

    try:
        checkpoint()
        with one_blas_thread():  # these products are small: where another process has a core, threads wait for each other
            for step in steps:
                over = minutes is not None and elapsed() >= 60 * minutes
                if step.state.step % 10 == 0 or over:
                    log.append((step.state.step, step.loss, step.gradient_norm, elapsed()))
                latest = step.state, rng.bit_generator.state  # in one stroke, wherever Ctrl-C comes
                average = step.loss if average is None else 0.98 * average + 0.02 * step.loss
                if bar is not None:
                    bar.set_postfix(loss=f"{average:.4f}", refresh=False)
                    bar.update(1 if minutes is None else min(elapsed(), 60 * minutes) - bar.n)
                if time.monotonic() - saved > every:
                    checkpoint()
                    saved = time.monotonic()
                if over:
                    break
        checkpoint()
    except KeyboardInterrupt:
        checkpoint()
        raise
    return run._replace(state=latest[0])


def read_log(path, step):
    """The rows of log.csv up to that step; those of later ones were lost with the training, and it is done again."""
    if not step or not path.exists():
        return []
    rows = readers.read_file(path, readers.read_csv, "a log")
    if rows.size and rows.shape[1] != 4:
        raise ValueError(f"{str(path)!r} has {rows.shape[1]} columns where the log of a training has 4: take it away to go on without")
    return [tuple(row) for row in rows.tolist() if row[0] <= step]


def save(folder, run, generator, log=()):
    """Write the run's folder: the run, the state of its generator, and rows for log.csv."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["step,loss,gradient_norm,seconds", *("%d,%.6g,%.6g,%.2f" % row for row in log)]
    histograms = {} if run.table is None else run.table.histograms._asdict()
    packed = io.BytesIO()  # in memory first: where a disk is full, a ZipFile of NumPy 1 complains once more when it is forgotten
    with files.interrupts_held():
        np.savez(packed, beta=run.schedule.beta[1:], rng=np.array(json.dumps(generator)), **run.state._asdict(), **histograms)
    new = run.state.step == 0 or not (folder / "settings.json").exists()
    if new:
        files.replace(folder / "held_out.npy", lambda file: np.save(file, run.held_out))
    files.replace(folder / "log.csv", lambda file: file.write("\n".join(rows).encode() + b"\n"))
    files.replace(folder / "checkpoint.npz", lambda file: file.write(packed.getbuffer()))
    if new:
        files.replace(folder / "settings.json", lambda file: file.write(json.dumps(run.settings, indent=2).encode()))


@contextmanager
def locked(folder, new=False):
    """A run folder, made if it is a new one, for this process alone: the lock ends with the process, however that ends.

    ValueError: another process has it, there is a run already though a new one is wanted, or there is none.
    """
    folder = Path(folder)
    if new:
        folder.mkdir(parents=True, exist_ok=True)
    else:
        check_is_run(folder)
    if (folder / "lock").exists() and not (folder / "lock").is_file():
        raise ValueError(f"run = {str(folder)!r} has a lock that is no file")  # a pipe would be waited for
    with open(folder / "lock", "a") as file:
        try:
            files.lock(file)
        except (BlockingIOError, PermissionError):
            raise ValueError(f"run = {str(folder)!r} is being trained by another process: "
                             f"wait for its end, or take another folder") from None
        except OSError:
            pass  # a file system that knows no locks
        else:
            for name in FILES:
                files.forget_partials(folder / name)
        if new and (folder / "settings.json").exists():
            raise ValueError(f"run = {str(folder)!r} exists already: train --resume goes on with it")
        yield


def check_is_run(folder):
    if not (folder / "settings.json").is_file():
        raise ValueError(f"run = {str(folder)!r} is no run folder: it has no settings.json, which train writes last "
                         f"of its files; a training that was killed before begins anew in an empty folder")


def load(folder):
    """The run in a folder: (Run, the generator as training left it).  ValueError: no run folder, or a damaged one."""
    folder = Path(folder)
    check_is_run(folder)
    try:
        settings = json.loads(readers.read_file(folder / "settings.json", lambda file: file.read(2 ** 20), "settings"))
        check_settings(settings)
        arrays = readers.read_file(folder / "checkpoint.npz", lambda file: readers.read_npz(
            file, lambda names: ["beta", "rng", *training.State._fields, *({"share", "levels"} & set(names))]), "a checkpoint")
        noise, table = schedule.Schedule(arrays["beta"]), None
        if settings["predicts"] == "prior":
            kinds, rows = len(arrays["share"]), np.ptp(noise.log_snr[1:]) / pixels.Table.spacing
            if rows * max(8, kinds) > MOST_ROWS:
                raise ValueError(f"share: {kinds} kinds of images at {rows:.0f} noise levels are more than a table can have")
            table = pixels.Table((arrays["share"], arrays["levels"]), noise)
        network = make_network(settings, noise, table)
        state = training.State(int(arrays["step"]), *(arrays[name] for name in training.State._fields[1:]))
        for name, vector in state._asdict().items():
            if name != "step" and not (vector.dtype == np.float32 and np.isfinite(vector).all()):
                raise ValueError(f"{name} must be finite float32 numbers")
            if name != "step":
                training.unpack(vector, network.layout)
        if not 0 <= state.step <= MOST["steps"]:
            raise ValueError(f"step = {state.step}: a whole number from 0 to {MOST['steps']}")
        rng = np.random.default_rng()
        rng.bit_generator.state = json.loads(str(arrays["rng"]))
        held_out = readers.read_file(folder / "held_out.npy", readers.read_npy, "an array")
        if (list(held_out.shape[1:]) != settings["shape"] or len(held_out) < 2 or not np.isfinite(held_out).all()
                or held_out.dtype != (np.float64 if settings["kind"] == "points" else np.uint8)):
            raise ValueError(f"held_out.npy, {held_out.dtype} of shape {held_out.shape}, does not go with "
                             f"{settings['kind']} of shape {settings['shape']}")
        if noise.T != settings["T"]:
            raise ValueError(f"T = {settings['T']} does not go with {noise.T} betas")
    except Exception as error:  # whoever wrote these files, the user gets one sentence
        raise ValueError(f"run = {str(folder)!r} is damaged or not of this version: "
                         f"{type(error).__name__}: {readers.one_line(error)}") from None
    return Run(settings, noise, network, state, held_out, table), rng
