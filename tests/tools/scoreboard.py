"""Which law does each implementation obey?

    python tests/tools/scoreboard.py                # tinyddpm, and the libraries that are installed
    python tests/tools/scoreboard.py homework.py    # yours

prints a table in Markdown with one row for each law, and below it each failure with its smallest
case.  "round-off" and "float32" are computed verdicts.  A broken law has the verdict that
NAME.known gives it, `law: verdict: reason`, or "broken".
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
EVERYBODY = ["tinyddpm", "diffusers", "denoising_diffusion_pytorch", "smalldiffusion",
             "improved_diffusion"]


def try_one(name):
    """What `python tests/laws NAME --json` tells, in a process of its own; None if it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        done = subprocess.run([sys.executable, TESTS / "laws", name, "--json", told],
                              capture_output=True, text=True, encoding="utf-8")
        if not told.is_file():
            print(f"{name}: {done.stderr.strip()}", file=sys.stderr)
            return None
        return {**json.loads(told.read_text(encoding="utf-8")),
                "count": done.stdout.strip().splitlines()[-1]}


def words(law):
    return law.removeprefix("test_").replace("_", " ")


def cell(law):
    """The verdict in a word, and for a known failure the word that its .known file has for it."""
    if law["verdict"] == "known":
        return f"**{law['known'].split(': ')[0]}**"
    if law["verdict"] == "round-off" and "float32" in law["why"]:
        return "float32"
    return {"missing": "–", "broken": "**broken**"}.get(law["verdict"], law["verdict"])


def print_table(reports):
    """The rows of laws; those that every report lacks are left out."""
    print("| law | " + " | ".join(reports) + " |")
    print("|---|" + "---|" * len(reports))
    for row in zip(*(told["laws"] for told in reports.values())):
        if any(law["verdict"] != "missing" for law in row):
            title = f"{row[0]['section'][0]}: {words(row[0]['law'])}"
            print(f"| {title} | " + " | ".join(map(cell, row)) + " |")


def print_failures(name, told):
    """The count, and each failure with its smallest case."""
    print(f"\n**{name}**: {told['count']}\n")
    for law in told["laws"]:
        if law["verdict"] in ("known", "broken"):
            reason = law.get("known", "not explained in its .known file")
            print(f"* {words(law['law'])} ({reason})  ")
            case = law.get("smallest", {}).get("case")
            found = f"{law['why']} for {case}" if case else law["why"]
            print(f"  `{' '.join(found.split())[:250]}`")


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
