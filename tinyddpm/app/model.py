"""What a run holds, and what follows from it: network, denoiser, decoder, data to x_0 and back."""
from typing import Any, NamedTuple

import numpy as np

from .. import elbo, training
from ..decoder import from_levels, level_log_prob, to_images
from ..gaussian import Array, Gaussian
from ..images import pixels
from ..network import Network, conv_denoiser, mlp
from ..network.threads import denoise_in_halves
from ..network.weights import count
from ..reverse import Denoiser
from ..schedule import Schedule
from .settings import LEAST_TO_HALVE, Settings

MOST_WEIGHTS = 2 ** 24  # a larger network would not fit into the memory of a small computer


class Run(NamedTuple):
    """A network in training, or trained.

    settings   plain JSON, see settings.py
    held_out   data that was never trained on, in its own units
    table      `pixels.Table`, if the network predicts the prior of each pixel; otherwise None
    """

    settings: Settings
    schedule: Schedule
    network: Network
    state: training.State
    held_out: Array
    table: Any = None

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
        return denoise_in_halves(denoiser, LEAST_TO_HALVE[self.settings["kind"]])

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

    def ledger(self, items: Array, rng: np.random.Generator, denoiser: Denoiser | None = None,
               **options: Any) -> elbo.Ledger:
        """`elbo.ledger` of data, as nats of a density in the data's own units.

        A point is shift + scale·x_0.  The density of a point is that of x_0 divided by Π scale, the
        product over the coordinates.  So Σ log scale is added to L_0.
        denoiser: the run's own by default.  options: those of `elbo.ledger`.
        """
        options = {"variance": self.settings["variance"], "decoder": self.decoder,
                   "clip": self.clip, **options}
        denoiser = self.denoiser if denoiser is None else denoiser
        ledger = elbo.ledger(self.schedule, denoiser, self.encode(items), rng, **options)
        if not self.is_images:
            ledger.terms[:, 0] += np.log(self.settings["scale"]).sum()
        return ledger


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
