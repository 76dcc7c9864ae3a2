"""Which law does each implementation obey?

    python tests/tools/scoreboard.py                # tinyddpm, and the libraries that are installed
    python tests/tools/scoreboard.py homework.py    # yours

prints a table in Markdown with one row for each law, and below it each failure with its smallest
case.  "round-off" and "float32" are computed verdicts.  A broken law has the verdict that
NAME.known gives it, `law: verdict: reason`, or "broken".
"""
import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "laws"))
from conftest import find  # noqa: E402
from implementation import load  # noqa: E402
from judge import BROKEN, HOLDS, MISSING, ROUND_OFF, describe  # noqa: E402
from report import KNOWN, Report, words  # noqa: E402

EVERYBODY = ["tinyddpm", "diffusers", "denoising_diffusion_pytorch", "smalldiffusion",
             "improved_diffusion"]


def try_one(name):
    """The Report of one implementation, or None where its library is not installed."""
    try:
        told = Report(load(find(name)), colour=False)
    except ModuleNotFoundError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    options = ["--implementation", name, "-p", "no:terminal", "-p", "no:cacheprovider"]
    with redirect_stdout(io.StringIO()):
        pytest.main([str(TESTS / "laws"), *options], plugins=[told])
    return told


def cell(entry):
    """The verdict in a word, and for a known failure the word that its .known file has for it."""
    if entry.kind == KNOWN:
        return f"**{entry.known.split(': ')[0]}**"
    if entry.kind == ROUND_OFF and "float32" in entry.verdict.why:
        return "float32"
    return {HOLDS: "holds", MISSING: "–", BROKEN: "**broken**"}.get(entry.kind, entry.kind)


def print_table(reports):
    """The rows of laws; those that every report lacks are left out."""
    print("| law | " + " | ".join(reports) + " |")
    print("|---|" + "---|" * len(reports))
    for entries in zip(*(told.entries for told in reports.values())):
        if any(entry.kind != MISSING for entry in entries):
            title = f"{entries[0].section[0]}: {words(entries[0].name)}"
            print(f"| {title} | " + " | ".join(map(cell, entries)) + " |")


def print_failures(name, told):
    """The count, and each failure with its smallest case."""
    print(f"\n**{name}**: {told.count()}\n")
    for entry in told.entries:
        if entry.kind in (KNOWN, BROKEN):
            print(f"* {words(entry.name)} ({entry.known or 'not explained in its .known file'})  ")
            case = entry.verdict.smallest.case if entry.verdict.smallest else {}
            found = f"{entry.verdict.why} for {describe(case)}" if case else entry.verdict.why
            print(f"  `{found[:300]}`")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=EVERYBODY)
    arguments = parser.parse_args()
    reports = {}
    for name in arguments.names:
        print(f"{name} …", file=sys.stderr, flush=True)
        told = try_one(name)
        if told:
            reports[Path(name).stem] = told
    print_table(reports)
    for name, told in reports.items():
        print_failures(name, told)


if __name__ == "__main__":
    main()
