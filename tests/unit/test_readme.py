"""The example of the README does what it says."""
import re
from pathlib import Path

import numpy as np

import tinyddpm

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_trains_on_a_file_of_points_and_draws_samples(tmp_path, monkeypatch):
    """Samples have the file's mean and standard deviation, within a tenth of the latter.

    Both ways: by the verbs, and by the functions underneath; with 600 steps in place of 2000.
    """
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    assert code.count("2000") == 2
    code = code.replace("2000", "600")
    rng = np.random.default_rng(0)
    points = tinyddpm.toy("moons").sample(rng, 3000) * [5, 0.1] + [100, -3]
    np.savetxt(tmp_path / "points.csv", points, delimiter=",", header="x,y", comments="")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    for samples in (names["samples"], names["by_hand"]):
        assert samples.shape == (1000, 2)
        assert (abs(samples.mean(0) - points.mean(0)) < 0.1 * points.std(0)).all()
        assert (abs(samples.std(0) / points.std(0) - 1) < 0.1).all()
    assert names["run"].state.step == 600 and (tmp_path / "run" / "array.npy").exists()


def test_every_link_to_a_file_leads_to_one():
    for page in (ROOT / "README.md", ROOT / "tests" / "README.md", ROOT / "demos" / "README.md",
                 ROOT / "demos" / "course" / "README.md"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_version_that_is_cited_is_the_package_s():
    assert f"tinyddpm {tinyddpm.__version__}" in README
