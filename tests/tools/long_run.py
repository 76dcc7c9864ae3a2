"""A long training: is its memory flat, and every number finite?

    python tests/tools/long_run.py --minutes 30

trains on the shipped digits by the command line and looks at the process's memory twenty times.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tinyddpm.app import data
from tinyddpm.app import run as runs


def megabytes(process):
    """What the process has in memory now."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, text=True).stdout or 0) / 1024


def main(minutes, looks=20):
    with tempfile.TemporaryDirectory() as scratch:
        folder, curve, began = Path(scratch) / "run", [], time.monotonic()
        process = subprocess.Popen([sys.executable, "-W", "error", "-m", "tinyddpm", "train", "--data", "mnist", "--minutes", str(minutes),
                                    "--out", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for look in range(1, looks + 1):
            time.sleep(max(0, began + 60 * minutes * look / (looks + 1) - time.monotonic()))
            curve.append(megabytes(process))
            print(f"{(time.monotonic() - began) / 60:5.1f} minutes  {curve[-1]:6.0f} MB", flush=True)
        if process.wait():
            sys.exit("the training failed")
        log, state = data.load(folder / "log.csv"), runs.load(folder)[0].state  # each refuses a number that is not finite
        start = runs.load(folder)[0].network.init(np.random.default_rng(0))
        growth = np.linalg.norm(state.weights) / np.linalg.norm(runs.training.pack(start))
    first, last = np.mean(curve[:5]), np.mean(curve[-5:])
    print(f"{state.step} steps, every number finite; loss {log[:10, 1].mean():.3f} to {log[-10:, 1].mean():.3f}; the weights have "
          f"{growth:.2f} times their first size; memory in the last quarter {last / first:.2f} times that of the first")
    return last < 1.1 * first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    sys.exit(0 if main(parser.parse_args().minutes) else 1)
