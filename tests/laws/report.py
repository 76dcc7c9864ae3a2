"""What a person is told: a line for each law, then what is broken, in groups of one cause."""
import difflib
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import judge
import numpy as np
import pytest
import smoke
import verdict
from implementation import INTERFACE, Implementation
from judge import BROKEN, HOLDS, MISSING, ROUND_OFF

KNOWN = "known"
COLOURS = {HOLDS: "32", ROUND_OFF: "33", BROKEN: "31;1", KNOWN: "36"}


class Entry(NamedTuple):
    """A law and the verdict on it; known: why its failure is accepted, or ""."""

    name: str
    section: str
    doc: str
    needs: set
    verdict: Any
    kind: str
    known: str
    law: Any


def words(name):
    return name.removeprefix("test_").removeprefix("plain_").replace("_", " ")


def plural(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


class Report:
    """A plugin of pytest: it prints each law's line as it is judged, and the rest in `finish`."""

    def __init__(self, module, colour):
        self.module, self.colour, self.entries = module, colour, []
        ddpm = Implementation(module)
        smoke.smoke(ddpm)  # shows which functions are not written
        self.have = [name for name in INTERFACE if ddpm.has(name)]
        self.section, self.lacking, self.exact = None, 0, False

    def paint(self, text, kind):
        return f"\033[{COLOURS[kind]}m{text}\033[0m" if self.colour and kind in COLOURS else text

    def pytest_configure(self, config):
        self.exact = config.option.exact

    def pytest_collection_finish(self, session):
        count = f"{len(self.have)} of {len(INTERFACE)} functions, {len(session.items)} laws"
        print(f"{Path(self.module.__file__).name}: {count}", flush=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        result = yield
        if call.when == "call":
            found = getattr(item, "verdict", None)
            if found is None:
                found = judge.Verdict(BROKEN, f"the law itself failed: {call.excinfo.value}")
            kind = found.kind
            if kind == ROUND_OFF and self.exact:
                kind = BROKEN
            mark = item.get_closest_marker("xfail")
            known = mark.kwargs["reason"] if mark and kind == BROKEN else ""
            self.add(Entry(item.name, section_of(item), inspect.getdoc(item.obj) or "",
                           judge.needs(item.obj), found, KNOWN if known else kind, known, item.obj))
        return result

    def add(self, entry):
        self.entries.append(entry)
        if entry.section != self.section:
            self.close_section()
            self.section = entry.section
            print(f"\n{entry.section}")
        if entry.kind == MISSING:
            self.lacking += 1
            return
        label = self.paint(f"{entry.kind:10}", entry.kind)
        note = f": {entry.verdict.why}" if entry.kind == ROUND_OFF else ""
        note = f": {entry.known}" if entry.known else note
        print(f"  {label}{words(entry.name)}{note}", flush=True)

    def close_section(self):
        if self.lacking:
            print(f"  ({plural(self.lacking, 'law')} not judged: a function is missing)")
        self.lacking = 0

    def of(self, kind):
        return [entry for entry in self.entries if entry.kind == kind]

    def finish(self):
        """What is broken, what is missing, and the count."""
        self.close_section()
        self.print_exercises()
        groups = self.groups()
        if groups:
            print("\nWhat is broken")
        for number, group in enumerate(groups, 1):
            print(f"\n{number}. {self.paint(heading(group), BROKEN)}")
            for line in explanation(group[0], self.museum):
                print(line)
        print()
        for title, names in self.gaps().items():
            if names:
                print(textwrap.fill(f"{title}: {', '.join(names)}", 100, subsequent_indent="  "))
        print(self.count())

    def print_exercises(self):
        """A line for each exercise, where the file has a table EXERCISES."""
        laws = {entry.name: entry.law for entry in self.entries}
        found = {entry.name: entry.verdict for entry in self.entries}
        lines = exercises(self.module, laws, found)
        if lines:
            print("\nThe exercises")
        for chapter, name, kind in lines:
            print(f"  chapter {chapter:2}  {name:16}{self.paint(kind, kind)}")

    def groups(self):
        """The broken laws; those with one cause together, the law with the fewest needs first."""
        broken = sorted(self.of(BROKEN), key=lambda entry: len(entry.needs) or 99)
        self.museum = Museum(broken) if broken else None
        groups = {}
        for entry in broken:
            groups.setdefault(cause(entry, self.museum), []).append(entry)
        return list(groups.values())

    def gaps(self):
        judged = [entry for entry in self.entries if entry.kind != MISSING]
        asked = set().union(*(entry.needs for entry in judged)) if judged else set()
        offered = [name for name, value in vars(self.module).items()
                   if inspect.isfunction(value) and value.__module__ == self.module.__name__]
        missing = [name for name in INTERFACE if name not in self.have]
        perhaps = [f"{name} (is it {match[0]}?)" for name in offered if name not in INTERFACE
                   if (match := difflib.get_close_matches(name, missing, 1, 0.85))]
        return {"Missing": missing, "Unknown names": perhaps,
                "Functions you have that no law judged": [n for n in self.have if n not in asked]}

    def count(self):
        unjudged = len(self.gaps()["Functions you have that no law judged"])
        judged = f"{len(self.have) - unjudged} of {len(INTERFACE)} functions judged"
        number = {kind: len(self.of(kind)) for kind in (HOLDS, ROUND_OFF, BROKEN, KNOWN, MISSING)}
        counts = [f"{plural(number[HOLDS], 'law')} hold", f"{number[ROUND_OFF]} hold to round-off",
                  f"{number[BROKEN]} broken", f"{number[MISSING]} not judged"]
        if number[KNOWN]:
            counts.insert(3, f"{number[KNOWN]} known to be broken")
        return f"{judged}: {', '.join(counts)}."

    def as_dict(self):
        """All verdicts, for json."""
        laws = []
        for entry in self.entries:
            about = {"law": entry.name, "section": entry.section, "verdict": entry.kind,
                     "equation": entry.doc, "needs": sorted(entry.needs), "why": entry.verdict.why}
            if entry.known:
                about["known"] = entry.known
            for which in ("smallest", "largest"):
                failure = getattr(entry.verdict, which)
                if failure:
                    error = failure.error
                    about[which] = {"case": judge.describe(failure.case), "found": str(error),
                                    "yours": error.yours, "laws": error.laws}
            if entry.kind == BROKEN:
                exhibit = self.museum.same(entry)
                about["likely"] = exhibit.name if exhibit else None
            laws.append(about)
        counts = {kind: len(self.of(kind)) for kind in (HOLDS, ROUND_OFF, BROKEN, KNOWN, MISSING)}
        return {"implementation": self.module.__file__, "functions": self.have, **self.gaps(),
                "counts": counts, "laws": laws}


def exercises(module, laws, found):
    """(chapter, function, verdict) in the order of EXERCISES, {function: chapter}, of the module.

    The verdict is the worst of the laws that need this function and no other.
    """
    lines = []
    for name, chapter in getattr(module, "EXERCISES", {}).items():
        own = [found[law].kind for law in laws if judge.needs(laws[law]) == {name}]
        worst = [kind for kind in (BROKEN, ROUND_OFF, HOLDS) if kind in own]
        lines.append((chapter, name, worst[0] if worst else "not written yet"))
    return lines


def section_of(item):
    """"A. The schedule": the first sentence of the law's file."""
    return ". ".join(item.module.__doc__.split("\n")[0].split(". ")[:2]).rstrip(".")


def cause(entry, museum):
    """What laws with one cause share: the error's sentence, or the museum's bug; or the law."""
    exhibit = museum.same(entry)
    if exhibit:
        return exhibit.name
    told_apart = entry.verdict.smallest and entry.verdict.smallest.error.equation
    return entry.name if told_apart else entry.verdict.why


def heading(group):
    first, others = words(group[0].name), [words(entry.name) for entry in group[1:]]
    if len(others) > 3:
        return f"{len(group)} laws: {first}, and {len(others)} others"
    return ", ".join([first, *others])


def explanation(entry, museum):
    """Lines about the first law of a group."""
    text = textwrap.indent(entry.doc.split("\n\n")[0], "   ")
    yield text
    if entry.verdict.smallest is None:
        yield row("found", entry.verdict.why)
        return
    error, case = entry.verdict.smallest
    if error.yours is None:
        yield row("found", str(error))
    else:
        yield row("found", str(error).split(": yours")[0])
        yield row("yours", f"{error.yours:.10g}")
        yield row("the law's", f"{error.laws:.10g}  ({str(error).split('; ')[-1]})")
    if case:
        yield row("smallest", judge.describe(case))
    largest = entry.verdict.largest
    if largest.error.yours is not None and largest.error.yours != error.yours:
        yours, laws = largest.error.yours, largest.error.laws
        at = judge.describe(largest.case)
        yield row("largest", f"yours {yours:.6g}, the law's {laws:.6g}, at {at}")
    exhibit = museum.same(entry)
    if exhibit:
        yield row("likely", f"{words(exhibit.name)}. {exhibit.lesson}")
    else:
        for known in museum.of(entry)[:2]:
            yield row("seen before", f"{words(known.name)}. {known.lesson}")


def row(title, text):
    return textwrap.fill(text, 100, initial_indent=f"   {title:12}", subsequent_indent=" " * 15)


class Museum:
    """The exhibits that break the laws that are broken here."""

    def __init__(self, broken):
        sys.path.insert(0, str(Path(__file__).parents[1] / "museum"))
        from exhibits import EXHIBITS
        from loader import implementation
        names = {entry.name for entry in broken}
        self.exhibits = [exhibit for exhibit in EXHIBITS if exhibit.law in names]
        self.implementation, self.loaded, self.found = implementation, {}, {}

    def of(self, entry):
        return [exhibit for exhibit in self.exhibits if exhibit.law == entry.name]

    def same(self, entry):
        """The exhibit that gives the same wrong number at the smallest case, or None."""
        if entry.name not in self.found:
            order = sorted(self.exhibits, key=lambda exhibit: exhibit.law != entry.name)
            matches = (exhibit for exhibit in order if self.agrees(exhibit, entry))
            self.found[entry.name] = next(matches, None) if entry.verdict.smallest else None
        return self.found[entry.name]

    def agrees(self, exhibit, entry):
        if exhibit.name not in self.loaded:
            self.loaded[exhibit.name] = self.implementation(exhibit)
        error, case = entry.verdict.smallest
        verdict.set_stage(verdict.ROUND_64)
        try:
            getattr(entry.law, "law", entry.law)(self.loaded[exhibit.name], **case)
        except verdict.Violation as other:
            if error.yours is None:
                return str(other) == str(error)
            if other.yours is None or other.equation != error.equation:
                return False
            return bool(np.isclose(other.yours, error.yours, rtol=1e-5, atol=0))
        except Exception:
            return False
        finally:
            verdict.set_stage(verdict.EXACT)
        return False
