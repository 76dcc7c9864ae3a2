"""The test suite, installed as users install it, under other versions of Python and NumPy.

    python tests/tools/versions.py                 # every Python here, sdist and wheel: an hour
    python tests/tools/versions.py --pairs 3.10:1.26 3.13:2.4 3.10:lowest -- tests/laws

builds the sdist and the wheel, and installs each in a fresh environment of each Python.  There it
runs the command `tinyddpm` and the tests of the unpacked sdist, and prints a table.  A pair is
PYTHON, with the newest NumPy, or PYTHON:NUMPY, or PYTHON:lowest, with every requirement at its
lower bound.  Pythons are searched on the PATH and among pyenv's; 3.14t is the free-threaded one.
What follows -- goes to pytest.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from email import message_from_string
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.14t"]
FOLDERS = ("tinyddpm", "tests", "demos", ".ci")
BINARIES = "Scripts" if os.name == "nt" else "bin"
# Old versions use what newer ones of their own requirements call deprecated.
WITH_LOWEST = ["-W", "ignore::DeprecationWarning"]


def find(version):
    """The interpreter of that version, or None."""
    built = (Path.home() / ".pyenv" / "versions").glob(f"{version.rstrip('t')}.*/bin/python")
    pyenv = [path for path in sorted(built)
             if path.parents[1].name.endswith("t") == version.endswith("t")]
    return pyenv[-1] if pyenv else shutil.which(f"python{version}")


def build(scratch):
    """The paths of an sdist and a wheel, made from a copy of the repository; the sdist unpacked."""
    source = scratch / "source"
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, source / name,
                        ignore=shutil.ignore_patterns("__pycache__", "*-out"))
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    python = environment(sys.executable, scratch / "builder")
    subprocess.run([python, "-m", "pip", "install", "-q", "build"], check=True)
    subprocess.run([python, "-m", "build", "--outdir", scratch, source], check=True,
                   stdout=subprocess.DEVNULL)
    files = {"sdist": next(scratch.glob("*.tar.gz")), "wheel": next(scratch.glob("*.whl"))}
    with tarfile.open(files["sdist"]) as archive:
        archive.extractall(scratch, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    return files, scratch / files["sdist"].name.removesuffix(".tar.gz")


def environment(interpreter, folder):
    """The Python of a fresh virtual environment."""
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    return folder / BINARIES / "python"


def lowest(unpacked):
    """The requirements, and those of the tests, each at its lower bound."""
    metadata = message_from_string((unpacked / "PKG-INFO").read_text(encoding="utf-8"))
    required = [text for text in metadata.get_all("Requires-Dist")
                if "extra" not in text or re.search(r"extra == .test", text)]
    return [text.partition(";")[0].strip().replace(">=", "==") for text in required]


def outcome(interpreter, numpy, what, file, unpacked, arguments):
    """The last line that pytest prints, or why it could not run."""
    with tempfile.TemporaryDirectory() as scratch:
        python = environment(interpreter, Path(scratch) / "venv")
        versions = {None: [], "lowest": lowest(unpacked)}.get(numpy, [f"numpy=={numpy}.*"])
        install = subprocess.run(
            [python, "-m", "pip", "install", "-q", "--only-binary",
             "numpy,scipy,matplotlib,pillow,contourpy,kiwisolver,fonttools",
             f"{file}[test]", *versions], capture_output=True, text=True)
        if install.returncode:
            reasons = [line for line in install.stderr.splitlines() if line.startswith("ERROR")]
            return f"no installation: {(reasons or [install.stderr])[-1]}"
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"cwd": scratch, "capture_output": True, "text": True,
                    "env": {**os.environ, "PATH": path}}
        command = subprocess.run([python.with_name("tinyddpm"), "--quick"], **settings)
        if command.returncode:
            return f"tinyddpm --quick failed: {command.stderr.strip().splitlines()[-1]}"
        # A copy for each suite, because a test may write in its folder.
        settings["cwd"] = shutil.copytree(unpacked, Path(scratch) / unpacked.name)
        options = WITH_LOWEST if numpy == "lowest" else []
        suite = subprocess.run([python.with_name("pytest"), "-q", "-p", "no:cacheprovider",
                                *options, *arguments], **settings)
        log = Path(tempfile.gettempdir()) / f"{what}-python-{interpreter_name(python)}.log"
        log.write_text(suite.stdout + suite.stderr)
        last = (suite.stdout.strip().splitlines() or ["nothing was printed"])[-1]
        return re.sub(r" in [\d.]+s.*| ?=+ ?", "", last)


def interpreter_name(python):
    """Such as 3.13.0-numpy-2.4.6."""
    code = "import sys, numpy; print(sys.version.split()[0] + '-numpy-' + numpy.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def main(pairs, kinds, arguments):
    print(f"{'Python':8}{'NumPy':8}{'from':7}pytest {' '.join(arguments)}", flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        files, unpacked = build(Path(scratch))
        for pair in pairs:
            python, _, numpy = pair.partition(":")
            interpreter = find(python)
            for what in kinds:
                if interpreter is None:
                    line = "no such Python here"
                else:
                    line = outcome(interpreter, numpy or None, what, files[what], unpacked,
                                   arguments)
                outcomes.append(line)
                print(f"{python:8}{numpy or 'newest':8}{what:7}{line}", flush=True)
    return not any("failed" in line or "error" in line or "no installation" in line
                   for line in outcomes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="*", metavar="PYTHON[:NUMPY]",
                        default=[*PYTHONS, "3.10:lowest"])
    parser.add_argument("--from", nargs="*", dest="kinds", default=["sdist", "wheel"],
                        choices=["sdist", "wheel"])
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="for pytest")
    options = parser.parse_args()
    sys.exit(0 if main(options.pairs, options.kinds, options.arguments) else 1)
