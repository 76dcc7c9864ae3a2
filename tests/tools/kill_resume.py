"""Kill trainings at random moments, resume them, and compare the bytes at the end.

    python tests/tools/kill_resume.py --kills 50
    python tests/tools/kill_resume.py --kills 50 --ranks 2     # one of two ranks is killed, by MPI

A process cannot react to SIGKILL, so what its run folder holds at that moment must be enough to
continue.  The suite does the same with two kills (test_survival.py).
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tinyddpm.app.ranks import mpiexec

SETTINGS = ["--data", "moons", "--steps", "60", "--batch", "8", "--width", "8", "--depth", "1",
            "--T", "6"]


def start_training(*arguments: object, ranks: int = 1) -> subprocess.Popen:
    command = [sys.executable, "-m", "tinyddpm", "train", *map(str, arguments)]
    if ranks > 1:
        command = [str(mpiexec()), "-n", str(ranks), *command]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def ranks_in(folder: Path) -> list[int]:
    """The ids of the ranks that train in the folder, from Linux' list of processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if words[1:3] == ["-m", "tinyddpm"] and str(folder) in words:
            found.append(int(path.parent.name))
    return sorted(found)


def finish(folder: Path, settings: list[str], ranks: int = 1) -> None:
    """Train in the folder to the end, from its checkpoint if it has a run."""
    process = start_training(*begin_or_resume(folder, settings), ranks=ranks)
    message = process.communicate()[1]
    assert process.returncode == 0, message


def begin_or_resume(folder: Path, settings: list[str]) -> list[object]:
    if has_run(folder):
        return ["--resume", folder]
    return [*settings, "--out", folder]


def has_run(folder: Path) -> bool:
    return (folder / "settings.json").exists()


def contents(folder: Path) -> dict[str, object]:
    """{name: bytes} of a run's files, and the log without its seconds."""
    files: dict[str, object] = {path.name: path.read_bytes() for path in folder.iterdir()}
    lines = (folder / "log.csv").read_bytes().splitlines()
    files["log.csv"] = [line.rpartition(b",")[0] for line in lines]
    return files


def kill_and_resume(folder: Path, kills: int, chance: random.Random, patience: float = 3.0,
                    settings: list[str] = SETTINGS, ranks: int = 1) -> tuple[int, int, int]:
    """Train in the folder, kill the process `kills` times or until it has finished, then finish it.

    patience: a process is killed after at most so many seconds.  A checkpoint is written after
    every step, so many kills come while a file is being written.
    Returns the number of kills, of those after a checkpoint of the killed process, and of those
    while a file was being written.
    """
    done = in_training = in_writing = 0
    for _ in range(kills):
        begun, left = has_run(folder), set(folder.glob("*.partial"))
        before = (folder / "checkpoint.npz").stat().st_mtime_ns if begun else 0
        process = start_training(*begin_or_resume(folder, settings), "--save-every", 1e-3,
                                 ranks=ranks)
        try:
            process.wait(chance.uniform(0, patience))
        except subprocess.TimeoutExpired:
            victims = ranks_in(folder) if ranks > 1 else []
            os.kill(chance.choice(victims or [process.pid]), signal.SIGKILL)
        message = process.communicate()[1]
        assert ranks > 1 or process.returncode in (0, -signal.SIGKILL), message
        if process.returncode == 0:
            break
        done += 1
        in_writing += bool(set(folder.glob("*.partial")) - left)
        if has_run(folder):
            in_training += (folder / "checkpoint.npz").stat().st_mtime_ns > before
        else:  # `train --out` takes a folder that is new or empty
            for path in folder.glob("*"):
                path.unlink()
    finish(folder, settings, ranks)
    return done, in_training, in_writing


def main(kills: int, seed: int, ranks: int) -> bool:
    chance, all_same = random.Random(seed), True
    points = [*SETTINGS, "--steps", "100000"]
    digits = [*SETTINGS, "--data", "mnist", "--steps", "3000"]
    a_fifth = -(-kills // 5)
    for name, settings, most in (("points", points, kills), ("digits", digits, a_fifth)):
        with tempfile.TemporaryDirectory() as scratch:
            whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
            finish(whole, settings)
            done, in_training, in_writing = kill_and_resume(
                killed, most, chance, settings=settings, ranks=ranks)
            same = contents(killed) == contents(whole)
        print(f"{name}: {done} kills, {in_training} of them after a checkpoint of that process, "
              f"{in_writing} while a file was being written; "
              f"at the end every byte is {'the same' if same else 'NOT the same'}", flush=True)
        all_same &= same
    return all_same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50,
                        help="of a training on points; a fifth as many of one on digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.kills, arguments.seed, arguments.ranks) else 1)
