"""The suite under every Python and NumPy that can be had: builds a virtual environment for each pair, prints a table.

    python tests/tools/versions.py                                   # all pairs, the whole suite: hours
    python tests/tools/versions.py --pairs 3.10:1.26 3.13:2.4 -- tests/laws tests/unit/test_contracts.py

Pythons are looked for on the PATH and among pyenv's.  What follows -- goes to pytest.
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
PYTHONS, NUMPYS = ["3.10", "3.11", "3.12", "3.13", "3.14"], ["1.26", "2.0", "2.1", "2.2", "2.3", "2.4"]


def find(version):
    """The interpreter of that version, or None."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return pyenv[-1] if pyenv else shutil.which(f"python{version}")


def outcome(python, numpy, arguments):
    """What became of the suite, in a word or a line."""
    interpreter = find(python)
    if interpreter is None:
        return "no such Python here"
    with tempfile.TemporaryDirectory() as scratch:
        environment = Path(scratch) / "venv"
        subprocess.run([interpreter, "-m", "venv", environment], check=True)
        binaries = environment / ("Scripts" if os.name == "nt" else "bin")
        install = subprocess.run([binaries / "pip", "install", "-q", "--only-binary", "numpy,scipy,matplotlib,pillow", "-e",
                                  f"{REPOSITORY}[test]", f"numpy=={numpy}.*"], capture_output=True, text=True)
        if install.returncode:
            return "no such NumPy for it"
        run = subprocess.run([binaries / "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=REPOSITORY, capture_output=True, text=True,
                             env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"})
        (Path(tempfile.gettempdir()) / f"python-{python}-numpy-{numpy}.log").write_text(run.stdout + run.stderr)
        last = (run.stdout.strip().splitlines() or ["nothing was printed"])[-1]
        return re.sub(r" in [\d.]+s.*| ?=+ ?", "", last)


def main(pairs, arguments):
    print(f"{'Python':8}{'NumPy':8}pytest {' '.join(arguments)}", flush=True)
    outcomes = []
    for python, numpy in pairs:
        outcomes.append(outcome(python, numpy, arguments))
        print(f"{python:8}{numpy:8}{outcomes[-1]}", flush=True)
    return not any("failed" in line or "error" in line for line in outcomes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="*", metavar="PYTHON:NUMPY")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="for pytest")
    options = parser.parse_args()
    chosen = [pair.split(":") for pair in options.pairs] if options.pairs else itertools.product(PYTHONS, NUMPYS)
    sys.exit(0 if main(chosen, options.arguments) else 1)
