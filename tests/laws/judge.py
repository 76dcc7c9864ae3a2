"""Trying a law on an implementation, and the verdict: holds, holds to round-off, or broken.

The stages of `verdict` in turn: sharp draws and then all draws at the exact tolerance; if these
fail, everyday draws at what round-off of float64 explains, and for an implementation that computes
in float32, that of float32; if these fail, too, the law is broken, and a smallest case is looked
for.  The draws depend on the law's name alone, unless a seed is given.
"""
import importlib
import inspect
import time
import types
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import smoke
import strategies
import verdict
from hypothesis import HealthCheck, Phase, given, settings
from implementation import INTERFACE, Lacking, Missing
from verdict import Violation

HOLDS, ROUND_OFF, BROKEN, MISSING = "holds", "round-off", "broken", "missing"


def all_laws():
    """{name: law} of this folder, in order."""
    folder, found = Path(__file__).parent, {}
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, law in vars(module).items():
            if name.startswith("test_") and law.__module__ == path.stem:
                found[name] = law
    return found


def needs(law):
    """The functions of the interface that a law uses, itself or in what it passes `ddpm` to."""
    found, todo = set(), [getattr(law, "law", law)]
    for function in todo:
        codes = [function.__code__]
        for code in codes:
            codes.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
            for name in code.co_names:
                if name in INTERFACE:
                    found.add(name)
                value = function.__globals__.get(name)
                value = value.__init__ if inspect.isclass(value) else value
                if takes_ddpm(value) and value not in todo:
                    todo.append(value)
    return found


def takes_ddpm(value):
    if not inspect.isfunction(value):
        return False
    code = value.__code__
    return "ddpm" in code.co_varnames[:code.co_argcount]


class Failure(NamedTuple):
    """A case that breaks a law: {argument: value}, and what was found there."""

    error: Violation
    case: dict


class Verdict(NamedTuple):
    """kind: holds, round-off, broken or missing; why: a few words, or the sentence of the failure.

    smallest, largest: the smallest case, and the one with the largest violation, if it is broken.
    """

    kind: str
    why: str = ""
    smallest: Any = None
    largest: Any = None


def judge(law, ddpm, examples=1.0, seed=None, shrink=True, usual=None):
    """The verdict on one law.

    examples: a factor on the number of draws.
    seed: None, or a number for other draws after the usual ones.  They can only make the verdict
    worse; and in float32 they only find what is broken, for which draws are exact in float32 is
    chance.  usual: the verdict with the usual draws, if it is known.
    """
    trial = Trial(law, ddpm, examples)
    try:
        lacking = sorted(name for name in needs(law) if not ddpm.has(name))
        if lacking:
            raise Missing(", ".join(lacking))
        usual = usual or trial.verdict(shrink)
        if seed is None or usual.kind == BROKEN:
            return usual
        trial.seed = seed
        other = trial.verdict(shrink)
        worse = other.kind == BROKEN or (usual.kind == HOLDS and not smoke.is_single(ddpm))
        return other if worse else usual
    except Missing as error:
        return Verdict(MISSING, str(error))
    finally:
        verdict.set_stage(verdict.EXACT)


class Trial:
    """A law on trial: it runs the stages, and keeps the failures of the last one."""

    MOST_FAILURES, MOST_SECONDS = 100, 0.5  # of the search for a smaller case

    def __init__(self, law, ddpm, examples):
        self.law, self.ddpm, self.factor = getattr(law, "law", law), ddpm, examples
        self.drawn, self.examples = getattr(law, "drawn", {}), getattr(law, "examples", 1)
        self.seed = zlib.crc32(law.__name__.encode())
        self.failures = []

    def verdict(self, shrink):
        """holds, round-off or broken, by the stages in turn."""
        exact = self.exact_failure(verdict.DOUBLE)
        if exact and smoke.is_single(self.ddpm):
            exact = self.exact_failure(verdict.SINGLE)
        if exact is None:
            return Verdict(HOLDS)
        last = verdict.ROUND_64
        if self.first_failure(last) is None:
            return Verdict(ROUND_OFF, exact.error.why or "right for β ≥ 1e-4, not at the extremes")
        if smoke.is_single(self.ddpm):
            last = verdict.ROUND_32
            if self.first_failure(last) is None:
                return Verdict(ROUND_OFF, "arithmetic in float32")
        if shrink:
            self.first_failure(last, shrink=True)
        smallest = self.failures[-1]
        largest = max(self.failures, key=lambda failure: failure.error.ratio)
        return Verdict(BROKEN, str(smallest.error), smallest, largest)

    def exact_failure(self, unit):
        """The first failure of the two exact stages; `unit` is for laws that forgive round-off."""
        stages = verdict.SHARP._replace(unit=unit), verdict.EXACT._replace(unit=unit)
        return self.first_failure(stages[0]) or self.first_failure(stages[1])

    def first_failure(self, stage, shrink=False):
        """None, or the first case that fails; with shrink, `failures` then ends in a small one."""
        verdict.set_stage(stage)
        self.failures, self.tried, self.shrinking = [], 0, shrink
        self.declined = None
        if not self.drawn:
            if stage.sharp:
                return None
            self.try_case({})
        else:
            self.search(max(3, int(self.factor * self.examples * (0.4 if stage.sharp else 1))))
        if self.failures:
            return self.failures[0]
        if self.tried == 0 and not stage.sharp:
            raise self.declined or Missing("nothing that it takes was drawn")
        return None

    def search(self, examples):
        """Hypothesis draws the cases; it looks for a smaller one if `shrinking`."""
        def body(**case):
            if self.failures and not self.may_go_on():
                return
            if not self.try_case(case):
                raise AssertionError

        phases = [Phase.generate] + [Phase.shrink] * self.shrinking
        body = settings(max_examples=examples, phases=phases, database=None, deadline=None,
                        report_multiple_bugs=False, print_blob=False,
                        suppress_health_check=list(HealthCheck))(body)
        try:
            hypothesis.seed(self.seed)(given(**self.drawn)(body))()
        except hypothesis.errors.Unsatisfiable:
            pass
        except (AssertionError, hypothesis.errors.Flaky):
            if not self.failures:
                raise

    def may_go_on(self):
        return (self.shrinking and len(self.failures) < self.MOST_FAILURES
                and time.monotonic() < self.deadline)

    def try_case(self, case):
        """Whether the law holds for the case; a failure is kept."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.law(self.ddpm, **case)
        except Missing as error:
            self.declined = error
            if self.drawn and not isinstance(error, Lacking):
                hypothesis.reject()
            raise
        except Violation as error:
            self.keep(error, case)
            return False
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            sentence = (f"the law cannot compute with what was returned: "
                        f"{type(error).__name__}: {error}")
            self.keep(Violation(sentence), case)
            return False
        self.tried += 1
        return True

    def keep(self, error, case):
        if not self.failures:
            self.deadline = time.monotonic() + self.MOST_SECONDS
        self.failures.append(Failure(error, case))


def describe(case):
    """The case in one line: schedules by name, short arrays by value, long ones by shape."""
    parts = []
    for name, value in case.items():
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            parts += [f"{field} = {shown(part)}" for field, part in value._asdict().items()]
        elif isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
            parts += [f"beta = {shown(value[0])}"] + [shown(part) for part in value[1:]]
        else:
            parts.append(f"{name} = {shown(value)}")
    return ", ".join(parts)


def shown(value):
    """A value as it may be typed: linear(50), [0.1, 0.2], or the shape of a long array."""
    array = np.asarray(value)
    if array.ndim == 1 and array.dtype.kind == "f":
        for schedule in (strategies.linear, strategies.cosine):
            if len(array) > 2 and np.array_equal(array, schedule(len(array))):
                return f"{schedule.__name__}({len(array)})"
    if array.ndim == 0:
        return f"{value:.6g}" if array.dtype.kind == "f" else repr(value)
    if array.size <= 8:
        return np.array2string(array, precision=6, separator=", ").replace("\n", "")
    if (array == array.flat[0]).all():
        return f"{array.flat[0]:.6g} everywhere, {array.shape}"
    return f"an array {array.shape} from {array.min():.6g} to {array.max():.6g}"
