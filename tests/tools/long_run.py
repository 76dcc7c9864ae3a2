"""A long training: does its memory stay the same, and is every number finite?

    python tests/tools/long_run.py --minutes 30

trains on the shipped digits by the command line, and measures the process's memory twenty times.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tinyddpm.app import data, run as runs
from tinyddpm.network.weights import expected_norm


def megabytes(process: subprocess.Popen) -> float:
    """The memory that the process uses now."""
    command = ["ps", "-o", "rss=", "-p", str(process.pid)]
    kilobytes = subprocess.run(command, capture_output=True, text=True).stdout
    return int(kilobytes or 0) / 1024


def main(minutes: float, looks: int = 20) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        folder, memory, began = Path(scratch) / "run", [], time.monotonic()
        command = [sys.executable, "-W", "error", "-m", "tinyddpm", "train", "--data", "mnist",
                   "--minutes", str(minutes), "--out", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for look in range(1, looks + 1):
            at = began + 60 * minutes * look / (looks + 1)
            time.sleep(max(0, at - time.monotonic()))
            memory.append(megabytes(process))
            passed = (time.monotonic() - began) / 60
            print(f"{passed:5.1f} minutes  {memory[-1]:6.0f} MB", flush=True)
        if process.wait():
            sys.exit("the training failed")
        log = data.load(folder / "log.csv")  # ValueError, here and below: a number is not finite
        run, _ = runs.load(folder)
    growth = np.linalg.norm(run.state.weights) / expected_norm(run.network.layout)
    first, last = np.mean(memory[:5]), np.mean(memory[-5:])
    print(f"{run.state.step} steps, every number finite; "
          f"loss {log[:10, 1].mean():.3f} to {log[-10:, 1].mean():.3f}; "
          f"the weights have {growth:.2f} times their first norm; "
          f"memory in the last quarter {last / first:.2f} times that of the first")
    return bool(last < 1.1 * first)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    sys.exit(0 if main(parser.parse_args().minutes) else 1)
