"""A run folder stays whole: its process is killed or interrupted, the disk is full, two want it."""
import gc
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kill_resume import SETTINGS, contents, kill_and_resume

from tinyddpm import elbo, training
from tinyddpm.app import files, fit, plot
from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    main(["train", *SETTINGS, "--out", str(folder)])
    return folder


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one sentence with which a command ends in exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        main([str(argument) for argument in arguments])
    message = capsys.readouterr().err.strip().splitlines()[-1].rpartition("\r")[2]
    assert error.value.code == 2 and message.startswith("tinyddpm: "), message
    return message


def test_a_killed_and_resumed_run_has_the_same_bytes(whole, tmp_path):
    kill_and_resume(tmp_path / "run", 2, random.Random(0), patience=1.2)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("module, name, when", [
    (elbo, "simple_loss", 1), (elbo, "simple_loss", 41), (training, "ema_update", 37),
    (training, "ema_update", 60), (json, "dumps", 1), (json, "dumps", 24), (os, "replace", 1),
    (os, "replace", 55)])
def test_an_interrupted_and_resumed_run_has_the_same_bytes(whole, tmp_path, monkeypatch, module,
                                                           name, when):
    """Ctrl-C after a step's random numbers, before its state is complete, amid a checkpoint."""
    interrupt_and_resume(monkeypatch, tmp_path / "run", SETTINGS, module, name, when)
    assert contents(tmp_path / "run") == contents(whole)


def test_the_recipe_ddpm_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    options = [*SETTINGS, "--recipe", "ddpm", "--T", "30"]
    main(["train", *options, "--out", str(tmp_path / "whole")])
    interrupt_and_resume(monkeypatch, tmp_path / "run", options, training, "ema_update", 37)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def interrupt_and_resume(monkeypatch: pytest.MonkeyPatch, folder: Path, options: list[str],
                         module: object, name: str, when: int) -> None:
    """Train; raise KeyboardInterrupt at the `when`-th call of module.name; train to the end."""
    function, calls = getattr(module, name), itertools.count(1)

    def interrupted(*args, **options):
        if next(calls) == when:
            raise KeyboardInterrupt
        return function(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr(module, name, interrupted)
        main(["train", *options, "--out", str(folder), "--save-every", "0.0001"])
    assert error.value.code == 130 and not list(folder.glob("*.partial"))
    main(["train", "--resume", str(folder)])


def test_an_interrupt_in_a_finaliser_is_not_lost(whole, tmp_path, monkeypatch):
    """Python ignores what a finaliser raises, and NumPy's ZipFile has one.

    The signal is SIGTERM, because a shell may have set SIGINT to be ignored.
    """
    class Interrupted:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    savez, calls = np.savez, itertools.count(1)

    def interrupted(*args, **options):
        savez(*args, **options)
        if next(calls) == 20:
            Interrupted()

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr(np, "savez", interrupted)
        main(["train", *SETTINGS, "--out", str(tmp_path / "run"), "--save-every", "0.0001"])
    assert error.value.code == 128 + signal.SIGTERM
    assert runs.load(tmp_path / "run")[0].state.step < 60
    main(["train", "--resume", str(tmp_path / "run")])
    assert contents(tmp_path / "run") == contents(whole)


def test_sigterm_writes_a_checkpoint(tmp_path):
    log = tmp_path / "run" / "log.csv"
    command = [sys.executable, "-m", "tinyddpm", "train", *SETTINGS, "--steps", "1000000",
               "--save-every", "0.01", "--out", tmp_path / "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not log.exists() or log.read_text().count("\n") < 3:  # 20 steps
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    message = process.communicate(timeout=120)[1]
    assert process.returncode == 143 and "Traceback" not in message
    last = message.splitlines()[-1]
    assert last.startswith("tinyddpm: interrupted") and f"train --resume {tmp_path / 'run'}" in last
    assert (tmp_path / "run" / "loss.png").exists()
    assert runs.load(tmp_path / "run")[0].state.step >= 20


def test_a_finished_run_is_left_as_it_is(whole, tmp_path):
    again = shutil.copytree(whole, tmp_path / "again")
    main(["train", "--resume", str(again)])
    assert contents(again) == contents(whole)


def test_a_finished_run_that_trains_on_can_be_interrupted(whole, tmp_path, monkeypatch):
    """With more steps it ends with the same bytes, too; and the settings are the new ones."""
    folders = [shutil.copytree(whole, tmp_path / name) for name in ("once", "interrupted")]
    longer = [["train", "--resume", str(folder), "--steps", "90"] for folder in folders]
    main(longer[0])
    ema_update, calls = training.ema_update, itertools.count(1)

    def interrupted(*args):
        if next(calls) == 17:
            raise KeyboardInterrupt
        return ema_update(*args)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(training, "ema_update", interrupted)
        main(longer[1])
    run, _ = runs.load(folders[1])
    assert (run.state.step, run.settings["steps"]) == (76, 90)
    main(["train", "--resume", str(folders[1])])
    assert contents(folders[0]) == contents(folders[1])
    assert runs.load(folders[0])[0].state.step == 90


def test_a_picture_of_the_loss_that_fails_costs_nothing(whole, tmp_path, monkeypatch):
    """It is a warning; and `--resume` of the finished run draws the missing picture."""
    def fail(*args):
        raise RuntimeError("no fonts")

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="loss.png.*no fonts"):
        patch.setattr(plot, "loss", fail)
        main(["train", *SETTINGS, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "loss.png").exists()
    main(["train", "--resume", str(tmp_path / "run")])
    assert contents(tmp_path / "run") == contents(whole)


def test_an_infinite_loss_is_not_drawn(tmp_path, monkeypatch):
    (tmp_path / "log.csv").write_text("step,loss,gradient_norm,seconds\n10,1,1,1\n20,inf,1,2\n")
    calls, loss = [], plot.loss
    monkeypatch.setattr(plot, "loss", lambda *arrays: calls.append(arrays) or loss(*arrays))
    runs.draw_loss(tmp_path)
    ((steps, losses),) = calls
    assert (steps.tolist(), losses.tolist()) == ([10], [1]) and (tmp_path / "loss.png").exists()


def test_the_clock_goes_on_from_where_it_was(tmp_path, monkeypatch):
    """By a clock that moves a hundredth of a second at each call."""
    ticks = itertools.count()
    monkeypatch.setattr(fit, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 100))
    dataset = runs.open_data("moons")
    whole, rng = runs.start(dataset, minutes=0.04, batch=4, network=dict(width=4, depth=1))
    whole = runs.fit(whole, dataset, rng)
    run, rng = runs.start(dataset, minutes=0.02, batch=4, network=dict(width=4, depth=1))
    run = runs.fit(run, dataset, rng, tmp_path)
    last_row = (tmp_path / "log.csv").read_text().splitlines()[-1]
    assert 1.2 <= float(last_row.split(",")[-1]) < 1.3
    (tmp_path / "settings.json").write_text(json.dumps({**run.settings, "minutes": 0.04}))
    longer = runs.fit(runs.load(tmp_path)[0], dataset, rng, tmp_path)
    assert run.state.step * 1.8 < longer.state.step == pytest.approx(whole.state.step, abs=5)
    again = runs.fit(longer, dataset, rng, tmp_path)
    assert again.state.step == longer.state.step  # its minutes are over


def test_a_full_disk_leaves_the_last_checkpoint(whole, tmp_path, capsys, monkeypatch):
    """A limit on the size of files stands for the disk: the weights do not fit, or nothing does."""
    resource = pytest.importorskip("resource")
    folder = shutil.copytree(whole, tmp_path / "run")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "steps": 200}, indent=2))
    before = (folder / "checkpoint.npz").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (10_000, 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            message = refused(capsys, "train", "--resume", folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "File too large" in message and "checkpoint.npz" in message and "kept" in message
        gc.collect()  # a file that was not closed would warn here
        assert (folder / "checkpoint.npz").read_bytes() == before
        assert not list(folder.glob("*.partial"))
    main(["train", "--resume", str(folder)])  # with room again
    assert runs.load(folder)[0].state.step == 200


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0,
                    reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    folder.chmod(0o500)
    assert "Permission denied" in refused(capsys, "train", "--resume", folder)
    assert "Permission denied" in refused(capsys, "train", *SETTINGS, "--out", folder / "inner")
    folder.chmod(0o700)
    assert contents(folder) == contents(whole)


def test_one_process_trains_in_a_folder(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    with runs.locked(folder):
        assert "by another process" in refused(capsys, "train", "--resume", folder)
        main(["elbo", str(folder), "--n", "3"])  # to read needs no lock
    main(["train", "--resume", str(folder)])
    with runs.locked(tmp_path / "new", new=True):
        assert "exists already" in refused(capsys, "train", *SETTINGS, "--out", tmp_path / "new")
        with pytest.raises(ValueError, match="by another process"):
            with runs.locked(tmp_path / "new", new=True):
                pass
    with pytest.raises(ValueError, match="exists already"):  # begun while the data was opened
        with runs.locked(folder, new=True):
            pass
    assert contents(folder) == contents(whole)


def test_each_writer_has_a_file_of_its_own(whole, tmp_path):
    """Of two processes that write one path at a time, each writes a whole file; the later stays."""
    target = tmp_path / "x"
    code = """if True:
        import sys
        from pathlib import Path
        from tinyddpm.app import files
        files.replace(Path(sys.argv[1]), lambda file: file.write(b"second"))
    """

    def write(file):
        file.write(b"first, ")
        file.flush()
        subprocess.run([sys.executable, "-c", code, str(target)], check=True)
        assert target.read_bytes() == b"second"
        file.write(b"to its end")

    files.replace(target, write)
    assert target.read_bytes() == b"first, to its end" and list(tmp_path.iterdir()) == [target]


def test_training_removes_the_partial_files_of_killed_processes(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run [1]*")
    for name in ("checkpoint.npz.1.partial", f"checkpoint.npz.{os.getpid()}.partial",
                 "settings.json.77.partial"):
        (folder / name).write_bytes(b"half a file")
    (folder / "samples.npy.12.partial").write_bytes(b"of a process that may be alive")
    main(["sample", str(folder), "--n", "2"])
    main(["train", "--resume", str(folder)])
    assert [path.name for path in folder.glob("*.partial")] == ["samples.npy.12.partial"]
    assert {**contents(folder), **contents(whole)} == contents(folder)


def test_a_divergence_stops_at_the_last_good_checkpoint(tmp_path, capsys):
    message = refused(capsys, "train", "--data", "moons", "--out", tmp_path / "run",
                      "--learning-rate", "10")
    assert "diverged" in message and "smaller learning rate" in message
    run, _ = runs.load(tmp_path / "run")
    assert run.state.step == 0 and np.isfinite(run.state.weights).all()
    main(["elbo", str(tmp_path / "run"), "--n", "5"])


def test_a_run_that_has_diverged_says_so(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    with np.load(folder / "checkpoint.npz") as arrays:
        np.savez(folder / "checkpoint.npz", **{**arrays, "ema": arrays["ema"] * np.float32(1e20)})
    for command in ("sample", "elbo"):
        assert "diverged" in refused(capsys, command, folder, "--n", "3")


@pytest.mark.parametrize("rate, data, options", [
    *itertools.product([10, 1e30], ["moons"], [[], ["--loss", "vlb"], ["--loss", "hybrid"]]),
    *itertools.product([10, 1e30], ["mnist"],
                       [["--predicts", "eps"], ["--loss", "v"], ["--loss", "hybrid"]])])
def test_every_loss_tells_a_divergence(tmp_path, capsys, rate, data, options):
    """The last checkpoint can be sampled from, even if every step is saved."""
    small = ["--batch", "16", "--width", "16", "--depth", "1", "--T", "20", "--steps", "3000"]
    every = 60 if rate == 10 else 1e-9
    message = refused(capsys, "train", "--data", data, "--out", tmp_path / "run",
                      "--learning-rate", rate, "--save-every", every, *options, *small)
    assert "diverged" in message
    main(["sample", str(tmp_path / "run"), "--n", "2"])


def test_fewer_steps_than_were_trained_already(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "steps": 7}))
    main(["train", "--resume", str(folder)])
    assert runs.load(folder)[0].state.step == 60


def test_resume_takes_the_run_as_it_is(whole, tmp_path, capsys):
    for option in (["--steps", "60"], ["--seed", "3"], ["--out", "x"], ["--loss", "vlb"],
                   ["--recipe", "best"], ["--learning-rate", "0.1"]):
        assert option[0] in refused(capsys, "train", "--resume", whole, *option)
    assert "no run folder" in refused(capsys, "train", "--resume", tmp_path)
    assert not list(tmp_path.iterdir())
    assert "--resume" in refused(capsys, "train", "--out", tmp_path / "x")
    points = np.random.default_rng(0).normal(size=(40, 2))
    np.save(tmp_path / "a.npy", points)
    main(["train", *SETTINGS, "--data", str(tmp_path / "a.npy"), "--out", str(tmp_path / "run")])
    np.save(tmp_path / "b.npy", points[::-1])
    longer = ["train", "--resume", tmp_path / "run", "--steps", 70]
    assert "is not" in refused(capsys, *longer, "--data", tmp_path / "b.npy")
    (tmp_path / "a.npy").rename(tmp_path / "moved.npy")
    assert "a.npy" in refused(capsys, *longer)
    assert runs.load(tmp_path / "run")[0].settings["steps"] == 60
    main([*map(str, longer), "--data", str(tmp_path / "moved.npy")])
