"""Pictures of the command line: of the right size, from every kind of data, and readable."""
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tinyddpm.app import plot

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("make", [
    lambda: plot.points(RNG.standard_normal((50, 2)), RNG.standard_normal((30, 2))),
    lambda: plot.reverse_path(RNG.standard_normal((50, 2)), RNG.standard_normal((11, 30, 2))),
    lambda: plot.image_grid(RNG.integers(0, 256, (7, 8, 8), np.uint8), "seven"),
    lambda: plot.image_grid(RNG.integers(0, 256, (4, 8, 6, 3), np.uint8)),
], ids=["points", "reverse_path", "image_grid", "colour"])
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


# Points, beside held-out data


def latitudes(n, rng):
    centres = np.array([[48.14, 11.57], [48.2, 11.63], [48.11, 11.46]])[rng.integers(3, size=n)]
    return centres + rng.normal(0, [0.01, 0.02], (n, 2))


def utm(n, rng):
    return rng.normal([691_000, 5_334_000], [2000, 3000], (n, 2))


def age_and_income(n, rng):
    return np.stack([rng.integers(18, 90, n), np.exp(rng.normal(10, 0.7, n))], 1)


def cm_and_kg(n, rng):
    return rng.normal([171, 68], [9, 11], (n, 2))


def unix_time(n, rng):
    return np.stack([1.7e9 + rng.uniform(0, 3000, n), rng.standard_normal(n)], 1)


def ten_columns(n, rng):
    return rng.standard_normal((n, 10)) * 10.0 ** np.arange(-2, 8)


def one_column(n, rng):
    return rng.normal(1013, 8, (n, 1))


def three_columns(n, rng):
    return np.concatenate([utm(n, rng), rng.normal(520, 5, (n, 1))], 1)


def two(draw, n_samples=64, n_held_out=200):
    """Samples and held-out data, the same in every test."""
    rng = np.random.default_rng(0)
    return draw(n_samples, rng), draw(n_held_out, rng)


def drawn(figure):
    """The axes that show something, laid out as in a file; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(figure).draw()
    return [ax for ax in figure.axes if ax.axison]


EVERY_KIND = [latitudes, utm, age_and_income, cm_and_kg, unix_time, ten_columns, one_column,
              three_columns]


@pytest.mark.parametrize("sizes", [(64, 15), (1000, 800)])
@pytest.mark.parametrize("draw", EVERY_KIND)
def test_points_fill_their_axes(draw, sizes):
    """Nearly all points are inside, and they spread over 40% of each axis or more."""
    samples, held_out = two(draw, *sizes)
    for i in range(held_out.shape[1]):
        low, high = plot.axis_limits(samples[:, i], held_out[:, i])
        for x in (samples[:, i], held_out[:, i]):
            inside = x[(x >= low) & (x <= high)]
            assert len(inside) >= 0.98 * len(x)
        assert np.ptp(inside) > 0.4 * (high - low)


@pytest.mark.parametrize("draw", EVERY_KIND)
def test_the_ticks_of_points_can_be_read(draw):
    """They are numbers in full, without an offset to add, and they do not overlap."""
    axes = drawn(plot.points(*two(draw)))
    for axis in (ax.xaxis for ax in axes):
        labels = [label for label in axis.get_ticklabels() if label.get_text()]
        if not axis.get_tick_params()["labelbottom"]:
            continue
        low, high = sorted(axis.get_view_interval())
        boxes = [label.get_window_extent() for label in labels
                 if low <= label.get_position()[0] <= high]
        assert len(boxes) >= 2
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    for ax in axes:
        offsets = ax.xaxis.get_offset_text(), ax.yaxis.get_offset_text()
        assert not any(text.get_text() for text in offsets)


def test_two_columns_share_their_axes_and_have_their_names():
    left, right = drawn(plot.points(*two(latitudes), ("lat", "lon in $")))
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert [ax.get_xlabel() for ax in (left, right)] == ["lat", "lat"]
    assert left.get_ylabel() == "lon in $"
    assert [ax.get_title() for ax in (left, right)] == ["held-out data", "samples"]
    assert len(left.collections[0].get_offsets()) == 200
    assert len(right.collections[0].get_offsets()) == 64


def test_axes_have_one_scale_where_the_ranges_are_alike():
    alike = np.random.default_rng(0).standard_normal((200, 2))
    assert drawn(plot.points(alike, alike))[0].get_aspect() == 1
    assert drawn(plot.points(*two(age_and_income)))[0].get_aspect() == "auto"


def test_an_outlier_does_not_set_the_limits():
    held_out = RNG.standard_normal((20, 2))
    held_out[3] = 1e12
    left, right = drawn(plot.points(RNG.standard_normal((64, 2)), held_out))
    assert max(left.get_xlim()) < 10 and left.get_title() == "held-out data (1 of 20 outside)"


def test_a_tenth_of_the_points_is_no_outlier():
    held_out = np.concatenate([RNG.standard_normal(90), 1000 + RNG.standard_normal(10)])
    low, high = plot.axis_limits(held_out, held_out)
    assert low < held_out.min() and held_out.max() < high


@pytest.mark.parametrize("far", [1e6, -1e6])
def test_samples_far_off_do_not_hide_the_data(far):
    """The axis is three times as long as the data at most, and the title counts what is outside."""
    held_out = RNG.standard_normal((500, 2))
    axes = drawn(plot.points(far + RNG.standard_normal((64, 2)), held_out))
    low, high = axes[1].get_xlim()
    assert high - low < 3.4 * np.ptp(held_out[:, 0])
    assert axes[1].get_title() == "samples (64 of 64 outside)"
    drawn(plot.points(far + RNG.standard_normal((64, 1)), held_out[:, :1]))
    matrix = plot.points(far + RNG.standard_normal((64, 3)), RNG.standard_normal((500, 3)))
    assert matrix.get_suptitle() == "(64 of 64 samples outside)"


def test_one_column_has_two_histograms_with_the_same_bins():
    (ax,) = drawn(plot.points(*two(one_column, 500, 300), ("hPa",)))
    *bars, outline = ax.patches
    edges = [bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()]
    assert len(bars) == 17 and np.allclose(np.unique(outline.get_xy()[:, 0]), edges)
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    assert ax.get_xlabel() == "hPa"


def test_more_columns_are_a_scatter_matrix():
    """Of the first five columns; histograms on the diagonal, both clouds below it."""
    names = [f"feature {i}" for i in range(10)]
    figure = plot.points(*two(ten_columns), names)
    axes = drawn(figure)
    assert len(axes) == 15 and figure.get_suptitle().startswith("the first 5 of 10 columns")
    assert [ax.get_xlabel() for ax in axes if ax.get_xlabel()] == names[:5]
    assert [ax.get_ylabel() for ax in axes if ax.get_ylabel()] == names[1:5]
    assert sum(len(ax.collections) == 2 for ax in axes) == 10
    assert len(drawn(plot.points(*two(three_columns)))) == 6


@pytest.mark.parametrize("held_out", [
    np.zeros((2, 2)), np.array([[1.0, 2.0], [1.0, 3.0]]), np.full((5, 3), 1e6), np.eye(2) * 1e190,
    np.ones((3, 1))], ids=["zeros", "a constant column", "constants", "huge", "one value"])
def test_few_or_equal_points_are_drawn(held_out):
    drawn(plot.points(held_out + RNG.standard_normal(held_out.shape), held_out))
    drawn(plot.points(held_out[:1], held_out, ["", "a\nb", "x" * 200][:held_out.shape[1]]))


# The loss


def test_the_loss_has_a_running_mean():
    steps = np.arange(10, 20_001, 10)
    losses = 1 + RNG.exponential(0.1, len(steps))
    (ax,) = drawn(plot.loss(steps, losses))
    batches, mean = ax.lines
    assert ax.get_yscale() == "linear" and len(batches.get_xdata()) == 2000
    assert abs(np.mean(mean.get_ydata()) - 1.1) < 0.01 and np.std(mean.get_ydata()) < 0.03
    middle = np.searchsorted(steps, mean.get_xdata()[0])
    assert mean.get_ydata()[0] == pytest.approx(losses[:2 * middle + 1].mean(), rel=0.02)


def test_the_loss_is_logarithmic_where_it_falls_far():
    steps = np.arange(10, 5001, 10)
    (ax,) = drawn(plot.loss(steps, 1 + 50 * np.exp(-steps / 500)))
    assert ax.get_yscale() == "log"
    (ax,) = drawn(plot.loss(steps, 50 * np.exp(-steps / 500) - 1))  # a density: below 0
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("rows", [1, 2, 19, 20, 21, 10_000])
def test_a_loss_of_any_length_is_drawn(rows):
    (ax,) = drawn(plot.loss(10.0 * np.arange(1, rows + 1), RNG.exponential(1, rows)))
    assert max(len(line.get_xdata()) for line in ax.lines) <= plot.MOST_POINTS
