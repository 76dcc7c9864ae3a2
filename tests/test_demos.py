"""Every demo runs by itself with --quick and leaves its pictures and numbers."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DEMOS = sorted((Path(__file__).parent.parent / "demos").glob("*.py"))


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)
def test_demo(demo, tmp_path):
    done = subprocess.run([sys.executable, demo, "--quick", "--out", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["seed"] == 0
    assert list(tmp_path.glob("*.png"))


def test_mnist_samples_are_images(tmp_path):
    subprocess.run([sys.executable, DEMOS[0].parent / "mnist.py", "--quick", "--out", tmp_path], check=True, capture_output=True)
    samples = np.load(tmp_path / "samples.npy")
    assert samples.dtype == np.uint8 and samples.shape[1:] == (28, 28) and (tmp_path / "reverse.gif").is_file()
