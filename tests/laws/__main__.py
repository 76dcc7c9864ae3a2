"""Hold your DDPM against the laws, and read what is broken and why.

    python tests/laws homework.py                 # your file, or a name in tests/implementations
    python tests/laws homework.py --json out.json # for machines, too
    python tests/laws --new homework.py           # writes a file to fill in

It ends with 0 if nothing is broken, with 1 if a law is, and with 2 if there is nothing to try.
"""
import argparse
import json
import os
import sys
from pathlib import Path

import implementation
import pytest
import report
from conftest import find

LAWS = Path(__file__).parent


def parse():
    parser = argparse.ArgumentParser(prog="python tests/laws", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="your file, or a name in tests/implementations")
    parser.add_argument("--new", metavar="FILE", type=Path, help="write the interface to this file")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the verdicts to this file")
    parser.add_argument("--exact", action="store_true", help="round-off counts as broken")
    parser.add_argument("--examples", metavar="FACTOR", default="1", help="draw more cases")
    parser.add_argument("--draws", metavar="SEED", help="draw other cases")
    arguments = parser.parse_args()
    if (arguments.file is None) == (arguments.new is None):
        parser.error("name the file to try, or a new one with --new FILE")
    return arguments


def stop(sentence):
    print(sentence, file=sys.stderr)
    sys.exit(2)


def write_new(path):
    """A copy of the interface, that counts as an implementation without functions."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write((LAWS / "interface.py").read_text(encoding="utf-8"))
    except FileExistsError:
        stop(f"{path} is there already: name a new file")
    except OSError as error:
        stop(f"{path} cannot be written: {error.strerror}")
    print(f"{path}: fill in what you have, and try it with: python tests/laws {path}")


def check_loads(name):
    """The module, or one sentence and exit 2."""
    path = find(name)
    if not path.is_file():
        stop(f"{path} is no file: name a .py file, or one of tests/implementations")
    try:
        return implementation.load(path)
    except Exception as error:
        stop(f"{path} cannot be imported: {type(error).__name__}: {error}")


def main():
    arguments = parse()
    if arguments.new:
        write_new(arguments.new)
        return 0
    module = check_loads(arguments.file)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    told = report.Report(module, colour)
    options = ["--implementation", arguments.file, "--examples", arguments.examples,
               "-p", "no:terminal", "-p", "no:cacheprovider"]
    options += ["--exact"] * arguments.exact
    options += ["--draws", arguments.draws] if arguments.draws else []
    pytest.main([str(LAWS), *options], plugins=[told])
    told.finish()
    if arguments.json:
        text = json.dumps(told.as_dict(), indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 1 if told.of(report.BROKEN) else 0


if __name__ == "__main__":
    sys.exit(main())
