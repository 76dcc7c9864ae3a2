"""Figures and films have the right size, for every kind of data."""
import numpy as np
import pytest
from PIL import Image

from tinyddpm import Ledger, cosine, linear
from tinyddpm.app import plot

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("make", [
    lambda: plot.scatter({"data": (RNG.standard_normal((50, 2)), plot.DATA),
                          "line": (RNG.standard_normal((50, 1)), plot.MODEL)}),
    lambda: plot.reverse_path(RNG.standard_normal((50, 2)), RNG.standard_normal((11, 30, 2))),
    lambda: plot.image_grid(RNG.integers(0, 256, (7, 8, 8), np.uint8), "seven"),
    lambda: plot.image_grid(RNG.integers(0, 256, (4, 8, 6, 3), np.uint8)),
    lambda: plot.schedules({"linear": linear(100), "cosine": cosine(100)}),
    lambda: plot.ledger_per_t(Ledger(RNG.random((5, 11)), RNG.random((5, 11)), 2),
                              exact=RNG.random(11)),
], ids=["scatter", "reverse_path", "image_grid", "colour", "schedules", "ledger"])
def test_figures(make, tmp_path):
    make().savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert min(image.size) > 100


def test_a_canvas_holds_every_image():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, 3, 4), np.uint8)
    canvas = plot.to_canvas(images, columns=3)
    assert canvas.shape == (2 * 5 - 2, 3 * 6 - 2, 3)
    first, last, empty = canvas[0, 0, 0], canvas[5, 6, 0], canvas[5, 12, 0]
    assert (first, last, empty) == (0, 4, 255)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_canvas_is_red_green_and_blue(channels):
    """Three channels of the image, or its first one three times."""
    image = RNG.integers(0, 256, (1, 3, 4, channels), np.uint8)
    canvas = plot.to_canvas(image)
    shown = image[0] if channels >= 3 else image[0, ..., :1].repeat(3, 2)
    assert np.array_equal(canvas, shown[..., :3])


def test_the_words_of_a_table_are_centred_on_its_images():
    figure, (ax,) = plot.new_figure()
    plot.draw_table(ax, np.zeros((2, 3, 28, 28), np.uint8), ["a", "b", "c"], ["first", "second"])
    assert ax.get_xticks() == pytest.approx([13.5, 43.5, 73.5])
    assert ax.get_yticks() == pytest.approx([13.5, 43.5])


def test_a_film_has_four_pixels_for_each_pixel_of_an_image(tmp_path):
    path = RNG.integers(0, 256, (3, 4, 8, 8), np.uint8)
    plot.save_animation(plot.animate_images(path), tmp_path / "images.gif")
    with Image.open(tmp_path / "images.gif") as film:
        assert film.size == (36, 36)
        seen = np.asarray(film.convert("L")).astype(int)
    expected = plot.to_canvas(path[0]).repeat(2, 0).repeat(2, 1)[..., 0]
    assert abs(seen - expected).max() <= 9  # half the distance of 16 greys, rounded up


def test_films(tmp_path):
    plot.save_animation(plot.animate_points(RNG.standard_normal((21, 30, 2)), frames=4), tmp_path / "points.gif")
    images = RNG.integers(0, 256, (9, 4, 8, 8), np.uint8)
    plot.save_animation(plot.animate_images(images, frames=4), tmp_path / "images.html")
    clouds = {name: RNG.standard_normal((5, 30, 2)) for name in "ab"}
    plot.save_animation(plot.animate_clouds(clouds), tmp_path / "clouds.gif")
    with Image.open(tmp_path / "clouds.gif") as film:
        assert film.n_frames >= 5 and film.size[0] > film.size[1]
    with Image.open(tmp_path / "points.gif") as film:
        assert film.n_frames >= 4
    assert "<script" in (tmp_path / "images.html").read_text()
    with pytest.raises(ValueError, match="mp4"):
        plot.save_animation(None, tmp_path / "film.mp4")
