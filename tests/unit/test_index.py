"""The equation index of demos/course/README.md, checked both ways.

Each equation has its function and its law, and each public function of the mathematics has its row.
"""
import ast
import inspect
import re
from collections import Counter
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[2]


def rows_of_the_index():
    """Each row of the table: equation, what it says, functions, laws, demos."""
    text = (ROOT / "demos" / "course" / "README.md").read_text(encoding="utf-8")
    table = text.partition("## The equation index")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [[cell.strip() for cell in row] for row in cells[1:]]


def functions_of(file):
    """The functions that stand in a file: [(name, docstring)]."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return [(node.name, ast.get_docstring(node) or "") for node in body
            if isinstance(node, ast.FunctionDef)]


ROWS = rows_of_the_index()
TESTS = [test for file in sorted((ROOT / "tests").glob("**/test_*.py"))
         for test in functions_of(file) if test[0].startswith("test_")]
DOCSTRING = dict(TESTS)

EQUATIONS = {"1.1", "1.2", "2.1", "2.2", "5.1.1", "5.1.2", "5.1", "Algorithm 1", "Algorithm 2",
             *(f"Ho {n}" for n in (1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
             *(f"Luo {n}" for n in (*range(37, 46), *range(48, 59), 70, 84, *range(116, 126))),
             *(f"Luo {n}" for n in (130, 133, 151))}
CORE = ("gaussian", "schedule", "forward", "reverse", "sampling", "decoder", "elbo", "training")
# What has no equation: shapes and dtypes, how a denoiser is called, types that hold a result.
HOUSEKEEPING = {
    "gaussian": {"sum_over_dimensions", "standard_gaussian", "noise_like"},
    "schedule": {"cast_like"},
    "forward": set(),
    "reverse": {"Prediction", "as_denoiser", "evaluate"},
    "sampling": {"SamplingStep", "final_sample"},
    "decoder": {"from_levels", "to_images"},
    "elbo": {"check_of_levels", "mean_and_error"},
    "training": {"State", "TrainingStep", "clip_norm", "denoiser", "initial_state", "lerp",
                 "warm_up_and_decay"},
}


def cited(text):
    """The equations that a text cites: "(5.1, Luo 124)" → {"5.1", "Luo 124"}; "Ho 6–7" is two."""
    found = {name for name in EQUATIONS
             if re.search(rf"(?<![\d.]){re.escape(name)}(?![\d.]*\d)", text)}
    number = r"\d+(?:–\d+)?"
    for author, numbers in re.findall(rf"\b(Ho|Luo) ({number}(?:(?:, | and ){number})*)", text):
        for first, last in re.findall(r"(\d+)(?:–(\d+))?", numbers):
            found |= {f"{author} {n}" for n in range(int(first), int(last or first) + 1)}
    return found


def names_in(cell):
    """The names in a cell: "`a` `b`" → ["a", "b"]."""
    return re.findall(r"`([^`]+)`", cell)


def docstrings_of_functions(cell):
    """The docstrings of the functions in a cell, each a path below tinyddpm."""
    return [inspect.getdoc(resolve_name(f"tinyddpm.{path}")) for path in names_in(cell)]


def test_every_test_has_a_name_of_its_own():
    """Or a row could mean the one test or the other."""
    counts = Counter(name for name, _ in TESTS)
    assert not [name for name, count in counts.items() if count > 1]


def test_every_equation_has_a_row():
    assert not EQUATIONS - cited("\n".join(" ".join(row[:2]) for row in ROWS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_its_function_its_law_and_its_demo(row):
    _, _, functions, laws, demos = row
    assert names_in(functions) and all(docstrings_of_functions(functions))
    assert names_in(laws) and not {f"test_{law}" for law in names_in(laws)} - DOCSTRING.keys()
    assert all((ROOT / "demos" / f"{demo}.py").is_file() for demo in names_in(demos))


@pytest.mark.parametrize("row", [row for row in ROWS if cited(row[0])], ids=lambda row: row[0])
def test_function_and_law_cite_their_equation(row):
    """So one finds the function from the paper, and the paper from the function."""
    equations, _, functions, laws, _ = row
    assert cited(equations) & cited(" ".join(docstrings_of_functions(functions)))
    assert cited(equations) & cited(" ".join(DOCSTRING[f"test_{law}"] for law in names_in(laws)))


@pytest.mark.parametrize("name", CORE)
def test_every_public_function_of_the_mathematics_has_a_row(name):
    tree = ast.parse((ROOT / "tinyddpm" / f"{name}.py").read_text(encoding="utf-8"))
    public = {node.name for node in tree.body
              if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"}
    paths = [path.split(".") for row in ROWS for path in names_in(row[2])]
    in_rows = {path[1] for path in paths if path[0] == name}
    assert public - in_rows == HOUSEKEEPING[name]
