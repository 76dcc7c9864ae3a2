"""The rooms of the package: imports run one way, from app/ over images/ down to the mathematics."""
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tinyddpm"
IN_ORDER = ["checks", "tables", "gaussian", "schedule", "forward", "reverse", "sampling", "decoder",
            "elbo", "training", "oracle", "linear_chain", "toys"]
LIBRARIES = {"numpy", "autograd", "threadpoolctl"}  # the last for BLAS, where it is installed
STANDARD = {"collections", "concurrent", "contextlib", "contextvars", "functools", "math",
            "threading", "types", "typing", "warnings"}


def imported(path):
    """The modules that a file imports, as paths from the package: "tinyddpm.gaussian", "numpy"."""
    here = ["tinyddpm", *path.relative_to(PACKAGE).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[:len(here) - node.level] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            if node.module:
                yield ".".join(module)
            else:
                yield from (".".join([*module, alias.name]) for alias in node.names)


def room(module):
    """The first part below the package ("gaussian", "network", "app", …), or the library."""
    parts = module.split(".")
    return parts[1] if parts[0] == "tinyddpm" and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_file_of_the_mathematics_imports_only_what_stands_before_it(name):
    before = set(IN_ORDER[:IN_ORDER.index(name)]) | {"network"}
    allowed = before | LIBRARIES | STANDARD | ({"scipy"} if name == "decoder" else set())
    assert not {room(module) for module in imported(PACKAGE / f"{name}.py")} - allowed


@pytest.mark.parametrize("name, forbidden", [("network", {"images", "app"}), ("images", {"app"}),
                                             ("app", set())])
def test_a_folder_imports_nothing_that_stands_on_it(name, forbidden):
    for path in (PACKAGE / name).glob("**/*.py"):
        rooms = {room(module) for module in imported(path)}
        assert not rooms & (forbidden | {"demos", "tests"}), path


def test_the_list_of_files_is_complete():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert files == set(IN_ORDER)
