"""The laws are fair: they accept right answers, see wrong ones, and say what to do."""
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "laws"), str(TESTS / "museum")]
import judge  # noqa: E402
import smoke  # noqa: E402
from implementation import INTERFACE, Implementation, load  # noqa: E402
from loader import PLAIN, implementation  # noqa: E402
from plain_exhibits import PLAIN_EXHIBITS  # noqa: E402

LAWS = judge.all_laws()
README = (TESTS / "README.md").read_text(encoding="utf-8")
plain = load(TESTS / "museum" / PLAIN)


def only(module, *names):
    """An implementation that has these functions of the module, and no others."""
    return Implementation(types.SimpleNamespace(**{name: getattr(module, name) for name in names}))


def verdicts(ddpm, names=LAWS):
    """{law: verdict}, but for laws that lack a function."""
    found = {name: judge.judge(LAWS[name], ddpm, shrink=False) for name in names}
    return {name: verdict for name, verdict in found.items() if verdict.kind != judge.MISSING}


def broken(ddpm, names=LAWS):
    return {name: verdict.why for name, verdict in verdicts(ddpm, names).items()
            if verdict.kind == judge.BROKEN}


# Right answers.

def test_the_textbook_in_float64_is_right():
    ddpm = Implementation(plain)
    assert smoke.smoke(ddpm) == {}
    found = verdicts(ddpm)
    assert len(found) == len(LAWS)
    assert not [name for name, verdict in found.items() if verdict.kind == judge.BROKEN]
    reasons = {verdict.why for verdict in found.values() if verdict.kind == judge.ROUND_OFF}
    assert "1 − ᾱ_t by subtraction" in reasons and not smoke.is_single(ddpm)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_naive_pytorch_in_float32_is_right():
    ddpm = Implementation(load(TESTS / "museum" / "plain_torch.py"))
    assert smoke.smoke(ddpm) == {} and smoke.is_single(ddpm)
    assert broken(ddpm) == {}


RIGHT = {
    "refused by an assertion": """
def linear_beta(T):
    assert T > 20, "T is too small"
    return plain.linear_beta(T)
""",
    "beta_tilde_2 at t = 1": """
def p_step(beta, x_t, t, eps, variance, clip=None):
    mean, var = plain.p_step(beta, x_t, t, eps, variance, clip)
    if variance == "beta_tilde" and len(beta) > 1:
        bt = plain.beta_tilde_table(beta)[2]
        var = np.where(np.reshape(t, np.shape(t) + (1,) * (x_t.ndim - 1)) == 1, bt, var)
    return mean, var
""",
    "beta_tilde_1 = 0 at t = 1": """
def p_step(beta, x_t, t, eps, variance, clip=None):
    mean, var = plain.p_step(beta, x_t, t, eps, variance, clip)
    if variance == "beta_tilde":
        var = np.where(np.reshape(t, np.shape(t) + (1,) * (x_t.ndim - 1)) == 1, 0.0, var)
    return mean, var
""",
    "log 0 in both tails": """
def decoder_log_prob(x_0, mean, var):
    with np.errstate(divide="ignore"):
        cdf = np.vectorize(lambda z: 0.5 * (1 + math.erf(z / 2 ** 0.5)))
        high = np.where(x_0 > 0.999, 1.0, cdf((x_0 + 1 / 255 - mean) / np.sqrt(var)))
        low = np.where(x_0 < -0.999, 0.0, cdf((x_0 - 1 / 255 - mean) / np.sqrt(var)))
        return np.log(high - low).reshape(len(x_0), -1).sum(1)
""",
    "an ulp where the branch has an exact zero": """
def q_posterior(beta, x_t, x_0, t):
    mean, var = plain.q_posterior(beta, x_t, x_0, t)
    return mean + 1e-17 * x_t, var
""",
    "a last deviation that is not exactly 0": """
def sampler_step(beta, x_t, t, eps, z, variance):
    x = plain.sampler_step(beta, x_t, t, eps, z, variance)
    return x + 1e-15 * z if t == 1 else x
""",
    "times in opposite pairs": """
def draw_times(rng, T, n):
    half = rng.integers(1, T + 1, size=(n + 1) // 2)
    return np.stack([half, T + 1 - half], 1).reshape(-1)[:n]
""",
    "an average in place": """
def ema_update(ema, weights, decay):
    ema *= decay
    ema += (1 - decay) * weights
    return ema
""",
    "an embedding in float32, cosines first": """
def time_embedding(t, dim):
    e = plain.time_embedding(t, dim).astype(np.float32)
    return np.concatenate([e[:, dim // 2:], e[:, :dim // 2]], 1)
""",
    "results that are no arrays": """
class Tensor:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)

def q_sample(beta, x_0, t, eps):
    return Tensor(plain.q_sample(beta, x_0, t, eps))
""",
    "float32 tables, float64 results": """
def q_sample(beta, x_0, t, eps):
    ab = plain.at(np.append(1.0, np.cumprod(np.float32(1) - beta.astype(np.float32))), t, x_0)
    return np.sqrt(ab) * x_0 + np.sqrt((1 - ab).astype(np.float32)).astype(float) * eps
""",
    "quadratic times": """
def ddim_times(T, n):
    return np.ceil(np.linspace(1, n, n) ** 2 / n ** 2 * T).astype(int) if n * n <= T else (
        plain.ddim_times(T, n))
"""}


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_right_answers_that_look_unusual(source):
    module = types.ModuleType("right")
    exec("import math\nimport numpy as np\n", module.__dict__)
    module.plain = plain
    exec(source, module.__dict__)
    name = re.findall(r"^def (\w+)", source, re.MULTILINE)[-1]
    ddpm = only(module, name)
    assert smoke.smoke(ddpm) == {}
    found = verdicts(ddpm)
    assert any(judge.needs(LAWS[law]) for law in found)
    assert broken(ddpm) == {}


# Each function by itself.

@pytest.mark.parametrize("name", INTERFACE)
def test_a_function_alone_is_judged(name):
    """Right, nothing is broken; with one line wrong, a law that needs nothing else is broken."""
    own = [law for law in LAWS if judge.needs(LAWS[law]) == {name}]
    right = verdicts(only(plain, name), own)
    assert right and not [law for law in right if right[law].kind == judge.BROKEN]
    exhibits = [exhibit for exhibit in PLAIN_EXHIBITS if exhibit.inside == name]
    assert exhibits, f"no exhibit has a wrong line in {name}"
    for exhibit in exhibits:
        wrong = only(implementation(exhibit).module, name)
        every = own + [law for law in LAWS if not judge.needs(LAWS[law])]
        assert broken(wrong, every), f"{exhibit.name}: no law sees it in {name} alone"


HOMEWORK = re.search(r"```python\n(import numpy.*?)```", README, re.DOTALL)[1]
STEP = "(x_t - b / np.sqrt(1 - ab) * eps) / np.sqrt(1 - b), b"
BETA_TILDE = ("(x_t - b / np.sqrt(1 - ab) * eps) / np.sqrt(1 - b), "
              "b if variance == 'beta' else b * (1 - {}) / (1 - ab)")


def homework(tmp_path, step):
    assert STEP in HOMEWORK
    path = tmp_path / "homework.py"
    path.write_text(HOMEWORK.replace(STEP, step), encoding="utf-8")
    return path


@pytest.mark.parametrize("step, names", [
    ("(x_t - b / (1 - ab) * eps) / np.sqrt(1 - b), b", ["mean", "variance"]),
    (STEP, ["variance"]),
    (BETA_TILDE.format("column(alpha_bar(beta)[np.minimum(t, len(beta) - 1)], x_t)"),
     ["variance"])])
def test_a_homework_with_a_wrong_step_is_broken(tmp_path, step, names):
    """No root; always β; β̃ of another t: nothing but p_step and its like is there."""
    found = broken(Implementation(load(homework(tmp_path, step))))
    for name in names:
        assert f"test_{name}_of_the_reverse_step" in found


# The front.

def try_file(*arguments):
    """What `python tests/laws` prints, its exit code and the seconds it took."""
    start = time.monotonic()
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, str(TESTS / "laws"), *map(str, arguments)],
                          capture_output=True, text=True, env=environment, encoding="utf-8")
    return done.stdout + done.stderr, done.returncode, time.monotonic() - start


def test_the_front_says_what_is_broken(tmp_path):
    printed, code, _ = try_file(homework(tmp_path, STEP), "--json", tmp_path / "out.json")
    assert code == 1
    for words in ("5 of 46 functions, ", "A. The schedule", "What is broken",
                  "broken    variance of the reverse step",
                  "σ_t² = β_t or β̃_t, t ≥ 2, each item with its own t (Ho §3.2)",
                  "yours       0.", "the law's   0.", "smallest    beta = ", "likely      ",
                  "Missing: linear_beta, ", "5 of 46 functions judged: "):
        assert words in printed, printed
    assert "\033" not in printed and len(printed.splitlines()) < 120
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    laws = {law["law"]: law for law in told["laws"]}
    assert laws["test_variance_of_the_reverse_step"]["verdict"] == "broken"
    assert laws["test_variance_of_the_reverse_step"]["smallest"]["yours"] > 0
    assert told["counts"]["broken"] == sum(law["verdict"] == "broken" for law in told["laws"])
    assert len(laws) == len(LAWS) == sum(told["counts"].values())


def test_a_new_file_has_nothing_broken_and_everything_missing(tmp_path):
    new = tmp_path / "mine.py"
    printed, code, _ = try_file("--new", new)
    assert code == 0 and "fill in what you have" in printed
    printed, code, _ = try_file(new)
    assert code == 0 and "0 laws hold, 0 hold to round-off, 0 broken" in printed, printed
    printed, code, _ = try_file("--new", new)
    assert code == 2 and "is there already" in printed
    new.write_text("")
    printed, code, seconds = try_file(new)
    assert code == 0 and "0 of 46 functions judged" in printed and "0 broken" in printed
    assert all(name in printed for name in INTERFACE)
    assert seconds < 30  # 2 to 3 on a quiet machine


@pytest.mark.parametrize("source, words", [
    (None, "is no file"), ("def alpha_bar(beta:", "cannot be imported: SyntaxError"),
    ("import nobody_has_this", "cannot be imported: ModuleNotFoundError")])
def test_nothing_to_try_is_one_sentence(tmp_path, source, words):
    path = tmp_path / "mine.py"
    if source:
        path.write_text(source)
    printed, code, _ = try_file(path)
    assert code == 2 and words in printed and len(printed.splitlines()) == 1, printed


def test_slips_are_told_by_name_and_in_one_group(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\n"
                    "def alpha_bar(beta):\n    return np.append(1.0, np.cumprod(1 - beta))\n"
                    "def q_smaple(beta):\n    return 0\n"
                    "def q_posterior(beta, x_t, x_0, t):\n    return x_0, beta[t]\n"
                    "def q_marginal(beta, x_0, t):\n    ab = alpha_bar(beta)[t]\n"
                    "    return np.multiply.outer(np.sqrt(ab), x_0), 1 - ab\n")
    printed, code, _ = try_file(path)
    assert code == 1
    assert re.search(r"\d+ laws: .*\n", printed), printed
    assert "q_posterior raised IndexError" in printed and "at T = 1" in printed
    assert "q_marginal returned the shape (3, 3, 2, 4, 1) where (3, 2, 4, 1) belongs" in printed
    assert "q_smaple (is it q_sample?)" in printed


def test_with_exact_round_off_is_broken(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\ndef one_minus_alpha_bar(beta):\n"
                    "    return 1 - np.append(1.0, np.cumprod(1 - beta))\n")
    printed, code, _ = try_file(path)
    assert code == 0 and "round-off one minus alpha bar does not cancel: 1 − ᾱ_t by" in printed
    printed, code, _ = try_file(path, "--exact")
    assert code == 1 and "broken    one minus alpha bar" in printed


def test_a_schedule_is_shown_by_its_name():
    import strategies
    case = {"beta": strategies.linear(50), "other": strategies.cosine(8), "t": np.array([1, 50]),
            "few": np.array([0.5, 0.25]), "x": np.zeros((3, 4))}
    assert judge.describe(case) == ("beta = linear(50), other = cosine(8), t = [ 1, 50], "
                                    "few = [0.5 , 0.25], x = 0 everywhere, (3, 4)")
