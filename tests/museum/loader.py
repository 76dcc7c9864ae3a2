"""How an exhibit is built and tried: an implementation with one wrong line, and the same laws."""
import ast
import sys
import types
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS / "laws"))
import judge  # noqa: E402
from implementation import Implementation, load  # noqa: E402

PLAIN = "plain.py"


class Exhibit(NamedTuple):
    """A bug: in `file`, the code `wrong` stands in the place of the code `right`.

    file          of tinyddpm, or plain.py, the plain implementation beside this file
    right, wrong  Python source: an expression each, or one or more statements each.  `right` is
                  found by its syntax tree, so that line breaks, comments and brackets do not matter
    law           the law that catches the bug
    seen          where it was seen
    lesson        what to learn from it
    inside        the function in which `right` stands, where it stands in several
    verdict       the law's verdict on it: broken, or round-off, if it only loses digits
    """

    name: str
    file: str
    right: str
    wrong: str
    law: str
    seen: str
    lesson: str
    inside: str = ""
    verdict: str = judge.BROKEN


def source_of(file):
    folder = TESTS / "museum" if file == PLAIN else TESTS.parent / "tinyddpm"
    return (folder / file).read_text(encoding="utf-8")


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
    """What the exhibit is: the adapter of tinyddpm on a fresh copy of the package, or plain.py.

    None: the adapter on the package as it is.
    """
    if exhibit and exhibit.file == PLAIN:
        module = types.ModuleType("plain")
        exec(compile(spoil(exhibit, source_of(PLAIN)), PLAIN, "exec"), module.__dict__)
        return Implementation(module)

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
        module = load(TESTS / "implementations" / "tinyddpm.py")
        return Implementation(module)
    finally:
        sys.meta_path.remove(Finder)
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(loaded)


def is_ours(name):
    return name.split(".")[0] == "tinyddpm"


def verdict_on(law, ddpm):
    """holds, round-off, broken or missing: the verdict's kind, without a search for small cases."""
    return judge.judge(law, ddpm, shrink=False).kind
