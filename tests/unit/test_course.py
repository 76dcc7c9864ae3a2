"""The chapters of demos/course: links lead somewhere, formulas are well formed, names exist."""
import ast
import re
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "demos" / "course"
PAGES = sorted(COURSE.glob("*.md"))
CHAPTERS = [page for page in PAGES if page.name[0].isdigit()]
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)")
COMMAND = re.compile(r"\\[a-zA-Z]+")
CLOSES = {")": "(", "]": "[", "}": "{"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_chapter = pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)


def without_code(page):
    """The text of a page, without its blocks of code and without `code` in a line."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "code", text)


def displays_and_prose(page):
    """The formulas between lines that are $$, and the lines outside them."""
    displays, prose, is_display = [], [], False
    for line in without_code(page).splitlines():
        if line == "$$":
            is_display = not is_display
            if is_display:
                displays.append([])
        elif is_display:
            displays[-1].append(line)
        else:
            prose.append(line)
    assert not is_display, f"{page.name}: the last $$ is not closed"
    return displays, prose


def formulas(page):
    """All formulas of a page, in displays and in lines."""
    displays, prose = displays_and_prose(page)
    in_lines = [formula for line in prose for formula in line.split("$")[1::2]]
    return ["\n".join(lines) for lines in displays] + in_lines


def is_nested(formula):
    """Brackets close in the opposite order to that in which they open, each by its own kind."""
    opened = []
    for symbol in formula:
        if symbol in CLOSES.values():
            opened.append(symbol)
        elif symbol in CLOSES and (not opened or opened.pop() != CLOSES[symbol]):
            return False
    return not opened


def links(page):
    """Each link of a page: its text, and the file that it leads to (None: elsewhere)."""
    for text, target in LINK.findall(page.read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        outside = "://" in target or not path
        yield text, None if outside else (page.parent / path).resolve()


def heading_anchors(page):
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def functions_of(file):
    """The names of the functions in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def named(page):
    """The names in a page: `like_this`, `like_this(x, t)` and `like.this`, in a link or not."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return set(re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", text))


def links_to_python(page, folder):
    """The links `name` to a Python file below a folder: [(name, file)]; not those that name it."""
    found = []
    for text, file in links(page):
        if file and file.suffix == ".py" and folder in file.parents:
            name = text.strip("`")
            if name != file.name and file.exists():
                found.append((name, file))
    return found


def exercise(page):
    return page.read_text(encoding="utf-8").partition("\n## Exercise")[2]


MODULES = {path.stem: f"tinyddpm.{path.stem}" for path in (ROOT / "tinyddpm").glob("*.py")}
LAWS = {name.removeprefix("test_"): file for file in sorted((ROOT / "tests").glob("*/test_*.py"))
        for name in functions_of(file) if name.startswith("test_")}
INTERFACE = ROOT / "tests" / "laws" / "interface.py"


@each_page
def test_every_link_of_a_page_leads_to_a_file(page):
    assert not [str(file) for _, file in links(page) if file and not file.exists()]


@each_page
def test_every_link_to_a_heading_leads_to_one(page):
    for _, target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            other = (page.parent / path).resolve() if path else page
            assert anchor in heading_anchors(other), target


@each_page
def test_every_dollar_sign_has_its_partner(page):
    _, prose = displays_and_prose(page)
    assert not [line for line in prose if line.count("$") % 2 or "$$" in line]


@each_page
def test_brackets_of_formulas_are_nested(page):
    assert not [formula for formula in formulas(page) if not is_nested(formula)]


@each_page
def test_environments_and_big_brackets_are_closed(page):
    for formula in formulas(page):
        commands = COMMAND.findall(formula)
        assert commands.count(r"\begin") == commands.count(r"\end"), formula
        assert commands.count(r"\left") == commands.count(r"\right"), formula


@each_page
def test_a_formula_in_a_line_is_one_for_github_too(page):
    """GitHub wants a space or a bracket before it, and a space or punctuation after it.

    Markdown is read first: it drops a backslash before punctuation, and takes * for emphasis, | for
    the end of a cell, < for a tag and ]( for a link.
    """
    _, prose = displays_and_prose(page)
    for line in prose:
        parts = line.split("$")
        for before, formula, after in zip(parts[::2], parts[1::2], parts[2::2]):
            assert before[-1:] in ("", *' ("'), line
            assert after[:1] in ("", *' .,;:)?!"'), line
            assert formula == formula.strip() != "", line
            assert not re.search(r"\\[^\w\s]|[*|<>]|\]\(", formula), formula


@each_chapter
def test_no_index_is_read_as_emphasis(page):
    """In Markdown }_t opens emphasis, and p_{…} closes it: not in this order in one paragraph."""
    _, prose = displays_and_prose(page)
    for paragraph in "\n".join(prose).split("\n\n"):
        assert not re.search(r"(?:^|[^\w\s]|\s)_\S.*\S_(?!\w)", paragraph, re.S), paragraph


@each_page
def test_a_display_is_no_list_and_no_table(page):
    """Markdown takes a line that starts with "- " or "+ " for a list, an empty one for an end."""
    displays, _ = displays_and_prose(page)
    for line in sum(displays, []):
        assert line.strip() and not re.match(r"\s*([-+*#>|] |=+$|-+$)", line), line
        assert not re.search(r"[*|<>]|\\(new|re)command", line), line


@each_chapter
def test_every_function_that_a_chapter_names_exists(page):
    """`module.name`, and the names that link to a module."""
    for name in named(page):
        module, _, path = name.partition(".")
        if module in MODULES and path not in ("", "py"):
            assert resolve_name(f"{MODULES[module]}:{path}") is not None
    found = links_to_python(page, ROOT / "tinyddpm")
    for name, file in found:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        path = name.removeprefix(f"{file.stem}.")
        assert resolve_name(f"{module}:{path}") is not None


@each_chapter
def test_every_law_that_a_chapter_names_exists(page):
    """In the file that it links to; a long name without a link is a law or a function."""
    wrong = [name for name, file in links_to_python(page, ROOT / "tests")
             if LAWS.get(name) != file]
    assert not wrong
    functions = functions_of(INTERFACE).union(*map(functions_of, (ROOT / "tinyddpm").glob("*.py")))
    long_names = {name for name in named(page) if name.count("_") > 1 and "." not in name}
    assert not long_names - LAWS.keys() - functions


@each_chapter
def test_a_chapter_leads_to_the_code_and_to_the_laws(page):
    files = [file for _, file in links(page) if file and file.suffix == ".py"]
    assert [file for file in files if ROOT / "tinyddpm" in file.parents]
    assert [file for file in files if ROOT / "tests" in file.parents]


@each_chapter
def test_a_chapter_has_a_picture(page):
    assert [file for _, file in links(page) if file and file.suffix in (".png", ".gif")]


@each_chapter
def test_a_chapter_has_one_exercise(page):
    """About functions that the laws ask for, or for pen and paper."""
    asked = functions_of(INTERFACE)
    in_code = set(re.findall(r"`(\w+)[`(]", exercise(page)))
    assert page.read_text(encoding="utf-8").count("\n## Exercise") == 1
    assert in_code & asked or "pen and paper" in exercise(page)


def test_chapters_are_numbered_without_a_gap():
    assert [int(page.name[:2]) for page in CHAPTERS] == list(range(1, len(CHAPTERS) + 1))
