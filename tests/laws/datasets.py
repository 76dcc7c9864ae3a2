"""The data that the laws of section K are tried on; nothing of tinyddpm is imported here."""
from pathlib import Path

import numpy as np

SHIPPED = Path(__file__).parents[2] / "tinyddpm" / "app" / "mnist_5k.npz"


def digits(n):
    """n of the held-out digits that come with the package: grey levels 0…255, (n, 28, 28)."""
    with np.load(SHIPPED) as arrays:
        return arrays["images"][4500:4500 + n]


def from_levels(levels):
    """Level k stands at x_0 = 2k/255 − 1."""
    return levels / 127.5 - 1


def moons(rng, n):
    """n points on two half circles, each reaching into the other, with noise: (n, 2)."""
    angle = np.pi * rng.random(n)
    half_circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    upper = rng.random((n, 1)) < 0.5
    points = np.where(upper, half_circle, np.array([1.0, 0.5]) - half_circle)
    return points + 0.08 * rng.standard_normal((n, 2))
