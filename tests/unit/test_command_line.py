"""python -m tinyddpm: what each command writes and prints, and one sentence for every mistake."""
import errno
import itertools
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tinyddpm import training
from tinyddpm.app import commands, plot, settings
from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main

SMALL = ["--steps", "12", "--batch", "8", "--width", "8", "--depth", "1", "--T", "6"]
RUN_FILES = {"settings.json", "checkpoint.npz", "held_out.npy", "log.csv", "loss.png", "lock"}


@pytest.fixture(scope="module")
def moons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after 12 steps of training."""
    folder = tmp_path_factory.mktemp("runs") / "moons"
    main(["train", "--data", "moons", "--out", str(folder), *SMALL])
    return folder


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# The main job


def test_the_main_job(tmp_path, capsys):
    main(["--out", str(tmp_path / "out"), "--quick"])
    report, printed = read(tmp_path / "out" / "report.json"), capsys.readouterr().out
    for text in ("L_T", "sum L_{t-1}", "L_0", "-ELBO", "data entropy", "optimal denoiser",
                 "same draws", "exact mean", "picture.png", "report.json"):
        assert text in printed
    assert "bits/dim" not in printed and "L_0 is negative because" in printed
    assert max(len(line) for line in printed.splitlines()) <= 100
    with Image.open(tmp_path / "out" / "picture.png") as image:
        assert image.size[0] > 1000

    network = report["ledger"]["total"]["nats"]
    optimal = report["optimal_ledger_same_draws"]["total"]["nats"]
    exact, entropy = report["exact_optimum_nats"], report["entropy_nats"]
    for number in (network, optimal, exact, entropy):
        assert f"{number:.4f}" in printed
    assert exact > entropy
    assert report["exact_optimum_terms_nats"]["total"] == exact


def test_the_optimum_for_the_same_draws_explains_the_gap(tmp_path):
    """The two estimates of the network's gap agree, and the one without noise is more precise."""
    main(["--out", str(tmp_path), "--quick"])
    report = read(tmp_path / "report.json")
    gap, paired = report["gap_to_optimum_nats"], report["gap_same_draws_nats"]
    network = report["ledger"]["total"]
    optimal = report["optimal_ledger_same_draws"]["total"]
    assert paired["mean"] == pytest.approx(network["nats"] - optimal["nats"])
    assert abs(paired["mean"] - gap["mean"]) < 4 * paired["standard_error"]
    assert gap["standard_error"] < paired["standard_error"] < network["standard_error"]
    exact = report["exact_optimum_nats"]
    assert abs(optimal["nats"] - exact) < 4 * optimal["standard_error"]


def test_the_main_job_on_a_toy_without_an_exact_denoiser(tmp_path, capsys):
    main(["--data", "checkerboard", "--out", str(tmp_path), "--quick"])
    printed = capsys.readouterr().out
    assert "data entropy" in printed and "optimal" not in printed and "bits/dim" not in printed


# train, sample, elbo


def test_train_sample_elbo(moons, tmp_path, capsys):
    assert {path.name for path in moons.iterdir()} == RUN_FILES
    header, first = (moons / "log.csv").read_text().splitlines()[:2]
    assert header == "step,loss,gradient_norm,seconds" and first.startswith("10,")
    elsewhere = shutil.copytree(moons, tmp_path / "elsewhere")  # the folder is all that is needed
    main(["sample", str(elsewhere), "--n", "20"])
    samples = np.load(elsewhere / "samples.npy")
    assert samples.shape == (20, 2) and np.isfinite(samples).all()
    assert (elsewhere / "samples.png").is_file()
    main(["sample", str(elsewhere), "--n", "20", "--out", str(tmp_path / "again.npy")])
    assert (np.load(tmp_path / "again.npy") == samples).all()
    main(["sample", str(elsewhere), "--n", "5", "--steps", "3", "--eta", "0.5",
          "--out", str(tmp_path / "few.npy")])
    assert np.load(tmp_path / "few.npy").shape == (5, 2)

    capsys.readouterr()
    main(["elbo", str(elsewhere), "--n", "30", "--out", str(tmp_path / "elbo.json")])
    printed = capsys.readouterr().out
    assert "-ELBO of 30 items, T = 6" in printed and "bits/dim" not in printed
    ledger = read(tmp_path / "elbo.json")["ledger"]
    assert ledger["total"]["standard_error"] > 0 and "bits_per_dim" not in ledger["total"]
    main(["elbo", str(elsewhere), "--n", "30", "--variance", "beta_tilde",
          "--out", str(tmp_path / "other.json")])
    assert "variance beta_tilde" in capsys.readouterr().out
    assert read(tmp_path / "other.json")["ledger"] != ledger


@pytest.mark.parametrize("choices", [
    ["--loss", "hybrid"], ["--variance", "learned"], ["--loss", "vlb"], ["--loss", "v"],
    ["--predicts", "x_0", "--schedule", "cosine"],
    ["--predicts", "score", "--variance", "beta_tilde"], ["--recipe", "ddpm", "--T", "30"]])
def test_every_way_to_train(tmp_path, choices):
    main(["train", "--data", "circles", "--out", str(tmp_path / "run"), *SMALL, *choices])
    main(["elbo", str(tmp_path / "run"), "--n", "5"])
    main(["sample", str(tmp_path / "run"), "--n", "5"])


@pytest.mark.parametrize("choices, settled", [
    ([], ("prior", "bits", "learned", "muon")),
    (["--variance", "beta_tilde", "--optimiser", "adam"], ("prior", "bits", "beta_tilde", "adam")),
    (["--predicts", "eps"], ("eps", "simple", "beta_tilde", "muon")),
    (["--loss", "v"], ("v", "v", "beta_tilde", "muon")),
    (["--loss", "hybrid"], ("eps", "hybrid", "learned", "muon")),
    (["--predicts", "v", "--variance", "beta"], ("v", "v", "beta", "muon")),
    (["--predicts", "x_0", "--variance", "learned"], ("x_0", "hybrid", "learned", "muon")),
    (["--recipe", "ddpm", "--T", "30"], ("eps", "simple", "beta", "adam")),
    (["--recipe", "ddpm", "--T", "30", "--loss", "bits"], ("prior", "bits", "beta", "adam"))])
def test_digits(tmp_path, capsys, choices, settled):
    """A setting that is not chosen becomes what goes with those that are."""
    main(["train", "--data", "mnist", "--out", str(tmp_path / "run"), *SMALL, *choices])
    chosen = read(tmp_path / "run" / "settings.json")
    assert tuple(chosen[name] for name in ("predicts", "loss", "variance", "optimiser")) == settled
    capsys.readouterr()
    main(["elbo", str(tmp_path / "run"), "--n", "2"])
    printed = capsys.readouterr().out
    assert "bits/dim" in printed and "density" not in printed
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
        rows = [f"{170 + i / 3},{60 + i * i % 7 + i / 9}\n" for i in range(30)]
        path.write_text("height,weight\n" + "".join(rows))
    elif name.endswith("z"):
        np.savez(path, images=data)
    else:
        np.save(path, data)
    main(["train", "--data", str(path), "--out", str(tmp_path / "run"), *SMALL])
    path.unlink()
    main(["sample", str(tmp_path / "run"), "--n", "4"])
    main(["elbo", str(tmp_path / "run")])
    samples = np.load(tmp_path / "run" / "samples.npy")
    if data is None:
        assert samples[:, 0].mean() > 100  # in the data's own units
    else:
        assert samples.shape == (4, *data.shape[1:]) and samples.dtype == data.dtype


def test_the_ledger_is_in_the_data_s_units(tmp_path):
    """The same points in units 8 times smaller: −ELBO grows by log 8 for each coordinate."""
    points = np.random.default_rng(0).standard_normal((60, 2))
    nats = []
    for scale in (1.0, 8.0):
        np.save(tmp_path / "x.npy", scale * points)
        dataset = runs.open_data(str(tmp_path / "x.npy"))
        run, rng = runs.start(dataset, steps=3, batch=4, T=5)
        run = runs.fit(run, dataset, rng)
        ledger = run.ledger(dataset.held_out, np.random.default_rng(0))
        nats.append(ledger.summary()["total"][0])
    assert nats[1] - nats[0] == pytest.approx(2 * np.log(8), abs=1e-6)


# Files that exist


def test_samples_of_the_run_are_replaced_and_others_by_force(moons, tmp_path):
    folder = shutil.copytree(moons, tmp_path / "run")
    for n in ("3", "4"):
        main(["sample", str(folder), "--n", n])
    assert len(np.load(folder / "samples.npy")) == 4
    for out, command in (("x.npy", "sample"), ("x.json", "elbo")):
        options = [command, str(folder), "--n", "5", "--out", str(tmp_path / out)]
        main(options)
        before = (tmp_path / out).read_bytes()
        with pytest.raises(SystemExit) as error:
            main([*options, "--seed", "7"])
        assert error.value.code == 2 and (tmp_path / out).read_bytes() == before
        main([*options, "--seed", "7", "--force"])
        assert (tmp_path / out).read_bytes() != before
    assert not list(tmp_path.glob("**/*.partial"))


@pytest.mark.parametrize("command, name", [("sample", "x.npy"), ("elbo", "x.json")])
def test_a_folder_that_may_not_be_written_is_told_before_the_work(moons, tmp_path, capsys,
                                                                  monkeypatch, command, name):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied", "a temporary file")

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(commands, "progress_bar", None)  # not called
    monkeypatch.setattr(commands, "progress_over", None)
    with pytest.raises(SystemExit):
        main([command, str(moons), "--out", str(tmp_path / name)])
    assert capsys.readouterr().err == f"tinyddpm: Permission denied: {tmp_path / name}\n"


def test_points_are_drawn_beside_held_out_data(moons, tmp_path, monkeypatch):
    """With the names of their columns, if the run has them."""
    folder = shutil.copytree(moons, tmp_path / "run")
    settings = read(folder / "settings.json")
    (folder / "settings.json").write_text(json.dumps({**settings, "columns": ["lat", "lon"]}))
    calls = []
    points = plot.points
    monkeypatch.setattr(plot, "points", lambda *args: calls.append(args) or points(*args))
    main(["sample", str(folder), "--n", "3"])
    ((samples, held_out, columns),) = calls
    assert len(samples) == 3 and len(held_out) == 2000 and list(columns) == ["lat", "lon"]


# info, and a finished run that trains on


def test_info(moons, tmp_path, capsys):
    main(["info", str(moons)])
    printed = capsys.readouterr().out
    for text in ("moons: points of shape (2,), 2000 held out", "best, T 6 (recipe: 100)",
                 "width 8 (recipe: 96)", "706 weights", "12 of 12 steps", "finished", "log.csv",
                 "checkpoint.npz 13", f"sample {moons}", f"elbo {moons}",
                 f"train --resume {moons} --steps 24"):
        assert text in printed.replace("\n         ", " ")
    assert "not finished" not in printed and "another process" not in printed
    assert "optimiser" not in printed  # it is the recipe's
    with runs.locked(moons):
        main(["info", str(moons)])
    assert "being trained by another process" in capsys.readouterr().out
    main(["train", "--resume", str(moons)])  # info has released the lock


def test_info_on_a_run_that_is_not_finished(moons, tmp_path, capsys):
    folder = shutil.copytree(moons, tmp_path / "my run")
    (folder / "log.csv").unlink()
    settings = read(folder / "settings.json")
    more = {"steps": 100, "columns": ["height", "weight"]}
    (folder / "settings.json").write_text(json.dumps({**settings, **more}))
    main(["info", str(folder)])
    printed = capsys.readouterr().out
    assert "12 of 100 steps in 0 s, not finished" in printed
    assert "columns  height, weight" in printed
    command = printed.splitlines()[-3].strip()
    assert shlex.split(command)[3:] == ["train", "--resume", str(folder)]


def test_a_finished_run_says_so_and_stays_as_it_is(moons, capsys):
    before = {path: path.read_bytes() for path in moons.iterdir()}
    capsys.readouterr()
    main(["train", "--resume", str(moons)])
    printed = capsys.readouterr().out
    assert "is finished: nothing has changed" in printed
    assert f"python -m tinyddpm train --resume {moons} --steps 24" in printed
    assert {path: path.read_bytes() for path in moons.iterdir()} == before


def test_a_finished_run_trains_on(moons, tmp_path, capsys):
    """With more steps, with minutes in their place, with more minutes, and with steps again."""
    folder = shutil.copytree(moons, tmp_path / "run")
    main(["train", "--resume", str(folder), "--steps", "30"])
    assert runs.load(folder)[0].state.step == 30
    assert (folder / "log.csv").read_text().count("\n") == 4  # the header, 10, 20, 30
    assert "30 of 30 steps" in capsys.readouterr().out
    chosen = read(folder / "settings.json")
    assert chosen == {**read(moons / "settings.json"), "steps": 30}
    steps = [30]
    for minutes in (0.005, 0.01):
        main(["train", "--resume", str(folder), "--minutes", str(minutes)])
        steps.append(runs.load(folder)[0].state.step)
        main(["info", str(folder)])
        printed = capsys.readouterr().out
        assert f"of {minutes} minutes, finished" in printed and " steps 30" not in printed
        assert f"--minutes {2 * minutes}" in printed
    assert steps[0] < steps[1] < steps[2]
    main(["train", "--resume", str(folder), "--steps", str(steps[-1] + 5)])
    assert runs.load(folder)[0].state.step == steps[-1] + 5
    assert read(folder / "settings.json") == {**chosen, "steps": steps[-1] + 5}


def test_the_learning_rate_rises_again_where_a_run_trains_on(moons, tmp_path, monkeypatch):
    """At step 13 of 24 it is that of a training of 24 steps."""
    rates = []
    adam = training.adam_in_place

    def recorded(state, gradient, learning_rate):
        rates.append((state.step, learning_rate))
        return adam(state, gradient, learning_rate)

    monkeypatch.setattr(training, "adam_in_place", recorded)
    folder = shutil.copytree(moons, tmp_path / "run")
    main(["train", "--resume", str(folder), "--steps", "24"])
    at = training.warm_up_and_decay(4e-3)
    assert rates == [(step, at(step, step / 24)) for step in range(12, 24)]


# Interrupts, and how long it takes


@pytest.mark.parametrize("arguments", [["sample", "{run}"], ["elbo", "{run}"],
                                       ["train", "--data", "moons", "--out", "{new}"]])
def test_an_interrupt_that_leaves_nothing_to_resume(moons, tmp_path, capsys, monkeypatch,
                                                    arguments):
    """Exit code 130, and no word on resuming, as no run folder was begun."""
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "load", interrupted)
    monkeypatch.setattr(runs, "start", interrupted)
    with pytest.raises(SystemExit) as error:
        main([word.format(run=moons, new=tmp_path / "new") for word in arguments])
    message = capsys.readouterr().err.splitlines()[-1]
    assert error.value.code == 130 and message == "tinyddpm: interrupted"


def test_an_interrupted_training_names_its_folder(tmp_path, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    folder = tmp_path / "my run"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr(training, "ema_update", interrupted)
        main(["train", "--data", "moons", "--out", str(folder), *SMALL])
    message = capsys.readouterr().err.splitlines()[-1]
    command = message.partition("continue with ")[2]
    assert error.value.code == 130
    assert shlex.split(command) == ["python", "-m", "tinyddpm", "train", "--resume", str(folder)]
    main(shlex.split(command)[3:])
    assert runs.load(folder)[0].state.step == 12


def clock(step: float) -> SimpleNamespace:
    """A clock that moves on by `step` seconds whenever it is read."""
    ticks = itertools.count()
    return SimpleNamespace(monotonic=lambda: step * next(ticks))


@pytest.mark.parametrize("command, advice", [
    ("elbo", "with --n 50, about 4 minutes, and larger standard errors"),
    ("sample", "with --steps 2, about 6 minutes")])
def test_a_long_computation_says_how_long(moons, tmp_path, capsys, monkeypatch, command, advice):
    """By a clock of three minutes a step; what is computed stays the same."""
    out = {"elbo": "x.json", "sample": "x.npy"}[command]
    results = []
    for step in (3 * 60, 0.001):
        monkeypatch.setattr(commands, "time", clock(step))
        main([command, str(moons), "--out", str(tmp_path / out), "--force"])
        results.append((tmp_path / out).read_bytes())
        printed = capsys.readouterr()
        is_told = "takes about 18 minutes" in printed.err and advice in printed.err
        assert is_told == (step > 1) and "takes about" not in printed.out
    assert results[0] == results[1]


def test_the_estimate_is_said_once_after_a_second(capsys, monkeypatch):
    """Of 100 steps of 0.3 seconds; the first step, which takes longer, is not counted."""
    times = [0.0, 50.0, *(50 + 0.3 * np.arange(1, 99))]
    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=iter(times).__next__))
    seen = []
    for step in commands.with_estimate(range(100), 100, lambda seconds: f"{seconds:.6g} s"):
        seen.append(step)
        assert capsys.readouterr().err.strip() == ("30 s" if step == 5 else "")
    assert seen == list(range(100))


@pytest.mark.parametrize("seconds, words", [(0.2, "2 seconds"), (45.4, "45 seconds"),
                                            (235, "4 minutes"), (7200, "2.0 hours")])
def test_a_duration_in_words(seconds, words):
    assert commands.duration(seconds) == words


# Recipes


@pytest.mark.parametrize("data", ["moons", "mnist"])
def test_the_recipe_ddpm_is_ho_s(data):
    dataset = runs.open_data(data)
    chosen = runs.start(dataset, recipe="ddpm")[0].settings
    expected = dict(recipe="ddpm", schedule="linear", T=1000, predicts="eps", loss="simple",
                    variance="beta", optimiser="adam")
    assert {name: chosen[name] for name in expected} == expected
    default = runs.start(dataset)[0].settings
    assert default["recipe"] == "best"
    for name in ("network", "batch", "learning_rate", "steps", "ema_decay"):
        assert chosen[name] == default[name]


@pytest.mark.parametrize("kind", settings.KINDS)
@pytest.mark.parametrize("recipe", settings.RECIPES)
def test_a_recipe_s_choices_go_together(kind, recipe):
    """To choose what the recipe has anyway changes nothing, alone or with the others."""
    defaults = settings.RECIPES[recipe][kind]
    assert settings.complete(kind, recipe, {}) == defaults
    for name in ("predicts", "loss", "variance"):
        assert settings.complete(kind, recipe, {name: None}) == defaults
    assert settings.complete(kind, recipe, defaults) == defaults


def test_there_is_no_other_recipe():
    with pytest.raises(ValueError, match="recipe = 'worst': one of best, ddpm"):
        runs.start(runs.open_data("moons"), recipe="worst")


def test_the_help_of_train_explains_the_recipes(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    printed = capsys.readouterr().out
    assert end.value.code == 0 and "--recipe {best,ddpm}" in printed
    for text in ("best    the default", "ddpm    the model of Ho et al. 2020", "--learning-rate"):
        assert text in printed


def test_an_older_run_folder_is_read(moons, tmp_path):
    """"learning_rate" used to be "rate", and there was no recipe."""
    folder = shutil.copytree(moons, tmp_path / "run")
    old = read(folder / "settings.json")
    del old["recipe"]
    old["rate"] = old.pop("learning_rate")
    (folder / "settings.json").write_text(json.dumps(old))
    loaded = runs.load(folder)[0].settings
    assert loaded == read(moons / "settings.json")


# Mistakes


@pytest.mark.parametrize("arguments, mentions", [
    (["train", "--data", "moon", "--out", "{new}"], ["moon", "moons", "mnist"]),
    (["train", "--data", "{tmp}/none.npy", "--out", "{new}"], ["none.npy", "No such file"]),
    (["train", "--data", "{tmp}/nan.npy", "--out", "{new}"], ["NaN", "row 1"]),
    (["train", "--data", "{tmp}/foreign.npy", "--out", "{new}"], ["foreign.npy"]),
    (["train", "--data", "{tmp}/floats.npy", "--out", "{new}"], ["(5, 4, 4)", "uint8"]),
    (["train", "--data", "{tmp}/constant.npy", "--out", "{new}"], ["same value", "column 1"]),
    (["train", "--data", "{tmp}/huge.npy", "--out", "{new}"], ["huge.npy", "too large"]),
    (["train", "--data", "{tmp}/names.csv", "--out", "{new}"], ["names.csv", "line 2"]),
    (["train", "--data", "{tmp}/few.npy", "--out", "{new}"], ["few.npy", "4 or more"]),
    (["train", "--data", "moons", "--out", "{tmp}"], ["exists already"]),
    (["train", "--data", "moons", "--out", "{tmp}/nan.npy"], ["exists already"]),
    (["train", "--data", "moons", "--out", "{new}", "--T", "0"], ["--T", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--T", "10", "--schedule", "linear"],
     ["beta_6 = 1.", "larger T"]),
    (["train", "--data", "moons", "--out", "{new}", "--batch", "0"], ["--batch", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--steps", "-3"], ["--steps", "'-3'"]),
    (["train", "--data", "moons", "--out", "{new}", "--minutes", "0"], ["--minutes", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--minutes", "inf"], ["--minutes", "'inf'"]),
    (["train", "--data", "moons", "--out", "{new}", "--learning-rate", "nan"],
     ["--learning-rate", "'nan'"]),
    (["train", "--data", "moons", "--out", "{new}", "--rate", "nan"], ["--rate", "'nan'"]),
    (["train", "--data", "moons", "--out", "{new}", "--width", "0"], ["--width", "'0'"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "vlb", "--variance", "learned"],
     ["loss = 'vlb'", "hybrid"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "hybrid", "--variance", "beta"],
     ["variance = 'beta'", "learned"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "v", "--predicts", "eps"],
     ["loss = 'v'", "'eps'"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "bits"], ["'prior'", "images"]),
    (["train", "--data", "mnist", "--out", "{new}", "--loss", "bits", "--predicts", "eps"],
     ["predicts = 'eps'", "'bits'", "together"]),
    (["train", "--data", "moons", "--out", "{new}", "--loss", "best"], ["best", "hybrid"]),
    (["train", "--data", "moons", "--out", "{new}", "--recipe", "simple"], ["simple", "ddpm"]),
    (["train", "--data", "moons", "--out", "{new}", "--seed", "-1"], ["--seed", "'-1'"]),
    (["train", "--data", "moons", "--out", "{new}", "--steps", "9", "--minutes", "1"],
     ["--steps", "--minutes"]),
    (["train", "--resume", "{run}", "--recipe", "ddpm"], ["--recipe", "--resume"]),
    (["train", "--resume", "{run}", "--steps", "12"], ["12", "total", "larger"]),
    (["train", "--resume", "{run}", "--minutes", "1e-9"], ["1e-09", "total", "larger"]),
    (["train", "moons"], ["python -m tinyddpm train: error", "did you mean --data moons?"]),
    (["train", "points.csv", "--out", "{new}"], ["did you mean --data points.csv?"]),
    (["train", "{run}"], ["did you mean --resume {run}?"]),
    (["train", "--data", "moons", "--lr", "1"], ["tinyddpm train: error", "--lr 1"]),
    (["sample", "{run}", "100"], ["tinyddpm sample: error", "did you mean --n 100?"]),
    (["sample", "{run}", "x.npy"], ["did you mean --out x.npy?"]),
    (["elbo", "{run}", "{tmp}/three.npy"], ["did you mean --data"]),
    (["info", "{run}", "100"], ["tinyddpm info: error", "100"]),
    (["info", "{tmp}"], ["no run folder"]),
    (["sample", "{new}"], ["no run folder"]),
    (["sample", "{tmp}"], ["no run folder"]),
    (["sample", "{run}", "--n", "0"], ["--n", "'0'"]),
    (["sample", "{run}", "--n", "99999999999999"],
     ["n = 99999999999999", "33554432 at the most"]),
    (["sample", "{run}", "--steps", "7"], ["steps = 7", "1..T = 6"]),
    (["sample", "{run}", "--eta", "2"], ["eta = 2"]),
    (["sample", "{run}", "--out", "x.txt"], ["x.txt", ".npy"]),
    (["sample", "{run}", "--out", "{run}/held_out.npy"], ["held_out.npy"]),
    (["sample", "{run}", "--out", "{tmp}/none/x.npy"], ["no folder", "none", "make it"]),
    (["sample", "{run}", "--out", "{tmp}/three.npy"], ["exists already", "three.npy", "--force"]),
    (["sample", "{run}", "--out", "{tmp}/picture.npy"],
     ["exists already", "picture.png", "--force"]),
    (["sample", "{run}", "--out", "{tmp}/folder.npy", "--force"], ["is a folder"]),
    (["sample", "{run}", "--out", "{tmp}/three.npy/x.npy"], ["no folder", "three.npy"]),
    (["sample", "{run}", "--out", "{tmp}/" + "x" * 300 + ".npy"], ["name too long"]),
    (["elbo", "{run}", "--out", "{tmp}/none/x.json"], ["no folder", "none", "make it"]),
    (["elbo", "{run}", "--out", "{tmp}/old.json"], ["exists already", "old.json", "--force"]),
    (["elbo", "{new}"], ["no run folder"]),
    (["elbo", "{run}", "--data", "{tmp}/three.npy"], ["(3,)", "(2,)"]),
    (["elbo", "{run}", "--n", "1"], ["--n", "'1'"]),
    (["elbo", "{run}", "--out", "{run}/settings.json"], ["settings.json"]),
    (["elbo", "{run}", "--out", "{run}/checkpoint.npz"], ["checkpoint.npz", ".json"]),
    (["--quick", "sample", "{run}"], ["--quick"]),
    (["--data", "mnist"], ["mnist", "moons"]),
    (["dance"], ["dance"]),
])
def test_a_mistake_gets_one_sentence_and_exit_code_2(moons, tmp_path, capsys, arguments, mentions):
    """And no file is changed."""
    rng = np.random.default_rng(0)
    arrays = {"nan": np.array([[1.0, 2.0], [np.nan, 1.0]]), "floats": np.zeros((5, 4, 4)),
              "three": np.ones((5, 3)), "huge": rng.normal(size=(40, 2)) * 1e300,
              "few": np.eye(3), "constant": np.array([[1.0, 2.0]] * 3 + [[3.0, 2.0]] * 20)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "foreign.npy").write_bytes(b"\x89PNG, and not an array")
    (tmp_path / "names.csv").write_text("x,y\na,b\n" + "1,2\n" * 30)
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "picture.png").write_bytes(b"of a former call")
    (tmp_path / "folder.npy").mkdir()

    def contents() -> dict[Path, bytes]:
        paths = [path for folder in (tmp_path, moons) for path in folder.iterdir()]
        return {path: path.read_bytes() for path in paths if path.is_file()}

    before = contents()
    names = {"tmp": tmp_path, "new": tmp_path / "new", "run": moons}
    with pytest.raises(SystemExit) as error:
        main([argument.format(**names) for argument in arguments])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2, message
    for mention in mentions:
        assert mention.format(**names) in message, message
    assert contents() == before


@pytest.mark.parametrize("damage", ["checkpoint.npz", "settings.json", "held_out.npy"])
def test_a_damaged_run_is_refused_in_one_sentence(moons, tmp_path, capsys, damage):
    folder = shutil.copytree(moons, tmp_path / "run")
    whole = (folder / damage).read_bytes()
    for broken in (b"", whole[:len(whole) // 2], b"foreign"):
        (folder / damage).write_bytes(broken)
        with pytest.raises(SystemExit) as error:
            main(["sample", str(folder)])
        message = capsys.readouterr().err.strip()
        assert error.value.code == 2 and message.count("\n") == 0
        assert "damaged" in message and str(folder) in message


@pytest.mark.parametrize("change", [
    {"format": 1}, {"T": 77}, {"schedule": "nope"}, {"recipe": "nope"}, {"shape": []},
    {"shape": [2, 2]}, {"shape": [0]}, {"scale": [0, 1]}, {"shift": None}, {"predicts": []},
    {"loss": "vlb", "variance": "learned"}, {"network": {"width": 10 ** 9}},
    {"network": {"height": 3}}, {"seed": "x"}])
def test_edited_settings_are_refused_in_one_sentence(moons, tmp_path, capsys, change):
    folder = shutil.copytree(moons, tmp_path / "run")
    edited = {**read(folder / "settings.json"), **change}
    (folder / "settings.json").write_text(json.dumps(edited))
    with pytest.raises(SystemExit) as error:
        main(["sample", str(folder)])
    message = capsys.readouterr().err.strip()
    assert error.value.code == 2 and message.count("\n") == 0 and "damaged" in message


def test_a_seed_before_the_command_is_used(moons, tmp_path):
    samples = []
    for seed in (["--seed", "5", "sample"], ["sample", "--seed", "5"], ["sample"]):
        main([*seed, str(moons), "--n", "3", "--out", str(tmp_path / "x.npy"), "--force"])
        samples.append(np.load(tmp_path / "x.npy"))
    before, after, without = samples
    assert (before == after).all() and not (before == without).all()


# Processes of their own


def test_run_as_a_module(tmp_path):
    """--help lists the commands, and a mistake ends in exit code 2 without a traceback."""
    command = [sys.executable, "-m", "tinyddpm"]
    help = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert help.returncode == 0
    for name in ("train", "sample", "elbo"):
        assert name in help.stdout
    wrong = subprocess.run([*command, "sample", str(tmp_path)], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["tinyddpm", "tinyddpm.app.command_line", "tinyddpm.app.plot"])
def test_an_import_is_light_and_changes_nothing(module):
    """No heavy package is imported, and no setting of the process is changed."""
    code = f"""if True:
        import signal, sys, warnings
        import numpy
        numbers = sorted(signal.valid_signals())
        before = [signal.getsignal(number) for number in numbers]
        before += [warnings.formatwarning, warnings.filters[:], numpy.geterr(), sys.excepthook]
        import {module}
        after = [signal.getsignal(number) for number in numbers]
        after += [warnings.formatwarning, warnings.filters[:], numpy.geterr(), sys.excepthook]
        assert before == after
        heavy = ["matplotlib", "scipy", "threadpoolctl", "PIL", "tqdm", "pooch"]
        imported = [name for name in heavy if name in sys.modules]
        assert not imported, imported
    """
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
