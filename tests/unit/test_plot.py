"""Pictures of the command line: of the right size, from every kind of data."""
import numpy as np
import pytest
from PIL import Image

from tinyddpm.app import plot

RNG = np.random.default_rng(0)
CLOUDS = {"data": (RNG.standard_normal((50, 2)), plot.DATA),
          "line": (RNG.standard_normal((50, 1)), plot.MODEL)}


@pytest.mark.parametrize("make", [
    lambda: plot.scatter(CLOUDS),
    lambda: plot.reverse_path(RNG.standard_normal((50, 2)), RNG.standard_normal((11, 30, 2))),
    lambda: plot.image_grid(RNG.integers(0, 256, (7, 8, 8), np.uint8), "seven"),
    lambda: plot.image_grid(RNG.integers(0, 256, (4, 8, 6, 3), np.uint8)),
], ids=["scatter", "reverse_path", "image_grid", "colour"])
def test_figures(make, tmp_path):
    make().savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert min(image.size) > 100


def test_a_canvas_holds_every_image():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, 3, 4), np.uint8)
    canvas = plot.to_canvas(images, columns=3)
    assert canvas.shape == (2 * 5 - 2, 3 * 6 - 2, 3)
    assert canvas[0, 0, 0] == 0
    assert canvas[5, 6, 0] == 4
    assert canvas[5, 12, 0] == 255


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_canvas_is_red_green_and_blue(channels):
    """Three channels of the image, or its first one three times."""
    image = RNG.integers(0, 256, (1, 3, 4, channels), np.uint8)
    canvas = plot.to_canvas(image)
    shown = image[0] if channels >= 3 else image[0, ..., :1].repeat(3, 2)
    assert np.array_equal(canvas, shown[..., :3])
