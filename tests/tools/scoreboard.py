"""Which law does each implementation obey?

    python tests/tools/scoreboard.py                # tinyddpm, and the libraries that are installed
    python tests/tools/scoreboard.py homework.py    # yours

prints a table in Markdown with one row for each law, and below it the smallest counterexample found
for each failure, with the verdict that NAME.known gives, `law: verdict: reason`.
"""
import argparse
import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HOLDS, LACKS = "holds", "–"


class Watch:
    """A pytest plugin that keeps each law's outcome, its section, and the failure's message."""

    def __init__(self):
        self.outcome, self.message, self.section = {}, {}, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        law = item.name.split("[")[0]
        self.section[law] = item.path.stem[5].upper()
        if report.skipped:
            self.outcome.setdefault(law, LACKS)
        elif report.failed:
            self.outcome[law] = "fails"
            self.message.setdefault(law, describe(call.excinfo.value, item))
        elif report.when == "call" and self.outcome.get(law) != "fails":
            self.outcome[law] = HOLDS
        return report


def describe(error, item):
    """The failure's first line, and the arguments that hypothesis found, or the parameters."""
    notes = "\n".join(getattr(error, "__notes__", []))
    drawn = re.search(r"^ *ddpm=[^\n]*\n(.*?)^\)", notes, re.MULTILINE | re.DOTALL)
    found = re.sub(r"#[^\n]*|data=data\(\.\.\.\),", "", drawn[1]) if drawn else ""
    found += "; ".join(re.findall(r"^Draw \d+: [^#\n]*", notes, re.MULTILINE))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    found = found or ", ".join(f"{name}={value}" for name, value in parameters.items())
    found = " ".join(found.split()).strip(" ,")
    first_line = str(error).splitlines()[0]
    return f"{first_line} for {found}" if found else first_line


def known(name):
    """{law: (verdict, reason)} of NAME.known, beside NAME.py; without a verdict it is "known"."""
    file = Path(name) if name.endswith(".py") else TESTS / "implementations" / name
    file = file.with_suffix(".known")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    verdicts = {}
    for line in lines:
        law, *rest = line.split(": ", 2)
        if rest:
            verdicts[law] = tuple(rest) if len(rest) == 2 else ("known", rest[0])
    return verdicts


def try_one(name, arguments):
    """The Watch of one implementation, or None where its library is not installed."""
    watch = Watch()
    options = ["--implementation", name, "--runxfail", "-q", "-p", "no:cacheprovider"]
    with redirect_stdout(io.StringIO()):
        pytest.main([str(TESTS / "laws"), *options, *arguments], plugins=[watch])
    return watch if set(watch.outcome.values()) != {LACKS} else None


def print_table(watches, verdicts):
    """One row for each law, one column for each implementation."""
    print("| law | " + " | ".join(watches) + " |\n|---" + "|---" * len(watches) + "|")
    sections = {}
    for watch in watches.values():
        sections |= watch.section
    for law, section in sorted(sections.items(), key=lambda pair: pair[1]):
        cells = []
        for name, watch in watches.items():
            outcome = watch.outcome.get(law, LACKS)
            if outcome == "fails":
                outcome = f"**{verdicts[name].get(law, ['fails'])[0]}**"
            cells.append(outcome)
        print(f"| {section}: {words(law)} | " + " | ".join(cells) + " |")


def print_failures(name, watch, verdicts):
    """How many laws hold and fail, and each failure with its verdict and its message."""
    outcomes = list(watch.outcome.values())
    counts = [outcomes.count(kind) for kind in (HOLDS, "fails", LACKS)]
    print(f"\n**{name}**: {counts[0]} hold, {counts[1]} fail, {counts[2]} have nothing to ask.\n")
    for law, message in sorted(watch.message.items()):
        unknown = ("fails", "not explained in its .known file")
        verdict, reason = verdicts.get(law, unknown)
        print(f"* {words(law)} (**{verdict}**: {reason})  \n  `{message[:400]}`")


def words(law):
    return law.removeprefix("test_").replace("_", " ")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    everybody = ["tinyddpm", "diffusers", "denoising_diffusion_pytorch", "smalldiffusion"]
    parser.add_argument("names", nargs="*", default=everybody)
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=["--hypothesis-seed=0"],
                        help="arguments for pytest")
    arguments = parser.parse_args()
    watches = {}
    for name in arguments.names:
        print(f"{name} …", file=sys.stderr, flush=True)
        watch = try_one(name, arguments.pytest)
        if watch:
            watches[Path(name).stem] = watch
        else:
            print(f"{name}: nothing to try, or its library is not installed", file=sys.stderr)
    verdicts = {Path(name).stem: known(name) for name in arguments.names}
    print_table(watches, verdicts)
    for name, watch in watches.items():
        print_failures(name, watch, verdicts[name])


if __name__ == "__main__":
    main()
