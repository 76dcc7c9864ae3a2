"""What differs on Windows, simulated: files that other programs hold, consoles, signals, locks."""
import errno
import io
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kill_resume import SETTINGS, contents

from tinyddpm.app import files
from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main
from tinyddpm.network.threads import one_blas_thread

replace = os.replace


@pytest.fixture
def windows(monkeypatch):
    """sys.platform, and msvcrt in place of fcntl; time.sleep takes no time and is counted."""
    locks, slept = {}, []

    def locking(descriptor, mode, count):
        place = os.fstat(descriptor).st_ino
        if locks.get(place) not in (None, descriptor):
            raise PermissionError(errno.EACCES, "Permission denied")
        locks[place] = descriptor

    with one_blas_thread():  # threadpoolctl finds BLAS before the platform is changed
        monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    return slept


def hold(monkeypatch, name, times):
    """os.replace fails so many times for a file of that name, as while Excel has it open."""
    count = itertools.count()

    def refused(source, target):
        if Path(target).name == name and Path(target).exists() and next(count) < times:
            raise PermissionError(errno.EACCES, "Access is denied", source, 5, target)
        return replace(source, target)
    monkeypatch.setattr(os, "replace", refused)


def test_a_file_held_for_a_moment_is_replaced(windows, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    hold(monkeypatch, "x", 5)
    files.replace(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    assert len(windows) == 5 and windows == sorted(windows) and sum(windows) < 2


def test_a_file_that_stays_held_is_told_with_what_to_do(windows, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    hold(monkeypatch, "x", 10 ** 6)
    with pytest.raises(PermissionError, match="kept; close the program that has the file open"):
        files.replace(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    assert 10 <= sum(windows) < 20


def test_on_other_systems_a_refusal_is_told_at_once(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waits"))
    hold(monkeypatch, "x", 10 ** 6)
    with pytest.raises(PermissionError) as error:
        files.replace(tmp_path / "x", lambda file: file.write(b"new"))
    assert "Excel" not in str(error.value)


def test_a_held_log_does_not_stop_a_training(windows, tmp_path, monkeypatch, recwarn):
    """One warning; the checkpoints are written; the whole log is written once it is free."""
    main(["train", *SETTINGS, "--out", str(tmp_path / "whole")])
    whole = contents(tmp_path / "whole")
    hold(monkeypatch, "log.csv", 200)
    options = [*SETTINGS, "--save-every", "0.0001"]
    main(["train", *options, "--out", str(tmp_path / "run")])
    messages = {str(warning.message) for warning in recwarn}
    assert len(messages) == 1 and "log.csv is not written, but the checkpoint is" in messages.pop()
    assert contents(tmp_path / "run") == whole


def test_the_warning_is_printed_once_and_the_run_is_whole(tmp_path):
    """In a process of its own, with Python's own filter of warnings; the log is never free."""
    code = """if True:
        import os, shutil, subprocess, sys, time, tqdm  # before the platform is changed
        import matplotlib.figure
        from pathlib import Path
        from tinyddpm.app.command_line import main
        from tinyddpm.network.threads import one_blas_thread
        with one_blas_thread():
            sys.platform, replace, time.sleep = "win32", os.replace, lambda seconds: None
        sys.modules["msvcrt"] = type(sys)("msvcrt")
        sys.modules["msvcrt"].LK_NBLCK, sys.modules["msvcrt"].locking = 2, lambda *options: None
        def refused(source, target):
            if Path(target).name == "log.csv" and Path(target).exists():
                raise PermissionError(13, "Access is denied")
            replace(source, target)
        os.replace = refused
        main(sys.argv[1:])
    """
    done = subprocess.run([sys.executable, "-c", code, "train", *SETTINGS, "--out",
                           tmp_path / "run", "--save-every", "0.0001"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("log.csv is not written") == 1
    assert runs.load(tmp_path / "run")[0].state.step == 60


def test_a_held_checkpoint_keeps_the_last_one(windows, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    main(["train", *SETTINGS, "--out", str(run)])
    before = contents(run)
    hold(monkeypatch, "checkpoint.npz", 10 ** 6)
    with pytest.raises(SystemExit) as error:
        main(["train", "--resume", str(run), "--steps", "70"])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2 and "close the program" in message and str(run) in message
    assert contents(run)["checkpoint.npz"] == before["checkpoint.npz"]


def test_locks_without_fcntl(windows, tmp_path):
    with runs.locked(tmp_path / "run", new=True):
        with pytest.raises(ValueError, match="by another process"):
            with runs.locked(tmp_path / "run", new=True):
                pass


def test_the_end_of_a_console_acts_like_ctrl_c(windows, tmp_path, monkeypatch):
    """Windows sends SIGBREAK where others send SIGHUP."""
    monkeypatch.setattr(signal, "SIGBREAK", getattr(signal, "SIGUSR1", 30), raising=False)
    during = []
    monkeypatch.setattr(runs, "fit", lambda run, *rest: during.append(
        signal.getsignal(signal.SIGBREAK)) or run)
    main(["train", *SETTINGS, "--out", str(tmp_path / "run")])
    with pytest.raises(KeyboardInterrupt):
        during[0](signal.SIGBREAK, None)
    assert signal.getsignal(signal.SIGBREAK) == signal.SIG_DFL


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_a_console_without_unicode(tmp_path, monkeypatch, encoding):
    """What it cannot print is a question mark; bars are of ASCII characters."""
    printed = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", printed[0])
    monkeypatch.setattr(sys, "stderr", printed[1])
    points = np.random.default_rng(0).standard_normal((50, 2))
    np.save(tmp_path / "\u0141\u014d\u015b.npy", points)
    main(["train", *SETTINGS, "--data", str(tmp_path / "\u0141\u014d\u015b.npy"),
          "--out", str(tmp_path / "\u03b5")])
    main(["sample", str(tmp_path / "\u03b5"), "--n", "3"])
    main(["elbo", str(tmp_path / "\u03b5"), "--n", "3"])
    with pytest.raises(SystemExit):
        main(["elbo", str(tmp_path / "no \u03b2")])
    assert [stream.errors for stream in printed] == ["strict", "strict"]
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in printed)
    assert "-ELBO" in out and "training: 100%" in err and "#" in err and "no ?" in err
