"""How an exhibit is built and tried: a copy of tinyddpm with one wrong line, under the same laws."""
import ast
import importlib.util
import sys
import warnings
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import NamedTuple

from hypothesis import Phase, settings

TESTS = Path(__file__).parent.parent


class Exhibit(NamedTuple):
    """A bug: in `file`, the code `wrong` stands in the place of the code `right`.

    right, wrong  Python source: an expression each, or one or more statements each.  `right` is
                  found by its syntax tree, so that line breaks, comments and brackets do not matter
    law           the law that catches the bug
    seen          where it was seen
    lesson        what to learn from it
    inside        the function in which `right` stands, where it stands in several
    """

    name: str
    file: str
    right: str
    wrong: str
    law: str
    seen: str
    lesson: str
    inside: str = ""


def spoil(exhibit, source):
    """The syntax tree of the file's source, with the exhibit's wrong code in it.

    ValueError: the right code does not stand there, or stands there more than once.
    """
    tree = ast.parse(source)
    right, wrong = ast.parse(exhibit.right).body, ast.parse(exhibit.wrong).body
    if is_expression(right) and is_expression(wrong):
        right, wrong = [right[0].value], [wrong[0].value]
    scopes = [tree]
    if exhibit.inside:
        scopes = [node for node in ast.walk(tree) if getattr(node, "name", None) == exhibit.inside]
    places = [place for scope in scopes for place in find(scope, right)]
    if len(places) != 1:
        within = f"{exhibit.inside} of " if exhibit.inside else ""
        raise ValueError(f"{exhibit.name}: {exhibit.right!r} stands {len(places)} times in "
                         f"{within}{exhibit.file}, not once")
    parent, field, i = places[0]
    nodes = getattr(parent, field)
    for root in wrong:
        for node in ast.walk(root):
            ast.copy_location(node, nodes[i] if isinstance(nodes, list) else nodes)
    if isinstance(nodes, list):
        nodes[i:i + len(right)] = wrong
    else:
        setattr(parent, field, wrong[0])
    return tree


def is_expression(statements):
    return len(statements) == 1 and isinstance(statements[0], ast.Expr)


def find(scope, wanted):
    """Where the nodes stand, one after the other: (parent, field, position in the field's list)."""
    dumps = [ast.dump(node) for node in wanted]
    for parent in ast.walk(scope):
        for field, value in ast.iter_fields(parent):
            nodes = value if isinstance(value, list) else [value]
            for i, node in enumerate(nodes):
                if type(node) is type(wanted[0]):
                    run = nodes[i:i + len(wanted)]
                    if [ast.dump(node) for node in run] == dumps:
                        yield parent, field, i


class SpoiledFileLoader(SourceFileLoader):
    """Loads a file of the package with an exhibit's wrong code in it."""

    exhibit = None

    def get_code(self, name):
        return compile(spoil(self.exhibit, self.get_source(name)), self.path, "exec")


def implementation(exhibit=None):
    """The adapter of tinyddpm, on a fresh copy of the package with the exhibit's wrong code in it.

    None: the package as it is.
    """
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if not is_ours(name):
                return None
            spec = PathFinder.find_spec(name, path, target)
            origin = Path(spec.origin or "").as_posix() if spec else ""
            if exhibit and origin.endswith(f"tinyddpm/{exhibit.file}"):
                spec.loader = SpoiledFileLoader(name, spec.origin)
                spec.loader.exhibit = exhibit
            return spec

    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
    sys.meta_path.insert(0, Finder)
    try:
        return load_file(TESTS / "implementations" / "tinyddpm.py", "exhibit")
    finally:
        sys.meta_path.remove(Finder)
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(loaded)


def is_ours(name):
    return name.split(".")[0] == "tinyddpm"


def load_file(path, name):
    """A Python file as a module that is not in sys.modules."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def laws(examples=30):
    """{name: law} of tests/laws: functions of an implementation that raise if it breaks the law.

    The same examples are drawn every time.
    """
    folder = TESTS / "laws"
    sys.path.insert(0, str(folder))
    try:
        paths = sorted(folder.glob("test_*.py"))
        modules = [load_file(path, f"museum_{path.stem}") for path in paths]
    finally:
        sys.path.remove(str(folder))
    quick = settings(max_examples=examples, database=None, deadline=None, derandomize=True,
                     phases=[Phase.generate])
    found = {}
    for module in modules:
        for name, function in vars(module).items():
            if name.startswith("test_"):
                found[name] = as_function(function, quick)
    return found


def as_function(law, quick):
    """The law, with these settings and all its parameters, as a function of the implementation."""
    cases = [{}]
    for mark in getattr(law, "pytestmark", []):
        if mark.name == "parametrize":
            name, values = mark.args
            cases = [{**case, name: value} for case in cases for value in values]
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
    """Whether the implementation breaks the law: its result is wrong, or it raises an error."""
    try:
        law(ddpm)
    except Exception:
        return True
    return False
