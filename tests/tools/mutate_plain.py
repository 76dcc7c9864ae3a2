"""Would a law notice a changed line of the plain implementation?

    python tests/tools/mutate_plain.py                       # all of tests/museum/plain.py
    python tests/tools/mutate_plain.py p_step kl             # the functions that are named
    python tests/tools/mutate_plain.py --file homework.py    # another implementation, one file

changes one operator, number, name or call of a function at a time, drops one statement at a time,
and asks the laws that call the function.  It prints every change that no law noticed, and the
score.  Some of these changes are harmless: they compute the same thing in another way.

A law notices a change if its verdict on the changed file is worse than on the unchanged one.  An
error, a second minute and 4 GB of memory count as noticed.  Laws that the unchanged file breaks are
not asked; they are listed first.
"""
import argparse
import ast
import difflib
import resource
import signal
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
import judge
from implementation import Implementation
from smoke import smoke

PLAIN = Path(__file__).parents[1] / "museum" / "plain.py"
SECONDS, BYTES = 60, 4 * 2 ** 30

# What becomes what: operators, and the names of functions.
OPERATORS = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult], ast.FloorDiv: [ast.Div], ast.USub: [ast.UAdd], ast.Eq: [ast.NotEq],
    ast.Gt: [ast.GtE, ast.Lt], ast.Lt: [ast.LtE, ast.Gt], ast.GtE: [ast.Gt], ast.LtE: [ast.Lt],
    ast.Is: [ast.IsNot], ast.IsNot: [ast.Is]}
KIN = [
    {"min", "max"}, {"minimum", "maximum"}, {"sin", "cos"}, {"sum", "mean"}, {"cumprod", "cumsum"},
    {"round", "floor", "ceil"}, {"erf", "erfc"}, {"log", "log2", "log1p"}, {"exp", "expm1"},
    {"standard_normal", "random"}, {"beta_table", "beta_tilde_table", "alpha_bar"},
    {"alpha_bar", "one_minus_alpha_bar"}, {"x_0_from_eps", "eps_from_x_0"},
    {"eps_from_v", "v_from_eps"}, {"q_sample", "q_marginal"}]
TIMES = {"t", "s", "step"}
ONE_TIME = {"sampler_step", "sample", "ddim_step"}  # functions that take one t for the batch
CHOICES = {"beta": "beta_tilde", "beta_tilde": "beta"}


def kin(name):
    return sorted(set().union(*(family for family in KIN if name in family)) - {name})


def replacements(node, names, one_time):
    """What to put in the place of the node.

    names: the function's arguments and variables; one_time: its t is not one for each item.
    """
    if type(node) in OPERATORS:
        return [other() for other in OPERATORS[type(node)]]
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.Subscript):
        return [node.value]
    if isinstance(node, ast.Constant):
        return other_constants(node.value)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return other_names(node.id, names, one_time)
    if isinstance(node, ast.Attribute):
        return other_attributes(node)
    if isinstance(node, ast.Call):
        return other_calls(node)
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        return [type(node)(node.elts[::-1], node.ctx), *node.elts]
    if isinstance(node, ast.If):
        opposite = ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        return [ast.Pass(), opposite]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        in_place = f"{node.targets[0].id}[...] = {ast.unparse(node.value)}"
        return [ast.Pass(), ast.parse(in_place).body[0]]
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.For)):
        return [ast.Pass()]
    return []


def expression(source):
    return ast.parse(source, mode="eval").body


def other_constants(value):
    if isinstance(value, str):
        return [ast.Constant(CHOICES[value])] if value in CHOICES else []
    if isinstance(value, (int, float)):
        others = {value + 1, value - 1, 2 * value} - {value}
        return [ast.Constant(other) for other in sorted(others)]
    return []


def other_names(name, names, one_time):
    """Other variables; the items of the batch in another order; t one off, or of the first item."""
    if name not in names:
        return [ast.Name(other, ast.Load()) for other in kin(name)]
    others = sorted(names - {name})
    if name in TIMES:
        others += [f"{name} + 1", f"{name} - 1"]
    if name == "t" and not one_time:
        others += ["np.ravel(t)[0]", "np.flip(t)"]
    if name not in TIMES:
        others += [f"{name}[::-1]"]
    return [expression(other) for other in others]


def other_attributes(node):
    """The functions' kin; and, of a shape, one item or one column for all (shared noise)."""
    if node.attr == "shape":
        array = ast.unparse(node.value)
        return [expression(f"{array}[:1].shape"), expression(f"{array}[..., :1].shape")]
    return [ast.Attribute(node.value, name, node.ctx) for name in kin(node.attr)]


def other_calls(call):
    """The first argument alone; two neighbours exchanged; one keyword left out."""
    others, given = list(call.args[:1]), call.args
    if isinstance(call.func, ast.Attribute) and not given:  # x.sum() → x
        others.append(call.func.value)
    for i in range(len(given) - 1):
        swapped = [*given[:i], given[i + 1], given[i], *given[i + 2:]]
        others.append(ast.Call(call.func, swapped, call.keywords))
    for keyword in call.keywords:
        rest = [other for other in call.keywords if other is not keyword]
        others.append(ast.Call(call.func, given, rest))
    return others


def places(node, left_out=()):
    """Where nodes stand below this one, without those that are left out and what is below them."""
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for i, child in enumerate(children):
            if isinstance(child, ast.AST) and child not in left_out:
                if not matters_little(node, field, i, child):
                    yield node, field, i, child
                    yield from places(child, left_out)


def matters_little(parent, field, i, node):
    """Whether it is a docstring, a message, or an array that only its shape is needed of."""
    if isinstance(node, (ast.Raise, ast.arguments)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(parent, ast.Attribute):  # x.shape
        return parent.attr in ("shape", "ndim")
    if isinstance(parent, ast.Call) and field == "args":  # len(x), at(table, t, x)
        function = ast.unparse(parent.func)
        return function in ("len", "np.shape") or (function, i) == ("at", 2)
    return False


def changes(function, left_out):
    """The sources of the function with one change each, and each only once."""
    names = {argument.arg for argument in function.args.args}
    one_time = function.name in ONE_TIME or "t" not in names
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    sources = {ast.unparse(function): None}  # a dict keeps the order
    for parent, field, i, node in places(function, left_out):
        for other in replacements(node, names, one_time):
            put(parent, field, i, other)
            sources[ast.unparse(function)] = None
        put(parent, field, i, node)
    return list(sources)[1:]


def put(parent, field, i, node):
    value = getattr(parent, field)
    if isinstance(value, list):
        value[i] = node
    else:
        setattr(parent, field, node)


# The laws.

LAWS = judge.all_laws()
VERDICTS = {}  # on the unchanged file: {name of the law: holds, round-off, broken or missing}


def verdict_on(module, name):
    """What a law says of an implementation.  An error or a lack of time or memory: broken."""
    signal.alarm(SECONDS)
    try:
        return judge.judge(LAWS[name], Implementation(module), shrink=False).kind
    except Exception:
        return judge.BROKEN
    finally:
        signal.alarm(0)


def noticed(module, names):
    """The first of these laws that has another verdict on the changed file, or None."""
    if smoke(Implementation(module)):
        return "the small calls"
    for name in names:
        if verdict_on(module, name) != VERDICTS[name]:
            return name
    return None


def calls(code, name):
    """The functions of the file that a law calls, directly or through others; and its seconds."""
    called, module = set(), load(code)
    for function in [value for value in vars(module).values() if callable(value)]:
        setattr(module, function.__name__, traced(function, called))
    start = time.perf_counter()
    verdict_on(module, name)
    return called, time.perf_counter() - start


def traced(function, called):
    def trace(*arguments, **options):
        called.add(function.__name__)
        return function(*arguments, **options)
    return trace


def load(code, change=""):
    """The file as a module, with the changed function in the place of its own."""
    module = types.ModuleType("changed")
    exec(code, module.__dict__)
    exec(change, module.__dict__)
    return module


def too_slow(*_):
    raise TimeoutError


def not_run(function, code, names):
    """The statements of the function that these laws never run: an error there is not noticed."""
    found = []
    for parent, field, i, node in places(function):
        if isinstance(node, ast.stmt):
            put(parent, field, i, ast.parse("raise RuntimeError").body[0])
            if noticed(load(code, ast.unparse(function)), names) is None:
                found.append(node)
            put(parent, field, i, node)
    return found


def try_function(function, code, names):
    """The number of changes, and the lines of each that these laws did not notice."""
    left_out = not_run(function, code, names)
    original, survivors = ast.unparse(function).splitlines(), []
    for node in left_out:
        survivors.append(["never run: " + ast.unparse(node).splitlines()[0]])
    sources = changes(function, left_out)
    for source in sources:
        if noticed(load(code, source), names) is None:
            lines = difflib.unified_diff(original, source.splitlines(), n=0, lineterm="")
            survivors.append([line for line in lines if line[:3] not in ("---", "+++", "@@ ")])
    return len(left_out) + len(sources), survivors


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", help="default: all")
    parser.add_argument("--file", type=Path, default=PLAIN)
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))

    tree = ast.parse(arguments.file.read_text(encoding="utf-8"))
    code = compile(tree, str(arguments.file), "exec")
    VERDICTS.update({name: verdict_on(load(code), name) for name in LAWS})
    obeyed = [name for name in LAWS if VERDICTS[name] in (judge.HOLDS, judge.ROUND_OFF)]
    for name in sorted(set(LAWS) - set(obeyed)):
        print(f"not asked: {name}, {VERDICTS[name]} for the unchanged file")
    called = {name: calls(code, name) for name in obeyed}
    order = sorted(obeyed, key=lambda name: (len(called[name][0]), called[name][1]))

    tried = unnoticed = 0
    for function in tree.body:
        wanted = arguments.functions or [getattr(function, "name", None)]
        if not isinstance(function, ast.FunctionDef) or function.name not in wanted:
            continue
        names = [name for name in order if function.name in called[name][0]]
        count, survivors = try_function(function, code, names)
        tried, unnoticed = tried + count, unnoticed + len(survivors)
        print(f"\n{function.name}: {count} changes, {len(survivors)} not noticed "
              f"by {len(names)} laws", flush=True)
        for lines in survivors:
            print("\n".join(f"    {line}" for line in lines), flush=True)
    print(f"\n{tried} changes, {tried - unnoticed} noticed, {unnoticed} not")


if __name__ == "__main__":
    main()
