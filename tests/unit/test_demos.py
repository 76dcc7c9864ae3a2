"""Every demo runs by itself with --quick and leaves its pictures and numbers."""
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tinyddpm import conv_denoiser, linear, mlp, time_embedding
from tinyddpm.app import plot
from tinyddpm.network.layers import dense
from tinyddpm.network.primitives import normalise, silu
from tinyddpm.network.unet import conv_layer, depth_to_space, space_to_depth
from tinyddpm.network.weights import leaves

HERE = Path(__file__).parents[2] / "demos"
sys.path.insert(0, str(HERE))
from common import classify, draw_table, spread_times, time_of_noise  # noqa: E402
from films import film, save_film  # noqa: E402

SHARED = ("coder", "common", "films")
DEMOS = [path for path in sorted(HERE.glob("[!_]*.py")) if path.stem not in SHARED]
RNG = np.random.default_rng(0)


def load(name):
    """The names that a demo defines."""
    return runpy.run_path(str(HERE / f"{name}.py"))


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)
def test_demo(demo, tmp_path):
    if demo.stem == "file_size":
        pytest.importorskip("constriction", reason="pip install 'tinyddpm[coder]'")
    if demo.stem == "machines":
        pytest.importorskip("mpi4py", reason="pip install 'tinyddpm[mpi]'")
    command = [sys.executable, demo, "--quick", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["seed"] == 0
    assert list(tmp_path.glob("*.png"))


def test_the_gallery_has_question_picture_and_answer(tmp_path):
    run = [sys.executable, HERE, "--quick", "--out", tmp_path / "out", "--into", tmp_path]
    for name in ("posterior", "forward"):
        subprocess.run([*run, name], check=True, capture_output=True)
    page = (tmp_path / "README.md").read_text()
    assert page.index("gallery/forward.png") < page.index("gallery/posterior.png")  # in their order
    report = json.loads((tmp_path / "out/posterior/report.json").read_text())
    assert report["answer"] in page
    assert (tmp_path / "gallery/posterior.png").stat().st_size > 5000
    wrong = subprocess.run([*run, "nothing"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "'nothing' is no demo: one of explore, forward" in wrong.stderr


def test_the_gallery_names_every_demo():
    gallery = load("__main__")
    assert {path.stem for path in DEMOS} == {*gallery["DEMOS"], *gallery["INSTRUMENTS"]}


def test_mnist_samples_are_images(tmp_path):
    command = [sys.executable, HERE / "mnist.py", "--quick", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    samples = np.load(tmp_path / "samples.npy")
    assert samples.dtype == np.uint8 and samples.shape[1:] == (28, 28)
    assert (tmp_path / "reverse.gif").is_file()


def test_the_judge_s_distance_is_its_formula():
    """Of a shift it is the square; of commuting covariances Σ(σ − σ')²."""
    frechet = load("judge")["frechet"]
    x = np.random.default_rng(0).standard_normal((50, 4))
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x, x + [3, 0, 0, 4]) == pytest.approx(25)
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), (x - x.mean(0)).T).T
    distance = frechet(whitened * [1, 2, 3, 4], whitened * [1, 1, 1, 1])
    assert distance == pytest.approx(0 + 1 + 4 + 9)


def test_the_benchmark_has_our_networks():
    """With our own operations, its networks compute the same as `mlp` and `conv_denoiser`."""
    demo, rng = load("benchmark"), np.random.default_rng(0)
    ours = SimpleNamespace(dense=dense, conv=conv_layer, silu=silu, normalise=normalise,
                           fold=space_to_depth, unfold=depth_to_space)
    cases = (("mlp", mlp(2, width=8), (3, 2)), ("conv", conv_denoiser(width=4), (3, 8, 8, 1)))
    for name, network, shape in cases:
        weights = network.init(rng)
        for leaf in leaves(weights):
            leaf += 0.1 * rng.standard_normal(leaf.shape, np.float32)
        x, t = rng.standard_normal(shape, np.float32), np.array([3, 40, 500])
        embedding = time_embedding(t, 64).astype(np.float32)
        expected = network.apply(weights, x, t)
        assert demo[name](ours, weights, x, embedding) == pytest.approx(expected, abs=1e-5)
    x = rng.standard_normal((2, 4, 4, 3))
    assert (demo["fold"](x) == space_to_depth(x)).all()
    assert (demo["unfold"](demo["fold"](x)) == x).all()


def test_times_are_spread_and_noise_has_its_time():
    assert spread_times(1, 9, 3).tolist() == [1, 5, 9]
    assert spread_times(1, 3, 80).tolist() == [1, 2, 3]
    schedule = linear(1000)
    t = time_of_noise(schedule, 0.5)
    noise_std = np.sqrt(schedule.one_minus_alpha_bar[t] / schedule.alpha_bar[t])
    assert noise_std == pytest.approx(0.5, rel=0.01)


def test_the_classifier_finds_the_class_of_the_nearest_image():
    classes = [RNG.standard_normal((5, 4, 4)) + 3 * label for label in range(3)]
    x_0 = np.stack([images[2] for images in classes])
    assert classify(linear(100), x_0, classes).tolist() == [0, 1, 2]


def test_the_names_of_a_table_stand_at_the_middles_of_its_images():
    _, (ax,) = plot.new_figure()
    draw_table(ax, np.zeros((2, 3, 28, 28), np.uint8), ["a", "b", "c"], ["first", "second"])
    assert ax.get_xticks() == pytest.approx([13.5, 43.5, 73.5])
    assert ax.get_yticks() == pytest.approx([13.5, 43.5])


def test_a_film_of_images_has_four_of_its_pixels_to_one_of_theirs(tmp_path):
    path = RNG.integers(0, 256, (3, 4, 8, 8), np.uint8)
    save_film(load("mnist")["film_of_images"](path), tmp_path / "images.gif")
    with Image.open(tmp_path / "images.gif") as image:
        assert image.size == (36, 36)
        shown = np.asarray(image.convert("L")).astype(int)
    expected = plot.to_canvas(path[0]).repeat(2, 0).repeat(2, 1)[..., 0]
    assert abs(shown - expected).max() <= 9  # of 16 grey levels


def test_films(tmp_path):
    clouds = {name: RNG.standard_normal((5, 30, 2)) for name in "ab"}
    save_film(load("toys")["film_of_clouds"](clouds), tmp_path / "clouds.gif")
    with Image.open(tmp_path / "clouds.gif") as image:
        assert image.n_frames >= 5 and image.size[0] > image.size[1]
    figure, (ax,) = plot.new_figure(1, 2, 2)
    short = film(figure, lambda i: ax.set_title(f"{i}"), 21, frames=4)
    save_film(short, tmp_path / "short.html")
    assert "<script" in (tmp_path / "short.html").read_text()
    with pytest.raises(ValueError, match="mp4"):
        save_film(short, tmp_path / "film.mp4")
