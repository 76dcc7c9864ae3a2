"""README's equation index, walked both ways: each equation has its function and its law, each function of the core its row."""
import ast
import importlib
import inspect
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The equation index")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")][1:]
TESTS = {node.name: ast.get_docstring(node) or "" for file in (ROOT / "tests").glob("**/test_*.py")
         for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}

EQUATIONS = {"1.1", "1.2", "2.1", "2.2", "5.1.1", "5.1.2", "5.1", "Algorithm 1", "Algorithm 2",
             *(f"Ho {n}" for n in (1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
             *(f"Luo {n}" for n in (*range(37, 46), *range(48, 59), 70, 84, 125, 130, 133, 151))}
CORE = ("gaussian", "schedule", "forward", "reverse", "elbo")
# What has no equation: shapes and checks, a denoiser's calling convention, what carries a result.
HOUSEKEEPING = {"gaussian": {"check", "check_finite", "check_same_shape", "check_variance", "sum_over_dimensions", "standard_normal", "standard_gaussian"},
                "schedule": {"like"}, "forward": set(),
                "reverse": {"as_denoiser", "ask", "Prediction", "Step", "last"}, "elbo": {"mean_and_error"}}


def cited(text):
    """The equations that a text refers to: "(5.1, Luo 124)" → {"5.1", "Luo 124"}, "Ho 6–7" → {"Ho 6", "Ho 7"}."""
    found = {name for name in EQUATIONS if re.search(rf"(?<![\d.]){re.escape(name)}(?![\d.]*\d)", text)}
    for author, numbers in re.findall(r"\b(Ho|Luo) (\d+(?:–\d+)?(?:(?:, | and )\d+(?:–\d+)?)*)", text):
        for first, last in re.findall(r"(\d+)(?:–(\d+))?", numbers):
            found |= {f"{author} {n}" for n in range(int(first), int(last or first) + 1)}
    return found


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def find(path):
    module, *attributes = path.split(".")
    return reduce(getattr, attributes, importlib.import_module(f"tinyddpm.{module}"))


def test_every_equation_has_a_row():
    assert not EQUATIONS - cited("\n".join(row[0] for row in ROWS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_its_function_its_law_and_its_demo(row):
    _, _, functions, laws, demos = row
    assert named(functions) and all(inspect.getdoc(find(path)) for path in named(functions))
    assert named(laws) and not {f"test_{law}" for law in named(laws)} - TESTS.keys()
    assert all((ROOT / "demos" / f"{demo}.py").is_file() for demo in named(demos))


@pytest.mark.parametrize("row", [row for row in ROWS if cited(row[0])], ids=lambda row: row[0])
def test_function_and_law_cite_their_equation(row):
    """So that who comes from the paper finds the function, and who comes from the function the paper."""
    equations, _, functions, laws, _ = row
    assert cited(equations) & cited(" ".join(inspect.getdoc(find(path)) for path in named(functions)))
    assert cited(equations) & cited(" ".join(TESTS[f"test_{law}"] for law in named(laws)))


@pytest.mark.parametrize("name", CORE)
def test_every_public_function_of_the_core_has_a_row(name):
    tree = ast.parse((ROOT / "tinyddpm" / f"{name}.py").read_text(encoding="utf-8"))
    public = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"}
    in_rows = {path.split(".")[1] for row in ROWS for path in named(row[2]) if path.split(".")[0] == name}
    assert public - in_rows == HOUSEKEEPING[name]
