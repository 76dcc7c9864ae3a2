"""E. KL of diagonal Gaussians.  Functions only; one statistical law."""
import mpmath
import numpy as np
from exact import at, log_normal
from hypothesis import strategies as st
from strategies import cases, for_all
from verdict import assert_at_most, assert_close, everyday, require

numbers = st.floats(-5, 5)
variances = st.floats(-3, 3).map(np.exp)
LOGARITHM = "r − 1 − log r by subtraction"


def scalar_kl(ddpm, *parameters):
    """KL(N(m, v) ‖ N(n, w)) for four numbers m, v, n, w."""
    return float(np.squeeze(ddpm.kl(*(np.full((1, 1), p) for p in parameters))))


@for_all(m=numbers, v=variances, n=numbers, w=variances)
def test_kl_of_gaussians(ddpm, m, v, n, w):
    """KL(N(m, v) ‖ N(n, w)) = ½[log(w/v) + (v + (m − n)²)/w − 1] (1.1)."""
    expected = 0.5 * (np.log(w / v) + (v + (m - n) ** 2) / w - 1)
    size = 1 + (v + (abs(m) + abs(n)) ** 2) / w + abs(np.log(w / v))
    assert_close(scalar_kl(ddpm, m, v, n, w), expected, 1e-14, size, "KL(N(m, v) ‖ N(n, w))",
                 forgive=True)


@for_all(which=st.booleans())
def test_kl_has_a_direction(ddpm, which):
    """KL(N(0,1) ‖ N(0,4)) = log 2 − 3/8 and KL(N(0,4) ‖ N(0,1)) = 3/2 − log 2 (1.1)."""
    if which:
        kl, expected = scalar_kl(ddpm, 0, 1, 0, 4), np.log(2) - 3 / 8
        assert_close(kl, expected, 1e-15, law="KL(N(0,1) ‖ N(0,4))", forgive=True)
    else:
        kl, expected = scalar_kl(ddpm, 0, 4, 0, 1), 3 / 2 - np.log(2)
        assert_close(kl, expected, 1e-15, law="KL(N(0,4) ‖ N(0,1))", forgive=True)


@for_all(m=numbers, v=variances, n=numbers, w=variances)
def test_kl_is_the_expected_log_ratio(ddpm, m, v, n, w):
    """KL(q ‖ p) = E_q[log q − log p] by Gauss–Hermite nodes, exact for a quadratic (1.1)."""
    z, weight = np.polynomial.hermite_e.hermegauss(8)
    x = (m + np.sqrt(v) * z)[:, None]
    log_q, log_p = log_normal(x, m, v), log_normal(x, n, w)
    expected = (weight / weight.sum()) @ (log_q - log_p)
    size = 1 + abs(log_q).max() + abs(log_p).max() + (abs(m) + abs(n)) ** 2 / w
    assert_close(scalar_kl(ddpm, m, v, n, w), expected, 1e-10, size, "KL = E_q[log q − log p]")


@for_all(m=numbers, v=variances)
def test_kl_of_equals_is_zero(ddpm, m, v):
    """KL(p ‖ p) = 0 (1.1)."""
    assert_close(scalar_kl(ddpm, m, v, m, v), 0, 0, 1 + abs(np.log(v)), "KL(p ‖ p)", forgive=True)


@for_all(m=numbers, v=variances, n=numbers, w=variances)
def test_kl_is_positive(ddpm, m, v, n, w):
    """KL > 0 where means or variances differ (1.1)."""
    kl = scalar_kl(ddpm, m, v, n, w)
    size = 1 + abs(np.log(v)) + abs(np.log(w))
    assert_at_most(-kl, 0, size, "−KL ≤ 0", 1)
    different = abs(m - n) > 0.01 or abs(v - w) > 0.01
    require(kl > 0 or not different, f"KL(N({m}, {v}) ‖ N({n}, {w})) = {kl}")


factors = numbers.filter(lambda a: abs(a) > 0.01)


@for_all(m=numbers, v=variances, n=numbers, w=variances, a=factors, b=numbers)
def test_kl_does_not_see_a_change_of_units(ddpm, m, v, n, w, a, b):
    """KL is the same for a·x + b, with any a ≠ 0 (1.1)."""
    plain = scalar_kl(ddpm, m, v, n, w)
    moved = scalar_kl(ddpm, a * m + b, a * a * v, a * n + b, a * a * w)
    far = abs(m) + abs(n) + abs(b / a)
    size = 1 + plain + abs(np.log(a * a)) + far * (1 + far) / min(v, w)
    assert_close(moved, plain, 1e-14, size, "KL of a·x + b", forgive=True)


@for_all(case=cases(largest_power=1))
def test_kl_adds_over_dimensions(ddpm, case):
    """KL of an item = the sum of the KLs of its coordinates, one number for each item (1.1)."""
    m, n = case.x_0, case.eps
    v, w = np.exp(np.sin(7 * m)), np.exp(np.cos(5 * n))
    sums = np.zeros(len(m))
    for i in range(len(m)):
        for parameters in zip(m[i].flat, v[i].flat, n[i].flat, w[i].flat):
            sums[i] += scalar_kl(ddpm, *parameters)
    size = (1 + m ** 2 + n ** 2).reshape(len(m), -1).sum(1) * 3
    assert_close(ddpm.kl(m, v, n, w), sums, 1e-14, size, "KL = Σ KL of the coordinates",
                 forgive=True)


@for_all(case=cases())
def test_noise_only_brings_distributions_together(ddpm, case):
    """KL(q(x_t|x_0) ‖ N(0, I)) never rises with t: the data-processing inequality (1.1)."""
    one, curve = np.ones_like(case.x_0), []
    times = np.unique(np.linspace(1, case.T, 20).astype(int))
    for t in times:
        c = at(case.beta, int(t), case.x_0)
        curve.append(ddpm.kl(c.root_ab * case.x_0, c.om * one, 0 * one, one))
    curve = np.array(curve)
    size = case.x_0[0].size * (1 + abs(np.log(at(case.beta, 1, 1.0).om))) + curve[:-1]
    assert_at_most(curve[1:], curve[:-1], size, f"KL(q(x_t|x_0) ‖ N(0, I)) at t = {times}", 1)


@for_all(m=numbers, v=variances, delta=st.sampled_from([1e-2, 1e-4, 1e-6, 1e-8]),
         sign=st.sampled_from([-1, 0, 1]))
def test_kl_of_nearly_equal(ddpm, m, v, delta, sign):
    """KL(N(m, v(1 + δ)) ‖ N(m′, v)) → δ²/4 − δ³/6 + (m − m′)²/2v (1.1).

    The textbook formula loses all digits here.
    """
    n = m + sign * delta * np.sqrt(v)
    w = v * (1 + delta)
    exact_delta, shift = (w - v) / v, (m - n) ** 2 / (2 * v)
    expected = exact_delta ** 2 / 4 - exact_delta ** 3 / 6 + exact_delta ** 4 / 8 + shift
    lost = (1 + m ** 2 * abs(m - n) / v) / expected
    assert_close(scalar_kl(ddpm, m, w, n, v), expected, 1e-6, expected, "KL of nearly equal", lost,
                 LOGARITHM)


@for_all(log_v=st.floats(-80, 80), log_w=st.floats(-80, 80))
def test_kl_of_tiny_and_huge_variances(ddpm, log_v, log_w):
    """For |log v| ≤ 80 the KL is finite, and right against 50 digits (1.1)."""
    factor = 0.1 if everyday() else 1.0
    v, w = np.exp(factor * log_v), np.exp(factor * log_w)
    with mpmath.workdps(50):
        r = mpmath.mpf(v) / mpmath.mpf(w)
        expected = float((r - 1 - mpmath.log(r)) / 2)
    size = 1 + expected + abs(log_v) + abs(log_w)
    assert_close(scalar_kl(ddpm, 0, v, 0, w), expected, 1e-12, size, "KL", forgive=True)


def test_kl_against_monte_carlo(ddpm):
    """KL = E_q[log q − log p] (1.1).  Statistical: fixed seed, 200,000 draws, 6 standard errors."""
    rng = np.random.default_rng(0)
    m, v = rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3)))
    n, w = rng.normal(size=(1, 3)), np.exp(rng.normal(size=(1, 3)))
    x = m + np.sqrt(v) * rng.standard_normal((200_000, 3))
    ratio = log_normal(x, m, v) - log_normal(x, n, w)
    error = ratio.std() / np.sqrt(len(x))
    assert_close(ddpm.kl(m, v, n, w), ratio.mean(), 6, error, "KL by Monte Carlo")
