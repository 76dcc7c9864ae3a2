"""Who obeys which law?

    python tests/tools/scoreboard.py                       # tinyddpm and every adapter whose library is installed
    python tests/tools/scoreboard.py homework.py           # yours

prints a table in Markdown, a law a row, and below it the smallest counterexample found for each failure, with the
verdict that NAME.known gives, `law: verdict: reason`.
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
    """A pytest plugin that notes what became of each law, and the failure's own words."""

    def __init__(self):
        self.outcome, self.words, self.titles = {}, {}, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        law = item.name.split("[")[0]
        self.titles[law] = item.path.stem[5].upper()
        if report.skipped:
            self.outcome.setdefault(law, LACKS)
        elif report.failed:
            self.outcome[law] = "fails"
            self.words.setdefault(law, self._told(call.excinfo.value, item))
        elif report.when == "call" and self.outcome.get(law) != "fails":
            self.outcome[law] = HOLDS
        return report

    @staticmethod
    def _told(error, item):
        """The failure's first line, and what hypothesis found, or the parameters, that brought it about."""
        notes = "\n".join(getattr(error, "__notes__", []))
        drawn = re.search(r"^ *ddpm=[^\n]*\n(.*?)^\)", notes, re.MULTILINE | re.DOTALL)
        found = re.sub(r"#[^\n]*|data=data\(\.\.\.\),", "", drawn[1]) if drawn else ""
        found += "; ".join(re.findall(r"^Draw \d+: [^#\n]*", notes, re.MULTILINE))
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        found = found or ", ".join(f"{name}={value}" for name, value in parameters.items())
        return f"{str(error).splitlines()[0]}" + (f" for {' '.join(found.split()).strip(' ,')}" if found else "")


def known(name):
    """{law: (verdict, reason)} of NAME.known, beside NAME.py; without a verdict it is "known"."""
    file = (Path(name) if name.endswith(".py") else TESTS / "implementations" / name).with_suffix(".known")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    parts = [line.split(": ", 2) for line in lines if ": " in line]
    return {law: tuple(rest) if len(rest) == 2 else ("known", *rest) for law, *rest in parts}


def try_one(name, arguments):
    """The Watch of one implementation, or None where its library is not installed."""
    watch = Watch()
    with redirect_stdout(io.StringIO()):
        pytest.main([str(TESTS / "laws"), "--implementation", name, "--runxfail", "-q", "-p", "no:cacheprovider", *arguments], plugins=[watch])
    return watch if set(watch.outcome.values()) != {LACKS} else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["tinyddpm", "diffusers", "denoising_diffusion_pytorch", "smalldiffusion"])
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=["--hypothesis-seed=0"], help="arguments handed on")
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
    print("| law | " + " | ".join(watches) + " |\n|---" + "|---" * len(watches) + "|")
    laws = sorted({law: title for watch in watches.values() for law, title in watch.titles.items()}.items(), key=lambda row: row[1])
    for law, section in laws:
        cells = []
        for name, watch in watches.items():
            outcome = watch.outcome.get(law, LACKS)
            cells.append(f"**{verdicts[name].get(law, ['fails'])[0]}**" if outcome == "fails" else outcome)
        print(f"| {section}: {law.removeprefix('test_').replace('_', ' ')} | " + " | ".join(cells) + " |")
    for name, watch in watches.items():
        counts = [sum(outcome == kind for outcome in watch.outcome.values()) for kind in (HOLDS, "fails", LACKS)]
        print(f"\n**{name}**: {counts[0]} hold, {counts[1]} fail, {counts[2]} have nothing to ask.\n")
        for law, words in sorted(watch.words.items()):
            verdict, reason = verdicts[name].get(law, ("fails", "not explained in its .known file"))
            print(f"* {law.removeprefix('test_').replace('_', ' ')} (**{verdict}**: {reason})  \n  `{words[:400]}`")


if __name__ == "__main__":
    main()
