"""What a run holds, and what follows from it: a denoiser, samples, the ledger, a folder."""
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import elbo, sampling, training
from ..checks import check_integer
from ..decoder import from_levels, level_log_prob, to_images
from ..gaussian import Array, Gaussian
from ..images import pixels
from ..network import Network, conv_denoiser, mlp
from ..network.weights import count
from ..reverse import Denoiser
from ..schedule import Schedule
from . import ranks
from .settings import LEAST_TO_HALVE, Settings, check_size

Progress = Callable[[Iterable], Iterable]  # a function that wraps the steps, as tqdm does

MOST_WEIGHTS = 2 ** 24  # a larger network would not fit into the memory of a small computer

# A row of a pixel table has 24 kB.  At most 8192 rows: 1024 noise levels for each of 8 kinds.
MOST_ROWS = 2 ** 13


class LogRow(NamedTuple):
    """A row of log.csv."""

    step: float
    loss: float
    gradient_norm: float
    seconds: float


class Run(NamedTuple):
    """A network in training, or trained.

    settings   plain JSON, see settings.py
    held_out   data that was never trained on, in its own units
    table      `pixels.Table`, if the network predicts the prior of each pixel; otherwise None
    generator  `rng.bit_generator.state` after the last step
    log        rows of the training's log, where it was trained or loaded by `verbs`
    array      the array that it was trained on; None: data that have a name
    """

    settings: Settings
    schedule: Schedule
    network: Network
    state: training.State
    held_out: Array
    table: Any = None
    generator: Any = None
    log: Sequence[LogRow] = ()
    array: Array | None = None

    def __repr__(self) -> str:
        kind, data, shape = (self.settings[name] for name in ("kind", "data", "shape"))
        return (f"Run(data={data!r}, {kind} of shape {tuple(shape)}, {self.state.step} steps, "
                f"{self.schedule})")

    @property
    def is_images(self) -> bool:
        return self.settings["kind"] == "images"

    @property
    def predicts(self) -> str:
        """What the network returns: for "prior" this is x̂_0, see `pixels.pixel_network`."""
        predicts = self.settings["predicts"]
        return "x_0" if predicts == "prior" else predicts

    @property
    def denoiser(self) -> Denoiser:
        """(x_t, t) → ε̂, or (ε̂, log_var_fraction) for a learned variance; with the EMA weights."""
        denoiser = training.denoiser(self.schedule, self.network, self.state.ema, self.predicts)
        return ranks.shared_denoiser(denoiser, LEAST_TO_HALVE[self.settings["kind"]])

    @property
    def decoder(self) -> elbo.Decoder:
        """A probability of 256 levels for images, a density for points."""
        return level_log_prob if self.is_images else Gaussian.log_prob

    @property
    def clip(self) -> tuple[float, float] | None:
        """The range of the data, to which x̂_0 is clipped: (−1, 1) for images, None for points."""
        return (-1, 1) if self.is_images else None

    def encode(self, items: Array) -> Array:
        """Data → x_0, float64.  ValueError: items of another shape than the run's."""
        if list(items.shape[1:]) != self.settings["shape"]:
            shape = tuple(self.settings["shape"])
            raise ValueError(f"the data has items of shape {items.shape[1:]}: "
                             f"this run was trained on items of shape {shape}")
        if self.is_images:
            return from_levels(items).astype(np.float64)
        return (items - np.array(self.settings["shift"])) / np.array(self.settings["scale"])

    def decode(self, x_0: Array) -> Array:
        """x_0 → data: uint8 images, or points in their own units."""
        if self.is_images:
            return to_images(x_0)
        return x_0 * np.array(self.settings["scale"]) + np.array(self.settings["shift"])

    def sample(self, n: int, rng: np.random.Generator | int = 0, steps: int | None = None,
               eta: float | None = None, progress: Progress | None = None) -> Array:
        """n new items: points in the data's own units, (n, D) float64, or images, (n, …) uint8.

        rng: a Generator, or a seed; the same seed gives the same items.
        Algorithm 2; or DDIM if `steps` or `eta` is given, see `sampling.ddim_sampling`.
        progress: wraps the steps of the chain, as tqdm does; None: `bar_if_interactive`.
        ValueError: more items than fit into memory; samples that are not finite.
        """
        check_integer("n", n)
        check_size("n", n, self.settings["shape"])
        rng = np.random.default_rng(rng)
        x_T = rng.standard_normal((n, *self.settings["shape"]), np.float32)
        if progress is None:
            length = chain_length(self, steps, eta)
            progress = bar_if_interactive("sampling", length)
        x_0 = draw_samples(self, x_T, rng, steps, eta, progress)
        if not np.isfinite(x_0).all():
            raise ValueError("the samples are not finite: the training has diverged; train again "
                             "with a smaller learning_rate")
        return self.decode(x_0)

    def ledger(self, items: Array | None = None, rng: np.random.Generator | int = 0,
               denoiser: Denoiser | None = None, **options: Any) -> elbo.Ledger:
        """`elbo.ledger` of data, as nats of a density in the data's own units.

        items: of the run's kind and shape; None: the held-out ones, at most 200.
        rng: a Generator, or a seed; the same seed gives the same ledger.
        A point is shift + scale·x_0.  The density of a point is that of x_0 divided by Π scale, the
        product over the coordinates.  So Σ log scale is added to L_0.
        denoiser: the run's own by default.  options: those of `elbo.ledger`.
        """
        items = self.held_out[:200] if items is None else np.asarray(items)
        denoiser = self.denoiser if denoiser is None else denoiser
        ledger = elbo.ledger(self.schedule, denoiser, self.encode(items),
                             np.random.default_rng(rng), **self._of_ledger(options))
        ledger.terms[:, 0] += self._log_scale()
        return ledger

    def sampled_ledger(self, times: int, items: Array | None = None,
                       rng: np.random.Generator | int = 0, **options: Any) -> elbo.SampledLedger:
        """`elbo.sampled_ledger` of data: so many evaluations of the denoiser for each item.

        items: None: all that are held out.  The rest as in `ledger`.
        """
        items = self.held_out if items is None else np.asarray(items)
        sampled = elbo.sampled_ledger(self.schedule, self.denoiser, self.encode(items),
                                      np.random.default_rng(rng), times, **self._of_ledger(options))
        return sampled._replace(L_0=sampled.L_0 + self._log_scale())

    def _of_ledger(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"variance": self.settings["variance"], "decoder": self.decoder,
                "clip": self.clip, "progress": bar_if_interactive("ledger"), **options}

    def _log_scale(self) -> float:
        return 0.0 if self.is_images else np.log(self.settings["scale"]).sum()

    # Two verbs.  verbs.py imports this file, so it is imported when they are called.

    def fit(self, steps: int | None = None, minutes: float | None = None,
            folder: Path | str | None = None, progress: bool = True) -> "Run":
        """Train on; returns the run with its new state, and this one stays as it is.

        steps, minutes: the total, with those already done; None, None: to the end that was set.
        folder: the run's own, for checkpoints.  progress: a bar.  See `verbs.fit`.
        """
        from .verbs import fit_on

        return fit_on(self, steps, minutes, folder, progress)

    def save(self, folder: Path | str) -> None:
        """Write the run's folder, from which the command line goes on: see `verbs.save`."""
        from .verbs import save

        save(self, folder)


def chain_length(run: Run, steps: int | None = None, eta: float | None = None) -> int:
    """How many steps the sampling takes; steps, eta as in `Run.sample`."""
    if steps is None and eta is None:
        return run.schedule.T
    return len(sampling.sampling_times(run.schedule, steps))


def bar_if_interactive(description: str, total: int | None = None) -> Progress:
    """A bar in a notebook or at Python's prompt; in a program it shows nothing."""
    if not hasattr(sys, "ps1") or sys.stderr is None:  # a program has no ps1
        return iter
    from tqdm import tqdm

    return lambda times: tqdm(times, desc=description, total=total, unit="t", mininterval=0.3,
                              leave=False)


def draw_samples(run: Run, x_T: Array, rng: np.random.Generator, steps: int | None = None,
                 eta: float | None = None, progress: Progress = iter) -> Array:
    """x_0 from x_T; steps, eta and progress as in `Run.sample`."""
    if steps is None and eta is None:
        sampler: Callable = sampling.ancestral_sampling
        options: dict[str, Any] = {"variance": run.settings["variance"]}
    else:
        sampler, options = sampling.ddim_sampling, {"steps": steps, "eta": eta or 0.0}
    denoiser, least = run.denoiser, LEAST_TO_HALVE[run.settings["kind"]]

    def chain(x: Array, rng: np.random.Generator) -> Iterable[sampling.SamplingStep]:
        steps = sampler(run.schedule, denoiser, x, rng, clip=run.clip, **options)
        # The two halves of x_T run in two threads; the progress is that of the caller's thread.
        return progress(steps) if threading.get_ident() == caller else steps

    caller = threading.get_ident()
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks x_0
        return ranks.shared_samples(chain, x_T, rng, least)


def make_table(histograms: Any, schedule: Schedule) -> pixels.Table:
    """`pixels.Table`.  ValueError: a schedule over so many noise levels that it needs too much."""
    kinds = len(histograms[0])
    rows = np.ptp(schedule.log_snr[1:]) / pixels.Table.spacing
    if rows * max(8, kinds) > MOST_ROWS:
        raise ValueError(f"share has {kinds} kinds of images at {rows:.0f} noise levels: "
                         f"their product is at most {MOST_ROWS}")
    return pixels.Table(histograms, schedule)


def make_network(settings: Settings, schedule: Schedule, table: Any = None) -> Network:
    """The network of these settings: an MLP for points, a U-Net for images.

    table: `pixels.Table`, if the network predicts the prior of pixels.
    ValueError: too many weights.
    """
    shape, options = settings["shape"], settings["network"]
    learned = settings["variance"] == "learned"
    channels = shape[2] if len(shape) == 3 else 1
    if settings["kind"] == "points":
        network = mlp(shape[0], learn_variance=learned, **options)
    elif settings["predicts"] == "prior":
        inner = conv_denoiser(2 * channels, outputs=3 * channels, **options)
        network = pixels.pixel_network(schedule, table, inner, learned)
    else:
        network = conv_denoiser(channels, learn_variance=learned, **options)
    if count(network.layout) > MOST_WEIGHTS:
        raise ValueError(f"network = {options}: it would have more than {MOST_WEIGHTS} weights; "
                         f"choose smaller sizes")
    return network
