"""E. KL of diagonal Gaussians.  Functions only; the Monte-Carlo law says so."""
import mpmath
import numpy as np
from strategies import assert_close, cases, log_normal
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-5, 5)
variances = st.floats(-3, 3).map(np.exp)


def scalar_kl(ddpm, *parameters):
    return float(np.squeeze(ddpm.kl(*(np.full((1, 1), p) for p in parameters))))


def test_kl_has_a_direction(ddpm):
    """KL(N(0,1) ‖ N(0,4)) = log 2 − 3/8 and KL(N(0,4) ‖ N(0,1)) = 3/2 − log 2 (1.1)."""
    assert_close(scalar_kl(ddpm, 0, 1, 0, 4), np.log(2) - 3 / 8, 1e-15, law="KL(N(0,1) ‖ N(0,4))")
    assert_close(scalar_kl(ddpm, 0, 4, 0, 1), 3 / 2 - np.log(2), 1e-15, law="KL(N(0,4) ‖ N(0,1))")


@given(numbers, variances, numbers, variances)
def test_kl_is_the_expected_log_ratio(ddpm, m, v, n, w):
    """KL(q ‖ p) = E_q[log q − log p] by Gauss–Hermite quadrature, exact for the quadratic it is (1.1)."""
    z, weight = np.polynomial.hermite_e.hermegauss(8)
    x = (m + np.sqrt(v) * z)[:, None]
    expected = (weight / weight.sum()) @ (log_normal(x, m, v) - log_normal(x, n, w))
    assert_close(scalar_kl(ddpm, m, v, n, w), expected, 1e-10, 1 + abs(expected), "KL = E_q[log q − log p]")


@given(numbers, variances, numbers, variances)
def test_kl_is_not_negative_and_zero_for_equals(ddpm, m, v, n, w):
    """KL ≥ 0, and exactly 0 for q = p; > 0 where they differ visibly."""
    assert_close(scalar_kl(ddpm, m, v, m, v), 0, 0, law="KL(p ‖ p)")
    kl, apart = scalar_kl(ddpm, m, v, n, w), abs(m - n) > 1e-3 or abs(v - w) > 1e-3
    assert kl > 0 or kl == 0 and not apart, f"KL(N({m}, {v}) ‖ N({n}, {w})) = {kl}"


@given(numbers, variances, numbers, variances, numbers.filter(lambda a: abs(a) > 0.01), numbers)
def test_kl_does_not_see_a_change_of_units(ddpm, m, v, n, w, a, b):
    """KL is the same for a·x + b, a < 0 too."""
    plain = scalar_kl(ddpm, m, v, n, w)
    moved = scalar_kl(ddpm, a * m + b, a * a * v, a * n + b, a * a * w)
    assert_close(moved, plain, 1e-9, 1 + plain + (abs(b / a) / min(v, w)) ** 2 * 1e-6, "KL of a·x + b")


@given(cases(largest_power=1))
def test_kl_adds_over_dimensions(ddpm, case):
    """KL of independent coordinates = the sum of theirs, item by item."""
    m, n = case.x_0, case.eps
    v, w = np.exp(np.sin(7 * m)), np.exp(np.cos(5 * n))
    one_by_one = [sum(scalar_kl(ddpm, *p) for p in zip(*(a[i].ravel() for a in (m, v, n, w)))) for i in range(len(m))]
    assert_close(ddpm.kl(m, v, n, w), one_by_one, 1e-12, 1 + abs(np.array(one_by_one)), "KL of the whole = Σ KL of the parts")


@given(cases())
def test_noise_only_brings_distributions_together(ddpm, case):
    """Data processing: KL(q(x_t|x_0) ‖ N(0, I)) never rises with t."""
    one = np.ones_like(case.x_0)
    times = np.unique(np.linspace(1, case.T, 20).astype(int))
    curve = np.array([ddpm.kl(*(a * one for a in ddpm.q_marginal(case.beta, case.x_0, int(t))), 0 * one, one) for t in times])
    assert (np.diff(curve, axis=0) <= 1e-12 * (1 + curve[:-1])).all(), f"KL(q(x_t|x_0) ‖ N(0, I)) at t = {times} is {curve.tolist()}"


@given(numbers, variances, st.sampled_from([1e-2, 1e-4, 1e-6, 1e-8]), st.sampled_from([-1, 0, 1]))
def test_kl_of_nearly_equal(ddpm, m, v, delta, sign):
    """KL(N(m, v(1 + δ)) ‖ N(m', v)) → δ²/4 − δ³/6 + (m − m')²/2v: the textbook formula has no digit left here."""
    n = m + sign * delta * np.sqrt(v)
    w = v * (1 + delta)
    exact_delta, shift = (w - v) / v, (m - n) ** 2 / (2 * v)
    expected = exact_delta ** 2 / 4 - exact_delta ** 3 / 6 + exact_delta ** 4 / 8 + shift
    assert_close(scalar_kl(ddpm, m, w, n, v), expected, 1e-6, expected, "KL of nearly equal")


@given(st.floats(-80, 80), st.floats(-80, 80))
def test_kl_of_tiny_and_huge_variances(ddpm, log_v, log_w):
    """|log v| ≤ 80: finite, and right against 50 digits."""
    v, w = np.exp(log_v), np.exp(log_w)
    with mpmath.workdps(50):
        r = mpmath.mpf(v) / mpmath.mpf(w)
        expected = float((r - 1 - mpmath.log(r)) / 2)
    # The ratio v/w is known to a unit round-off, and KL ≈ (v/w − 1)²/4 to as many digits as that leaves.
    assert_close(scalar_kl(ddpm, 0, v, 0, w), expected, 1e-12, expected + 1e-3 * np.sqrt(expected), "KL")


def test_kl_against_monte_carlo(ddpm):
    """Statistical: fixed seed, 200,000 draws, 6 standard errors."""
    rng = np.random.default_rng(0)
    m, v, n, w = rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3))), rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3)))
    x = m + np.sqrt(v) * rng.standard_normal((200_000, 3))
    ratio = log_normal(x, m, v) - log_normal(x, n, w)
    assert_close(ddpm.kl(m, v, n, w), ratio.mean(), 6, ratio.std() / np.sqrt(len(x)), "KL by Monte Carlo")
