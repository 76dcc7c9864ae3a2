"""A long training: does its memory stay the same, and is every number finite?

    python tests/tools/long_run.py --minutes 30

trains on the shipped digits by the command line, and reads the memory of the process twenty times.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tinyddpm import load
from tinyddpm.app.run import load as load_run
from tinyddpm.network.weights import pack


def megabytes(process):
    """The memory that the process holds now."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True)
    return int(done.stdout or 0) / 1024


def memory_of_a_training(folder, minutes, readings):
    """Trains into the folder; the megabytes at evenly spread times."""
    began, curve = time.monotonic(), []
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tinyddpm", "train", "--data", "mnist",
         "--minutes", str(minutes), "--out", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for reading in range(1, readings + 1):
        due = began + 60 * minutes * reading / (readings + 1)
        time.sleep(max(0, due - time.monotonic()))
        curve.append(megabytes(process))
        passed = (time.monotonic() - began) / 60
        print(f"{passed:5.1f} minutes  {curve[-1]:6.0f} MB", flush=True)
    if process.wait():
        sys.exit("the training failed")
    return curve


def main(minutes, readings=20):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        curve = memory_of_a_training(folder, minutes, readings)
        loss = load(folder / "log.csv")[:, 1]  # load refuses a number that is not finite
        run = load_run(folder)[0]              # so does this
        start = pack(run.network.init(np.random.default_rng(0)))
    growth = np.linalg.norm(run.state.weights) / np.linalg.norm(start)
    first, last = np.mean(curve[:5]), np.mean(curve[-5:])
    print(f"{run.state.step} steps, every number finite; "
          f"loss {loss[:10].mean():.3f} to {loss[-10:].mean():.3f}; "
          f"the weights have {growth:.2f} times their first norm; "
          f"memory in the last quarter {last / first:.2f} times that of the first")
    return last < 1.1 * first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    sys.exit(0 if main(parser.parse_args().minutes) else 1)
