"""The test suite under other versions of Python and NumPy, each pair in an environment of its own.

    python tests/tools/versions.py                 # all pairs, the whole suite: hours
    python tests/tools/versions.py --pairs 3.10:1.26 3.13:2.4 -- tests/laws

prints a table.  Pythons are searched on the PATH and among pyenv's.  What follows -- goes to
pytest.
"""
import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
NUMPYS = ["1.26", "2.0", "2.1", "2.2", "2.3", "2.4"]


def find(version):
    """The interpreter of that version, or None."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return pyenv[-1] if pyenv else shutil.which(f"python{version}")


def outcome(python, numpy, arguments):
    """The last line that pytest prints, or why it could not run."""
    interpreter = find(python)
    if interpreter is None:
        return "no such Python here"
    with tempfile.TemporaryDirectory() as scratch:
        environment = Path(scratch) / "venv"
        subprocess.run([interpreter, "-m", "venv", environment], check=True)
        binaries = environment / ("Scripts" if os.name == "nt" else "bin")
        install = subprocess.run(
            [binaries / "pip", "install", "-q", "--only-binary", "numpy,scipy,matplotlib,pillow",
             "-e", f"{REPOSITORY}[test]", f"numpy=={numpy}.*"], capture_output=True)
        if install.returncode:
            return "no such NumPy for it"
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        suite = subprocess.run(
            [binaries / "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=REPOSITORY,
            capture_output=True, text=True, env={**os.environ, "PATH": path})
        log = Path(tempfile.gettempdir()) / f"python-{python}-numpy-{numpy}.log"
        log.write_text(suite.stdout + suite.stderr)
        last = (suite.stdout.strip().splitlines() or ["nothing was printed"])[-1]
        return re.sub(r" in [\d.]+s.*| ?=+ ?", "", last)


def main(pairs, arguments):
    print(f"{'Python':8}{'NumPy':8}pytest {' '.join(arguments)}", flush=True)
    outcomes = []
    for python, numpy in pairs:
        outcomes.append(outcome(python, numpy, arguments))
        print(f"{python:8}{numpy:8}{outcomes[-1]}", flush=True)
    return not any("failed" in line or "error" in line for line in outcomes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="*", metavar="PYTHON:NUMPY")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="for pytest")
    options = parser.parse_args()
    pairs = [pair.split(":") for pair in options.pairs or []]
    all_pairs = list(itertools.product(PYTHONS, NUMPYS))
    sys.exit(0 if main(pairs or all_pairs, options.arguments) else 1)
