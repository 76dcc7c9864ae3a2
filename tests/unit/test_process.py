"""A command leaves the process as it was, and works without a console or a reader of its output."""
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from kill_resume import SETTINGS, contents

from tinyddpm.app import fit, folder
from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main
from tinyddpm.app.console import progress_bar, progress_over

COMMAND = [sys.executable, "-m", "tinyddpm"]
ONLY_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    main(["train", *SETTINGS, "--out", str(path)])
    return path


def settings_of_the_process() -> list[object]:
    handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    streams = [stream and (stream, stream.errors) for stream in (sys.stdout, sys.stderr)]
    return [*handlers, *streams, warnings.formatwarning, warnings.filters[:]]


def exit_code(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_main_leaves_the_process_as_it_was(whole, tmp_path, monkeypatch):
    """After success, a mistake, a wrong option and Ctrl-C; in between, its own settings hold."""
    seen = []

    def interrupted(*args, **options):
        seen.extend(settings_of_the_process())
        raise KeyboardInterrupt

    before = settings_of_the_process()
    main(["elbo", str(whole), "--n", "3"])
    assert exit_code("elbo", tmp_path) == 2
    assert exit_code("elbo", whole, "--n", "x") == 2
    monkeypatch.setattr(runs, "fit", interrupted)
    assert exit_code("train", *SETTINGS, "--out", tmp_path / "run") not in (None, 0)
    assert settings_of_the_process() == before != seen


def test_main_works_in_a_thread(whole, tmp_path, capsys):
    """The bytes are those of the main thread's run, and a mistake is told in one sentence."""
    codes = []

    def work():
        main(["train", *SETTINGS, "--out", str(tmp_path / "run")])
        main(["sample", str(tmp_path / "run"), "--n", "3"])
        codes.append(exit_code("elbo", tmp_path))

    before = settings_of_the_process()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [2] and "no run folder" in capsys.readouterr().err
    assert settings_of_the_process() == before
    (tmp_path / "run" / "samples.npy").unlink()
    (tmp_path / "run" / "samples.png").unlink()
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("missing", [("stderr",), ("stdout",), ("stdout", "stderr")])
def test_without_a_console(whole, tmp_path, monkeypatch, missing):
    """As under pythonw: nothing is printed, and the work is done."""
    for name in missing:
        monkeypatch.setattr(sys, name, None)
    before = settings_of_the_process()
    main(["train", *SETTINGS, "--out", str(tmp_path / "run")])
    assert contents(tmp_path / "run") == contents(whole)
    main(["sample", str(tmp_path / "run"), "--n", "3"])
    main(["elbo", str(tmp_path / "run"), "--n", "3"])
    assert exit_code("elbo", tmp_path) == 2
    assert exit_code("elbo", whole, "--n", "x") == 2
    assert settings_of_the_process() == before


def test_bars_of_a_program_without_a_console(monkeypatch):
    """Outside a command, too: tqdm would write to None."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(3, "training") as bar:
        bar.update(3)
        bar.set_postfix(loss="0.1", refresh=False)
    assert list(progress_over("ledger")(range(3))) == [0, 1, 2]


def run_with(stdout: int, *arguments: object, unbuffered: str = "") -> tuple[int, str]:
    """A command that prints to this descriptor: its exit code, and stderr without progress bars.

    The descriptor is closed.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    try:
        done = subprocess.run([*COMMAND, *map(str, arguments)], text=True, timeout=120,
                              stdout=stdout, stderr=subprocess.PIPE, env=environment)
    finally:
        os.close(stdout)
    lines = done.stderr.replace("\r", "\n").splitlines()
    return done.returncode, "\n".join(line for line in lines if line.strip() and "|" not in line)


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@ONLY_POSIX
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["elbo", "RUN", "--n", "3"],
                                       ["sample", "RUN", "--n", "2", "--out", "OUT.npy"]])
def test_a_closed_pipe_ends_a_command_quietly(whole, tmp_path, arguments, unbuffered):
    """As in `python -m tinyddpm elbo RUN | head -1`; 141 is what a shell reports of SIGPIPE."""
    names = {"RUN": whole, "OUT.npy": tmp_path / "x.npy"}
    arguments = [names.get(name, name) for name in arguments]
    assert run_with(closed_pipe(), *arguments, unbuffered=unbuffered) == (141, "")


@ONLY_POSIX
def test_a_closed_pipe_ends_help_quietly():
    assert run_with(closed_pipe(), "elbo", "--help") == (141, "")


@ONLY_POSIX
def test_a_training_whose_bar_nobody_reads_keeps_its_steps(tmp_path):
    """As in `train … 2>&1 | head -1`: it ends, with a checkpoint."""
    command = [*COMMAND, "train", *SETTINGS, "--steps", "1000000", "--out", tmp_path / "run"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    shown = b""
    while shown.count(b"\r") < 3:  # the bar was drawn and has moved
        shown += os.read(process.stderr.fileno(), 1000)
    process.stderr.close()
    assert process.wait(timeout=120) == 141
    assert runs.load(tmp_path / "run")[0].state.step > 0


def test_a_closed_pipe_in_the_middle_of_a_training(tmp_path):
    """The checkpoint is of the step where the bar could not be moved."""
    class Bar:
        n = 0

        def update(self, count):
            self.n += count
            if self.n == 17:
                raise BrokenPipeError

        def set_postfix(self, **values):
            pass

    dataset = runs.open_data("moons")
    run, rng = runs.start(dataset, batch=8, steps=40, network=dict(width=8, depth=1))
    with pytest.raises(BrokenPipeError), folder.locked(tmp_path / "run", new=True):
        fit.fit(run, dataset, rng, tmp_path / "run", Bar())
    assert runs.load(tmp_path / "run")[0].state.step == 17


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_to_a_full_disk_is_told_in_one_sentence(whole):
    code, printed = run_with(os.open("/dev/full", os.O_WRONLY), "elbo", whole, "--n", "3")
    assert code == 2 and printed.splitlines()[-1] == "tinyddpm: [Errno 28] No space left on device"
    assert "Exception ignored" not in printed


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), AttributeError("x"),
                                   KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["train_with_bar", "save"])
def test_a_failure_before_training_leaves_nothing(tmp_path, monkeypatch, error, name):
    """No folder that was made, no lock, no other file; what was there before stays."""
    def fails(*args, **options):
        if name == "save":
            (tmp_path / "a" / "run" / "held_out.npy").write_bytes(b"half a run")
        raise error

    module = {"train_with_bar": "tinyddpm.app.commands", "save": "tinyddpm.app.fit"}[name]
    monkeypatch.setattr(f"{module}.{name}", fails)
    for exists in (False, True):
        if exists:
            (tmp_path / "a" / "run").mkdir(parents=True)
        with pytest.raises((SystemExit, AttributeError)):
            main(["train", *SETTINGS, "--out", str(tmp_path / "a" / "run")])
        assert list(tmp_path.rglob("*")) == exists * [tmp_path / "a", tmp_path / "a" / "run"]


def test_a_failure_of_the_loser_leaves_the_winner_its_lock(tmp_path):
    """Of two processes that want one new folder, the second removes nothing."""
    with folder.locked(tmp_path / "run", new=True):
        with pytest.raises(ValueError, match="by another process"):
            with folder.locked(tmp_path / "run", new=True):
                pass
        assert (tmp_path / "run" / "lock").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "log.csv").write_text("a file of the user")
    with pytest.raises(OSError), folder.locked(tmp_path / "mine", new=True):
        raise OSError
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["log.csv"]
