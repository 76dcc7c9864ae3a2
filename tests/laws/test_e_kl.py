"""E. KL of diagonal Gaussians.  Functions only; one statistical law."""
import mpmath
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, cases, log_normal

numbers = st.floats(-5, 5)
variances = st.floats(-3, 3).map(np.exp)


def scalar_kl(ddpm, *parameters):
    """KL(N(m, v) ‖ N(n, w)) for four numbers m, v, n, w."""
    return float(np.squeeze(ddpm.kl(*(np.full((1, 1), p) for p in parameters))))


def test_kl_has_a_direction(ddpm):
    """KL(N(0,1) ‖ N(0,4)) = log 2 − 3/8 and KL(N(0,4) ‖ N(0,1)) = 3/2 − log 2 (1.1)."""
    assert_close(scalar_kl(ddpm, 0, 1, 0, 4), np.log(2) - 3 / 8, 1e-15, law="KL(N(0,1) ‖ N(0,4))")
    assert_close(scalar_kl(ddpm, 0, 4, 0, 1), 3 / 2 - np.log(2), 1e-15, law="KL(N(0,4) ‖ N(0,1))")


@given(numbers, variances, numbers, variances)
def test_kl_is_the_expected_log_ratio(ddpm, m, v, n, w):
    """KL(q ‖ p) = E_q[log q − log p] by Gauss–Hermite nodes, exact for a quadratic (1.1)."""
    z, weight = np.polynomial.hermite_e.hermegauss(8)
    x = (m + np.sqrt(v) * z)[:, None]
    expected = (weight / weight.sum()) @ (log_normal(x, m, v) - log_normal(x, n, w))
    kl = scalar_kl(ddpm, m, v, n, w)
    assert_close(kl, expected, 1e-10, 1 + abs(expected), "KL = E_q[log q − log p]")


@given(numbers, variances, numbers, variances)
def test_kl_is_not_negative_and_zero_for_equals(ddpm, m, v, n, w):
    """KL ≥ 0, and exactly 0 for q = p; > 0 where means or variances differ by over 1e-3."""
    assert_close(scalar_kl(ddpm, m, v, m, v), 0, 0, law="KL(p ‖ p)")
    kl = scalar_kl(ddpm, m, v, n, w)
    different = abs(m - n) > 1e-3 or abs(v - w) > 1e-3
    assert kl > 0 or (kl == 0 and not different), f"KL(N({m}, {v}) ‖ N({n}, {w})) = {kl}"


factors = numbers.filter(lambda a: abs(a) > 0.01)


@given(numbers, variances, numbers, variances, factors, numbers)
def test_kl_does_not_see_a_change_of_units(ddpm, m, v, n, w, a, b):
    """KL is the same for a·x + b, with any a ≠ 0."""
    plain = scalar_kl(ddpm, m, v, n, w)
    moved = scalar_kl(ddpm, a * m + b, a * a * v, a * n + b, a * a * w)
    size = 1 + plain + (abs(b / a) / min(v, w)) ** 2 * 1e-6
    assert_close(moved, plain, 1e-9, size, "KL of a·x + b")


@given(cases(largest_power=1))
def test_kl_adds_over_dimensions(ddpm, case):
    """KL of an item = the sum of the KLs of its coordinates."""
    m, n = case.x_0, case.eps
    v, w = np.exp(np.sin(7 * m)), np.exp(np.cos(5 * n))
    sums = np.zeros(len(m))
    for i in range(len(m)):
        for parameters in zip(m[i].flat, v[i].flat, n[i].flat, w[i].flat):
            sums[i] += scalar_kl(ddpm, *parameters)
    assert_close(ddpm.kl(m, v, n, w), sums, 1e-12, 1 + abs(sums), "KL = Σ KL of the coordinates")


@given(cases())
def test_noise_only_brings_distributions_together(ddpm, case):
    """KL(q(x_t|x_0) ‖ N(0, I)) never rises with t: the data-processing inequality."""
    one, curve = np.ones_like(case.x_0), []
    times = np.unique(np.linspace(1, case.T, 20).astype(int))
    for t in times:
        mean, var = ddpm.q_marginal(case.beta, case.x_0, int(t))
        curve.append(ddpm.kl(mean * one, var * one, 0 * one, one))
    curve = np.array(curve)
    assert (np.diff(curve, axis=0) <= 1e-12 * (1 + curve[:-1])).all(), (
        f"KL(q(x_t|x_0) ‖ N(0, I)) at t = {times} is {curve.tolist()}")


@given(numbers, variances, st.sampled_from([1e-2, 1e-4, 1e-6, 1e-8]), st.sampled_from([-1, 0, 1]))
def test_kl_of_nearly_equal(ddpm, m, v, delta, sign):
    """KL(N(m, v(1 + δ)) ‖ N(m′, v)) → δ²/4 − δ³/6 + (m − m′)²/2v.

    The textbook formula loses all digits here.
    """
    n = m + sign * delta * np.sqrt(v)
    w = v * (1 + delta)
    exact_delta, shift = (w - v) / v, (m - n) ** 2 / (2 * v)
    expected = exact_delta ** 2 / 4 - exact_delta ** 3 / 6 + exact_delta ** 4 / 8 + shift
    assert_close(scalar_kl(ddpm, m, w, n, v), expected, 1e-6, expected, "KL of nearly equal")


@given(st.floats(-80, 80), st.floats(-80, 80))
def test_kl_of_tiny_and_huge_variances(ddpm, log_v, log_w):
    """For |log v| ≤ 80 the KL is finite, and right against 50 digits."""
    v, w = np.exp(log_v), np.exp(log_w)
    with mpmath.workdps(50):
        r = mpmath.mpf(v) / mpmath.mpf(w)
        expected = float((r - 1 - mpmath.log(r)) / 2)
    # v/w is known to a unit round-off; so for v ≈ w, KL ≈ (v/w − 1)²/4 has fewer digits.
    size = expected + 1e-3 * np.sqrt(expected)
    assert_close(scalar_kl(ddpm, 0, v, 0, w), expected, 1e-12, size, "KL")


def test_kl_against_monte_carlo(ddpm):
    """Statistical: fixed seed, 200,000 draws, 6 standard errors."""
    rng = np.random.default_rng(0)
    m, v = rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3)))
    n, w = rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3)))
    x = m + np.sqrt(v) * rng.standard_normal((200_000, 3))
    ratio = log_normal(x, m, v) - log_normal(x, n, w)
    error = ratio.std() / np.sqrt(len(x))
    assert_close(ddpm.kl(m, v, n, w), ratio.mean(), 6, error, "KL by Monte Carlo")
