"""Every demo runs by itself with --quick and leaves its pictures and numbers."""
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinyddpm import conv_denoiser, mlp, time_embedding
from tinyddpm.network.unet import conv_layer, depth_to_space, space_to_depth
from tinyddpm.network.layers import dense
from tinyddpm.network.primitives import normalise, silu
from tinyddpm.network.weights import leaves

DEMOS = sorted((Path(__file__).parents[2] / "demos").glob("[!_]*.py"))


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)
def test_demo(demo, tmp_path):
    done = subprocess.run([sys.executable, demo, "--quick", "--out", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["seed"] == 0
    assert list(tmp_path.glob("*.png"))


def test_the_gallery_has_question_picture_and_answer(tmp_path):
    run = [sys.executable, DEMOS[0].parent, "--quick", "--out", tmp_path / "out", "--into", tmp_path]
    for name in ("posterior", "forward"):
        subprocess.run([*run, name], check=True, capture_output=True)
    page = (tmp_path / "README.md").read_text()
    assert page.index("gallery/forward.png") < page.index("gallery/posterior.png")  # each beside the other, in their order
    assert json.loads((tmp_path / "out/posterior/report.json").read_text())["answer"] in page
    assert (tmp_path / "gallery/posterior.png").stat().st_size > 5000
    wrong = subprocess.run([*run, "nothing"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "'nothing' is no demo: one of forward" in wrong.stderr


def test_mnist_samples_are_images(tmp_path):
    subprocess.run([sys.executable, DEMOS[0].parent / "mnist.py", "--quick", "--out", tmp_path], check=True, capture_output=True)
    samples = np.load(tmp_path / "samples.npy")
    assert samples.dtype == np.uint8 and samples.shape[1:] == (28, 28) and (tmp_path / "reverse.gif").is_file()


def test_the_judge_s_distance_is_its_formula():
    """Shifted, it is the square of the shift; with commuting covariances, Σ(σ − σ')²."""
    frechet = runpy.run_path(str(DEMOS[0].parent / "judge.py"))["frechet"]
    x = np.random.default_rng(0).standard_normal((50, 4))
    assert frechet(x, x) == pytest.approx(0, abs=1e-9) and frechet(x, x + [3, 0, 0, 4]) == pytest.approx(25)
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), (x - x.mean(0)).T).T
    assert frechet(whitened * [1, 2, 3, 4], whitened * [1, 1, 1, 1]) == pytest.approx(0 + 1 + 4 + 9)


def test_the_benchmark_has_our_networks():
    """What it hands to every contender, run with our own operations, is what `mlp` and `conv_denoiser` compute."""
    demo, rng = runpy.run_path(str(DEMOS[0].parent / "benchmark.py")), np.random.default_rng(0)
    ours = SimpleNamespace(dense=dense, conv=conv_layer, silu=silu, normalise=normalise, fold=space_to_depth, unfold=depth_to_space)
    for name, network, shape in (("mlp", mlp(2, width=8), (3, 2)), ("conv", conv_denoiser(width=4), (3, 8, 8, 1))):
        weights = network.init(rng)
        for leaf in leaves(weights):
            leaf += 0.1 * rng.standard_normal(leaf.shape, np.float32)
        x, t = rng.standard_normal(shape, np.float32), np.array([3, 40, 500])
        expected = network.apply(weights, x, t)
        assert demo[name](ours, weights, x, time_embedding(t, 64).astype(np.float32)) == pytest.approx(expected, abs=1e-5)
    x = rng.standard_normal((2, 4, 4, 3))
    assert (demo["fold"](x) == space_to_depth(x)).all() and (demo["unfold"](demo["fold"](x)) == x).all()
