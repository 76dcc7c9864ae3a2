"""Distributions in the plane whose density is known, to test a model on.

All have mean 0, and variance 1 on average over the two coordinates, as the schedules assume.  All
have a known entropy, and no model's expected −ELBO can be below it.  The Gaussian mixtures (all but
the checkerboard) also have an exact denoiser and exact terms of the ELBO (`oracle`).
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import check, check_generator
from .gaussian import Array
from .oracle import Mixture

# Points of the plane are complex numbers x + iy in this file: multiplying by e^{iφ} turns by φ.


def _along(curve: Callable[[Array], Array], count: int, width: Any) -> tuple[Array, Array]:
    """`count` Gaussians along a curve u ↦ x + iy, 0 ≤ u ≤ 1: (means, covariances).

    Their centres are equally spaced along the curve.  Their standard deviation is `width` across
    the curve (one number, or one for each) and the spacing along it.  Gaussians one standard
    deviation apart add up to a constant within 2·exp(−2π²) = 5e-9, so the density is uniform along
    a straight curve.
    """
    points = curve(np.linspace(0, 1, 4097))
    arc = np.concatenate([[0.0], np.cumsum(abs(np.diff(points)))])
    distance = arc[-1] / count
    middle = distance * (np.arange(count) + 0.5)
    start = np.interp(middle - distance / 2, arc, points)
    end = np.interp(middle + distance / 2, arc, points)
    chord = end - start
    direction = _plane(chord / abs(chord))
    along = direction[:, :, None] * direction[:, None, :]
    across_var = np.broadcast_to(np.asarray(width) ** 2, count)[:, None, None]
    covariances = across_var * (np.eye(2) - along) + distance ** 2 * along
    return _plane(np.interp(middle, arc, points)), covariances


def _plane(z: Array) -> Array:
    """Complex numbers (…) → points (…, 2)."""
    return np.stack([z.real, z.imag], axis=-1)


def _mixture(*parts: tuple[Array, Array]) -> Mixture:
    """The mixture of parts (means, covariances) of equal weight, with mean 0 and variance 1."""
    weights = np.concatenate([np.full(len(m), 1 / len(m)) for m, _ in parts]) / len(parts)
    means, covariances = (np.concatenate(arrays) for arrays in zip(*parts))
    means = means - weights @ means
    squares = np.trace(covariances, axis1=1, axis2=2) + (means ** 2).sum(1)
    var = weights @ squares / means.shape[1]
    return Mixture(weights, means / np.sqrt(var), covariances / var)


def gaussian() -> Mixture:
    """One Gaussian, wider than high and tilted: its exact denoiser is affine."""
    return _mixture((np.zeros((1, 2)), np.array([[[1.5, 0.7], [0.7, 0.5]]])))


def eight_gaussians() -> Mixture:
    """Eight round Gaussians on a circle, far apart: eight modes to find."""
    means = _plane(np.exp(2j * np.pi * np.arange(8) / 8))
    return _mixture((means, np.tile(0.1 ** 2 * np.eye(2), (8, 1, 1))))


def moons() -> Mixture:
    """Two half circles, each reaching into the other (32 Gaussians)."""
    return _mixture(_along(lambda u: np.exp(1j * np.pi * u), 16, width=0.08),
                    _along(lambda u: 1 + 0.5j - np.exp(1j * np.pi * u), 16, width=0.08))


def circles() -> Mixture:
    """Two concentric circles, the inner of half the radius and the same weight (48 Gaussians)."""
    return _mixture(_along(lambda u: np.exp(2j * np.pi * u), 32, width=0.06),
                    _along(lambda u: 0.5 * np.exp(2j * np.pi * u), 16, width=0.06))


def spiral() -> Mixture:
    """One arm that winds out of the centre in two turns (64 Gaussians)."""
    return _mixture(_along(lambda u: (0.15 + 0.85 * u) * np.exp(4j * np.pi * u), 64, width=0.04))


def pinwheel() -> Mixture:
    """Five bent arms that widen outwards (40 Gaussians, turned with the arms)."""
    def arm(number: int) -> tuple[Array, Array]:
        return _along(lambda u: (0.25 + 1.25 * u) * np.exp(2j * np.pi * (number / 5 + 0.2 * u)), 8,
                      width=np.linspace(0.03, 0.12, 8))
    return _mixture(*map(arm, range(5)))


class Checkerboard:
    """The uniform density on the 8 dark squares of a board of 4 × 4: with sharp edges.

    With sides of √3/2 a coordinate is uniform over (−√3, √3): mean 0 and variance 1.  The eight
    areas add up to 6, so the density is 1/6 on the dark squares and 0 elsewhere.
    """

    side = np.sqrt(3) / 2
    mean = np.zeros(2)
    covariance = np.array([[1, 3 / 16], [3 / 16, 1]])  # E[xy] = side²/4

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """n points, (n, 2) float64."""
        check_generator(rng)
        column, row = rng.integers(4, size=n), rng.integers(2, size=n)
        row = 2 * row + column % 2
        return self.side * (np.stack([column, row], 1) - 2 + rng.random((n, 2)))

    def log_prob(self, x: Array) -> Array:
        """log p(x) in nats, (B,): −log 6 on the dark squares and −∞ elsewhere.  x: (B, 2)."""
        x = np.asarray(x)
        check(x.ndim == 2 and x.shape[1] == 2, "shape of x", x.shape, "(B, 2)")
        square = np.floor(x / self.side) + 2
        inside = (square >= 0).all(1) & (square < 4).all(1)
        dark = inside & (square.sum(1) % 2 == 0)
        return np.where(dark, -self.entropy(), -np.inf)

    def entropy(self) -> float:
        """E[−log p(x)] = log 6 nats: the logarithm of the area."""
        return float(np.log(6))


def checkerboard() -> Checkerboard:
    """The eight dark squares of a board of 4 × 4."""
    return Checkerboard()


TOYS: dict[str, Callable] = {
    make.__name__: make
    for make in (gaussian, eight_gaussians, moons, circles, spiral, pinwheel, checkerboard)}


def toy(name: str) -> Any:
    """The distribution of that name, with sample(rng, n) and log_prob(x).

    ValueError: a name that is not in TOYS.
    """
    if name not in TOYS:
        raise ValueError(f"there is no toy {name!r}: choose among {', '.join(TOYS)}")
    return TOYS[name]()
