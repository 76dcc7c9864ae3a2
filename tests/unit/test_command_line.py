"""python -m tinyddpm as a stranger types it: what it writes, and one sentence for every mistake."""
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main

SMALL = ["--steps", "12", "--batch", "8", "--width", "8", "--depth", "1", "--T", "6"]


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """A run folder, trained for a moment."""
    folder = tmp_path_factory.mktemp("runs") / "moons"
    main(["train", "--data", "moons", "--out", str(folder), *SMALL])
    return folder


def test_the_main_job(tmp_path, capsys):
    main(["--out", str(tmp_path / "out"), "--quick"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    printed = capsys.readouterr().out
    for line in ("L_T", "sum L_{t-1}", "L_0", "-ELBO", "data entropy", "optimal denoiser", "exact mean", "picture.png", "report.json"):
        assert line in printed
    assert f"{report['ledger']['total']['nats']:.4f}" in printed and f"{report['entropy_nats']:.4f}" in printed
    assert report["gap_to_optimum_nats"]["mean"] > 0 and report["exact_optimum_nats"] > report["entropy_nats"]
    with Image.open(tmp_path / "out" / "picture.png") as image:
        assert image.size[0] > 1000


def test_the_main_job_on_a_toy_without_an_exact_denoiser(tmp_path, capsys):
    main(["--data", "checkerboard", "--out", str(tmp_path), "--quick"])
    assert "data entropy" in capsys.readouterr().out


def test_train_sample_elbo(moons, tmp_path, capsys):
    assert {f.name for f in moons.iterdir()} == {"settings.json", "checkpoint.npz", "held_out.npy", "log.csv", "lock"}
    assert (moons / "log.csv").read_text().splitlines()[0] == "step,loss,gradient_norm,seconds"
    assert (moons / "log.csv").read_text().splitlines()[1].startswith("10,")
    elsewhere = shutil.copytree(moons, tmp_path / "elsewhere")  # the folder is all that is needed
    main(["sample", str(elsewhere), "--n", "20"])
    samples = np.load(elsewhere / "samples.npy")
    assert samples.shape == (20, 2) and np.isfinite(samples).all() and (elsewhere / "samples.png").is_file()
    main(["sample", str(elsewhere), "--n", "20", "--out", str(tmp_path / "again.npy")])
    assert (np.load(tmp_path / "again.npy") == samples).all()
    main(["sample", str(elsewhere), "--n", "5", "--steps", "3", "--eta", "0.5", "--out", str(tmp_path / "few.npy")])
    assert np.load(tmp_path / "few.npy").shape == (5, 2)
    capsys.readouterr()
    main(["elbo", str(elsewhere), "--n", "30", "--out", str(tmp_path / "elbo.json")])
    assert "-ELBO of 30 items, T = 6" in capsys.readouterr().out
    assert json.loads((tmp_path / "elbo.json").read_text())["ledger"]["total"]["standard_error"] > 0
    main(["elbo", str(elsewhere), "--n", "30", "--variance", "beta_tilde", "--out", str(tmp_path / "other.json")])
    assert "variance beta_tilde" in capsys.readouterr().out
    assert json.loads((tmp_path / "other.json").read_text())["ledger"] != json.loads((tmp_path / "elbo.json").read_text())["ledger"]


@pytest.mark.parametrize("choices", [["--loss", "hybrid"], ["--variance", "learned"], ["--loss", "vlb"], ["--loss", "v", "--predicts", "v"],
                                     ["--predicts", "x_0", "--schedule", "cosine"], ["--predicts", "score", "--variance", "beta_tilde"]])
def test_every_way_to_train(tmp_path, choices):
    main(["train", "--data", "circles", "--out", str(tmp_path / "run"), *SMALL, *choices])
    main(["elbo", str(tmp_path / "run"), "--n", "5"])
    main(["sample", str(tmp_path / "run"), "--n", "5"])


@pytest.mark.parametrize("choices, settled", [
    ([], ("prior", "bits", "learned", "muon")), (["--variance", "beta_tilde", "--optimiser", "adam"], ("prior", "bits", "beta_tilde", "adam")),
    (["--predicts", "eps"], ("eps", "simple", "beta_tilde", "muon")), (["--loss", "v"], ("v", "v", "beta_tilde", "muon")),
    (["--loss", "hybrid"], ("eps", "hybrid", "learned", "muon")), (["--predicts", "v", "--variance", "beta"], ("v", "v", "beta", "muon")),
    (["--predicts", "x_0", "--variance", "learned"], ("x_0", "hybrid", "learned", "muon"))])
def test_digits(tmp_path, choices, settled):
    """What is not chosen goes with what is."""
    main(["train", "--data", "mnist", "--out", str(tmp_path / "run"), *SMALL, *choices])
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert tuple(settings[name] for name in ("predicts", "loss", "variance", "optimiser")) == settled
    main(["elbo", str(tmp_path / "run"), "--n", "2"])
    main(["sample", str(tmp_path / "run"), "--n", "3"])
    samples = np.load(tmp_path / "run" / "samples.npy")
    assert samples.shape == (3, 28, 28) and samples.dtype == np.uint8


@pytest.mark.parametrize("name, data", [
    ("points.csv", None), ("points.npy", np.random.default_rng(0).normal(5, 3, (40, 3))),
    ("line.npy", np.random.default_rng(0).normal(5, 3, (40, 1))),
    ("images.npz", np.random.default_rng(0).integers(0, 256, (20, 6, 10), np.uint8)),
    ("colour.npy", np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8))])
def test_your_own_file(tmp_path, name, data):
    path = tmp_path / name
    if data is None:
        path.write_text("height,weight\n" + "".join(f"{170 + i},{60 + i * i % 7}\n" for i in range(30)))
    elif name.endswith("z"):
        np.savez(path, images=data)
    else:
        np.save(path, data)
    main(["train", "--data", str(path), "--out", str(tmp_path / "run"), *SMALL])
    path.unlink()
    main(["sample", str(tmp_path / "run"), "--n", "4"])
    main(["elbo", str(tmp_path / "run")])
    samples = np.load(tmp_path / "run" / "samples.npy")
    if data is not None:
        assert samples.shape == (4, *data.shape[1:]) and (data.dtype == float or samples.dtype == data.dtype)
    else:
        assert samples[:, 0].mean() > 100  # in the data's own units


def test_the_ledger_is_in_the_data_s_units(tmp_path):
    """The same points in other units: −ELBO moves by log of the scale, bit for bit the same otherwise."""
    points = np.random.default_rng(0).standard_normal((60, 2))
    nats = []
    for scale in (1.0, 8.0):
        np.save(tmp_path / "x.npy", scale * points)
        dataset = runs.open_data(str(tmp_path / "x.npy"))
        run, rng = runs.start(dataset, steps=3, batch=4, T=5)
        run = runs.fit(run, dataset, rng)
        nats.append(run.ledger(dataset.held_out, np.random.default_rng(0)).summary()["total"][0])
    assert nats[1] - nats[0] == pytest.approx(2 * np.log(8), abs=1e-6)


@pytest.mark.parametrize("arguments, mentions", [
    (["train", "--data", "moon", "--out", "{new}"], ["moon", "moons", "mnist"]),
    (["train", "--data", "{tmp}/none.npy", "--out", "{new}"], ["none.npy", "No such file"]),
    (["train", "--data", "{tmp}/nan.npy", "--out", "{new}"], ["NaN", "row 1"]),
    (["train", "--data", "{tmp}/foreign.npy", "--out", "{new}"], ["foreign.npy"]),
    (["train", "--data", "{tmp}/floats.npy", "--out", "{new}"], ["(5, 4, 4)", "uint8"]),
    (["train", "--data", "{tmp}/constant.npy", "--out", "{new}"], ["same value", "column 1"]),
    (["train", "--data", "moons", "--out", "{tmp}"], ["exists already"]),
    (["train", "--data", "moons", "--out", "{tmp}/nan.npy"], ["exists already"]),
    (["train", "--data", "moons", "--out", "{new}", "--T", "0"], ["--T", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--T", "10", "--schedule", "linear"], ["beta_6 = 1.", "larger T"]),
    (["train", "--data", "moons", "--out", "{new}", "--batch", "0"], ["--batch", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--steps", "-3"], ["--steps", "'-3'"]),
    (["train", "--data", "moons", "--out", "{new}", "--minutes", "0"], ["--minutes", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--rate", "nan"], ["--rate", "'nan'"]),
    (["train", "--data", "moons", "--out", "{new}", "--width", "0"], ["--width", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "vlb", "--variance", "learned"], ["hybrid"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "best"], ["best", "hybrid"]),
    (["train", "--data", "moons", "--out", "{new}", "--seed", "-1"], ["--seed", "'-1'"]),
    (["sample", "{new}"], ["no run folder"]),
    (["sample", "{tmp}"], ["no run folder"]),
    (["sample", "{run}", "--n", "0"], ["--n", "'0'"]),
    (["sample", "{run}", "--steps", "7"], ["steps = 7", "1..T = 6"]),
    (["sample", "{run}", "--eta", "2"], ["eta = 2"]),
    (["sample", "{run}", "--out", "x.txt"], ["x.txt", ".npy"]),
    (["elbo", "{new}"], ["no run folder"]),
    (["elbo", "{run}", "--data", "{tmp}/three.npy"], ["(3,)", "(2,)"]),
    (["elbo", "{run}", "--n", "1"], ["--n", "'1'"]),
    (["elbo", "{run}", "--out", "{run}/settings.json"], ["settings.json"]),
    (["elbo", "{run}", "--out", "{run}/checkpoint.npz"], ["checkpoint.npz", ".json"]),
    (["sample", "{run}", "--out", "{run}/held_out.npy"], ["held_out.npy"]),
    (["sample", "{run}", "--n", "99999999999999"], ["n = 99999999999999", "33554432 at the most"]),
    (["train", "--data", "moons", "--out", "{new}", "--minutes", "inf"], ["--minutes", "'inf'"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "v", "--predicts", "eps"], ["loss = 'v'", "'eps'"]),
    (["train", "--data", "{tmp}/huge.npy", "--out", "{new}"], ["huge.npy", "too large"]),
    (["train", "--data", "{tmp}/names.csv", "--out", "{new}"], ["names.csv", "line 2"]),
    (["train", "--data", "{tmp}/few.npy", "--out", "{new}"], ["few.npy", "2 or more"]),
    (["--quick", "sample", "{run}"], ["--quick"]),
    (["--data", "mnist"], ["mnist", "moons"]),
    (["dance"], ["dance"]),
])
def test_a_mistake_gets_one_sentence_and_exit_code_2(moons, tmp_path, capsys, arguments, mentions):
    for name, array in [("nan", np.array([[1.0, 2.0], [np.nan, 1.0]])), ("floats", np.zeros((5, 4, 4))), ("three", np.ones((5, 3))),
                        ("huge", np.random.default_rng(0).normal(size=(40, 2)) * 1e300), ("few", np.eye(4)),
                        ("constant", np.array([[1.0, 2.0]] * 3 + [[3.0, 2.0]] * 20))]:
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "foreign.npy").write_bytes(b"\x89PNG, and not an array")
    (tmp_path / "names.csv").write_text("x,y\na,b\n" + "1,2\n" * 30)
    before = {path: path.read_bytes() for folder in (tmp_path, moons) for path in folder.iterdir()}
    names = {"tmp": tmp_path, "new": tmp_path / "new", "run": moons}
    with pytest.raises(SystemExit) as error:
        main([argument.format(**names) for argument in arguments])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2, message
    for mention in mentions:
        assert mention in message, message
    assert {path: path.read_bytes() for folder in (tmp_path, moons) for path in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["checkpoint.npz", "settings.json", "held_out.npy"])
def test_a_damaged_run_is_told_in_a_sentence(moons, tmp_path, capsys, damage):
    folder = shutil.copytree(moons, tmp_path / "run")
    whole = (folder / damage).read_bytes()
    for broken in (b"", whole[:len(whole) // 2], b"foreign"):
        (folder / damage).write_bytes(broken)
        with pytest.raises(SystemExit) as error:
            main(["sample", str(folder)])
        assert error.value.code == 2
        message = capsys.readouterr().err.strip()
        assert message.count("\n") == 0 and "damaged" in message and str(folder) in message


@pytest.mark.parametrize("change", [
    {"format": 1}, {"T": 77}, {"schedule": "nope"}, {"shape": []}, {"shape": [2, 2]}, {"shape": [0]}, {"scale": [0, 1]}, {"shift": None},
    {"predicts": []}, {"loss": "vlb", "variance": "learned"}, {"network": {"width": 10 ** 9}}, {"network": {"height": 3}}, {"seed": "x"}])
def test_edited_settings_are_told_in_a_sentence(moons, tmp_path, capsys, change):
    folder = shutil.copytree(moons, tmp_path / "run")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(SystemExit) as error:
        main(["sample", str(folder)])
    message = capsys.readouterr().err.strip()
    assert error.value.code == 2 and message.count("\n") == 0 and "damaged" in message


def test_a_seed_before_the_command_counts(moons, tmp_path):
    for i, arguments in enumerate((["--seed", "5", "sample"], ["sample", "--seed", "5"], ["sample"])):
        main([*arguments, str(moons), "--n", "3", "--out", str(tmp_path / f"{i}.npy")])
    first, second, other = (np.load(tmp_path / f"{i}.npy") for i in range(3))
    assert (first == second).all() and not (first == other).all()


def test_run_as_a_module(tmp_path):
    """A process of its own: --help says what there is, a mistake ends in exit code 2 without a traceback."""
    help = subprocess.run([sys.executable, "-m", "tinyddpm", "--help"], capture_output=True, text=True)
    assert help.returncode == 0 and all(command in help.stdout for command in ("train", "sample", "elbo"))
    wrong = subprocess.run([sys.executable, "-m", "tinyddpm", "sample", str(tmp_path)], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
