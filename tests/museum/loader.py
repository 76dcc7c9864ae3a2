"""How an exhibit is built and tried: a copy of tinyddpm with one line changed, under the same laws as the original."""
import importlib.util
import sys
import warnings
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import NamedTuple

from hypothesis import Phase, settings

TESTS = Path(__file__).parent.parent


class Exhibit(NamedTuple):
    """A bug: in `file` the one place that says `right` says `wrong`; `law` finds it; where it was seen; what to notice."""

    name: str
    file: str
    right: str
    wrong: str
    law: str
    seen: str
    lesson: str


class _OneLineChanged(SourceFileLoader):
    exhibit = None

    def get_code(self, name):
        source = self.get_source(name)
        if source.count(self.exhibit.right) != 1:
            raise ValueError(f"{self.exhibit.name}: {self.exhibit.right!r} stands {source.count(self.exhibit.right)} times in "
                             f"{self.exhibit.file}, not once")
        return compile(source.replace(self.exhibit.right, self.exhibit.wrong), self.path, "exec")


def implementation(exhibit=None):
    """The adapter of tinyddpm, bound to a fresh copy of the package with the exhibit's line in it (None: unchanged)."""
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            spec = PathFinder.find_spec(name, path, target) if name.split(".")[0] == "tinyddpm" else None
            if spec and spec.origin and exhibit and Path(spec.origin).as_posix().endswith("tinyddpm/" + exhibit.file):
                spec.loader = _OneLineChanged(name, spec.origin)
                spec.loader.exhibit = exhibit
            return spec

    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "tinyddpm"}
    sys.meta_path.insert(0, Finder)
    try:
        return load_file(TESTS / "implementations" / "tinyddpm.py", "exhibit")
    finally:
        sys.meta_path.remove(Finder)
        for name in [name for name in sys.modules if name.split(".")[0] == "tinyddpm"]:
            del sys.modules[name]
        sys.modules.update(ours)


def load_file(path, name):
    """A Python file as a module that nobody else shares."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def laws(examples=30):
    """{name: law} of tests/laws, each a function of an implementation that raises where the law is broken.

    The same examples are drawn every time.
    """
    sys.path.insert(0, str(TESTS / "laws"))
    try:
        modules = [load_file(path, "museum_" + path.stem) for path in sorted((TESTS / "laws").glob("test_*.py"))]
    finally:
        sys.path.remove(str(TESTS / "laws"))
    quick = settings(max_examples=examples, database=None, deadline=None, derandomize=True, phases=[Phase.generate])
    return {name: _callable(function, quick) for module in modules for name, function in vars(module).items()
            if name.startswith("test_")}


def _callable(law, quick):
    cases = [{}]
    for mark in getattr(law, "pytestmark", []):
        if mark.name == "parametrize":
            cases = [{**case, mark.args[0]: value} for case in cases for value in mark.args[1]]
    if hasattr(law, "hypothesis"):
        law = quick(law)

    def check(ddpm):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for case in cases:
                law(ddpm=ddpm, **case)
    check.__doc__ = law.__doc__
    return check


def broken_by(law, ddpm):
    """Whether the implementation breaks the law: by another answer, or by none."""
    try:
        law(ddpm)
    except Exception:
        return True
    return False
