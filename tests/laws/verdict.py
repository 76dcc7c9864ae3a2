"""How a law compares: exactly, or as closely as the arithmetic on trial allows.

A law is tried in up to four stages, see `judge`.  In the first two, its numbers must agree to the
exact tolerance that it names.  In the last two, everyday draws must agree to what cancellation
explains: `lost` tells how many units of round-off a plain computation loses there.
"""
from typing import NamedTuple

import numpy as np

DOUBLE, SINGLE = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
SPARE = 32  # units of round-off that any computation may use up
SUBTRACTION = "1 − ᾱ_t by subtraction"


class Stage(NamedTuple):
    """exact: to the law's tolerance; sharp: extreme draws only; unit: of forgiven round-off."""

    exact: bool
    sharp: bool
    unit: float


SHARP, EXACT = Stage(True, True, DOUBLE), Stage(True, False, DOUBLE)
ROUND_64, ROUND_32 = Stage(False, False, DOUBLE), Stage(False, False, SINGLE)
stage = EXACT


def set_stage(new):
    global stage
    stage = new


def everyday():
    """Whether draws are everyday ones: no β below 1e-4, ᾱ_T not below e^−20."""
    return not stage.exact


def root_of_round_off():
    """Units of round-off in the root of what should be 0, and is one unit."""
    return 1 / (8 * np.sqrt(stage.unit))


class Violation(AssertionError):
    """What a law found: which equation, both sides, how far apart, and where digits may be lost.

    ratio: the difference, in units of what is allowed.
    """

    def __init__(self, sentence, equation="", yours=None, laws=None, ratio=np.inf, why=""):
        super().__init__(sentence)
        self.equation, self.yours, self.laws = equation, yours, laws
        self.ratio, self.why = float(ratio), why


def require(condition, sentence):
    """A condition that is no comparison of numbers."""
    if not np.all(condition):
        raise Violation(sentence)


def tolerance_of(exact, scale, lost, forgive):
    """What is allowed in this stage: `exact`·scale, or what round-off explains."""
    rounding = SPARE * stage.unit * (1.0 + np.asarray(lost, float))
    if stage.exact:
        return np.maximum(exact, rounding) * scale if forgive else exact * np.asarray(scale, float)
    return np.maximum(exact, rounding) * scale


def assert_close(yours, laws, exact, scale=1.0, law="", lost=0.0, why=SUBTRACTION, forgive=False):
    """|yours − law's| ≤ exact·scale everywhere; a Violation tells both sides.

    scale    the size of the terms that are added, which round-off is proportional to
    lost     units of round-off, for each unit of scale, that a plain computation loses
    why      where it loses them
    forgive  allow them in the exact stages, too: the law is not about digits
    """
    yours, laws = np.asarray(yours, float), np.asarray(laws, float)
    try:
        yours, laws = np.broadcast_arrays(yours, laws)
    except ValueError:
        raise Violation(f"{law}: yours has shape {yours.shape}, the law's {laws.shape}",
                        law) from None
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = np.broadcast_to(tolerance_of(exact, scale, lost, forgive), yours.shape)
        difference = np.where(yours == laws, 0.0, abs(yours - laws))  # −inf = −inf holds
        wrong = ~(difference <= allowed)  # NaN is wrong, too
    if wrong.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(wrong, difference / allowed, 0.0)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)
        i = np.unravel_index(ratio.argmax(), ratio.shape)
        where = f" at index {tuple(map(int, i))}" if ratio.ndim else ""
        sentence = (f"{law}: yours {yours[i]:.10g}, the law's {laws[i]:.10g}{where}; "
                    f"they differ by {difference[i]:.2g} where {allowed[i]:.2g} is allowed")
        why = why if np.any(np.asarray(lost) > 0) else ""
        raise Violation(sentence, law, float(yours[i]), float(laws[i]), ratio[i], why)


def assert_standard_normal(z, law):
    """z, (n, k), is i.i.d. N(0, 1) over items and columns, to 6 standard errors.

    Mean, covariance, fourth moment, and the covariance of items at every distance.
    """
    n, k = z.shape
    assert_close(z.mean(0), 0, 6, 1 / np.sqrt(n), f"mean of {law}")
    error = np.sqrt((1 + np.eye(k)) / n)
    assert_close(z.T @ z / n, np.eye(k), 6, error, f"covariance of {law}")
    assert_close((z ** 4).mean(0), 3, 6, np.sqrt(96 / n), f"fourth moment of {law}")
    spectrum = abs(np.fft.rfft(z, axis=0)) ** 2
    every_distance = np.fft.irfft(spectrum, n, axis=0)[1:] / n
    assert_close(every_distance, 0, 6, 1 / np.sqrt(n), f"covariance of items, of {law}")


def assert_at_most(yours, limit, scale=1.0, law="", lost=0.0, why=SUBTRACTION, forgive=False):
    """yours ≤ limit, but for round-off."""
    over = np.maximum(np.asarray(yours, float) - limit, 0.0)
    if np.isnan(over).any() or (over > 0).any():
        yours = np.asarray(yours, float) + 0.0
        least = np.minimum(yours, limit) + 0.0 * over
        assert_close(yours + 0.0 * over, least, 0.0, scale, law, lost, why, forgive)
