"""Trainings that are killed again and again, at random moments, and resumed: do they end with the same bytes?

    python tests/tools/kill_resume.py --kills 50

SIGKILL leaves no time for last words, so what a run folder holds at that moment must be enough.  The suite does this
twice (test_survival.py).
"""
import argparse
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = ["--data", "moons", "--steps", "60", "--batch", "8", "--width", "8", "--depth", "1", "--T", "6"]


def train(*arguments):
    return subprocess.Popen([sys.executable, "-m", "tinyddpm", "train", *map(str, arguments)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(*arguments):
    process = train(*arguments)
    message = process.communicate()[1]
    assert process.returncode == 0, message


def contents(folder):
    """{name: bytes} of a run's files, the seconds in its log left out."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files["log.csv"] = [line.rpartition(b",")[0] for line in files["log.csv"].splitlines()]
    return files


def kill_and_resume(folder, kills, chance, patience=3.0, settings=SETTINGS):
    """Train in the folder, kill that `kills` times or until it comes to its end, finish it.

    A checkpoint is written after every step, so that the moment of the kill is often one of writing.
    Returns the kills, those after the process had written a checkpoint, and those amid the writing of a file.
    """
    done = in_training = in_writing = 0
    for _ in range(kills):
        begun, left = (folder / "settings.json").exists(), set(folder.glob("*.partial"))
        process = train(*["--resume", folder] if begun else [*settings, "--out", folder], "--save-every", 1e-3)
        before = (folder / "checkpoint.npz").stat().st_mtime_ns if begun else 0
        try:
            process.wait(chance.uniform(0, patience))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        message = process.communicate()[1]
        assert process.returncode in (0, -signal.SIGKILL), message
        if process.returncode == 0:
            break
        done += 1
        if (folder / "settings.json").exists():
            in_training += (folder / "checkpoint.npz").stat().st_mtime_ns > before
        else:  # killed before there was a run
            for path in folder.glob("*"):
                path.unlink()
        in_writing += bool(set(folder.glob("*.partial")) - left)
    finish("--resume", folder) if (folder / "settings.json").exists() else finish(*settings, "--out", folder)
    return done, in_training, in_writing


def main(kills, seed):
    chance, all_same = random.Random(seed), True
    for name, settings, kills in (("points", [*SETTINGS, "--steps", "100000"], kills),
                                  ("digits", [*SETTINGS, "--data", "mnist", "--steps", "3000"], -(-kills // 5))):
        with tempfile.TemporaryDirectory() as scratch:
            whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
            finish(*settings, "--out", whole)
            done, in_training, in_writing = kill_and_resume(killed, kills, chance, settings=settings)
            same = contents(killed) == contents(whole)
        print(f"{name}: {done} kills, {in_training} of them after a checkpoint of that process, {in_writing} while a file was "
              f"being written; at the end every byte is {'the same' if same else 'NOT the same'}", flush=True)
        all_same &= same
    return all_same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of a training on points; a fifth as many of one on digits")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.kills, arguments.seed) else 1)
