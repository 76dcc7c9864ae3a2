"""G. The decoder, L_0.  Functions only, held against Φ in 40 digits."""
import mpmath
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close

LEVELS = 2 * np.arange(256)[:, None] / 255 - 1
stds = st.floats(-6, 2).map(np.exp)


def all_levels(ddpm, mean, std):
    """log P_k for k = 0…255 under N(mean, std²), (256,)."""
    return ddpm.decoder_log_prob(LEVELS, np.full((256, 1), mean), np.full((256, 1), std ** 2))


def log_interval(low, high):
    """log[Φ(high) − Φ(low)], computed in the left tail, where nothing cancels."""
    with mpmath.workdps(40):
        if low + high > 0:
            low, high = -high, -low
        return float(mpmath.log(mpmath.ncdf(high) - mpmath.ncdf(low)))


@given(st.floats(-1.5, 1.5), stds)
def test_the_256_probabilities_sum_to_one(ddpm, mean, std):
    """Σ_k P_k = 1 (Ho 13).  This holds for any CDF; that it is Φ, the next law says."""
    assert_close(np.exp(all_levels(ddpm, mean, std)).sum(), 1, 1e-12, law="Σ P_k")


@given(st.floats(-1, 1), st.floats(-4, 1).map(np.exp), st.integers(1, 254))
def test_a_level_is_the_true_integral_over_its_bin(ddpm, mean, std, k):
    """P_k = Φ((x + 1/255 − μ)/σ) − Φ((x − 1/255 − μ)/σ) with the normal CDF Φ (Ho 13)."""
    with mpmath.workdps(40):
        edges = [((2 * k + side) / mpmath.mpf(255) - 1 - mean) / std for side in (-1, 1)]
    expected = log_interval(*edges)
    assert_close(all_levels(ddpm, mean, std)[k], expected, 1e-9, 1 + abs(expected), f"log P_{k}")


@given(st.floats(-1, 1), stds)
def test_the_levels_are_mirror_images(ddpm, mean, std):
    """P_k(μ) = P_{255−k}(−μ)."""
    left, right = all_levels(ddpm, mean, std), all_levels(ddpm, -mean, std)[::-1]
    assert_close(left, right, 1e-9, 1 + abs(right), "log P_k(μ) = log P_{255-k}(−μ)")


def test_a_wide_gaussian_leaves_half_to_either_end(ddpm):
    """σ → ∞: P = ½, 0 … 0, ½, because the bins of the first and last level extend to ±∞."""
    expected = np.concatenate([[0.5], np.zeros(254), [0.5]])
    assert_close(np.exp(all_levels(ddpm, 0.0, 1e6)), expected, 1e-6, law="P_k")


@given(st.sampled_from([-150.0, -60.0, -20.0, 20.0, 60.0, 150.0]))
def test_far_tails_are_finite_and_have_a_slope(ddpm, z):
    """To 150σ log P is right, and it changes by about z/1000 if μ moves by σ/1000.

    So log P is nowhere constant, and its gradient nowhere zero.
    """
    std, k = 0.005, 128
    x, var = LEVELS[k:k + 1], np.full((1, 1), std ** 2)

    def log_p(mean):
        return float(ddpm.decoder_log_prob(x, np.full((1, 1), mean), var)[0])

    mean = x[0, 0] - z * std
    with mpmath.workdps(40):
        edges = [((2 * k + side) / mpmath.mpf(255) - 1 - mean) / std for side in (-1, 1)]
    expected = log_interval(*edges)
    assert_close(log_p(mean), expected, 1e-9, 1 + z * z, f"log P at {z} standard deviations")
    slope = (log_p(mean + 1e-3 * std) - log_p(mean)) / 1e-3
    assert_close(slope, z, 1.5, law="its slope in μ/σ")


@given(st.floats(-0.5, 0.5), st.floats(0.2, 0.4))
def test_fine_levels_approach_the_density(ddpm, mean, std):
    """log P_k ≈ log density + log(2/255), the width of a bin, but for k = 0 and 255."""
    means, variances = np.full((256, 1), mean), np.full((256, 1), std ** 2)
    smooth = ddpm.continuous_log_prob(LEVELS, means, variances) - np.log(127.5)
    assert_close(all_levels(ddpm, mean, std)[1:-1], smooth[1:-1], 5e-3, law="log P_k")


@given(st.floats(-1, 1), stds)
def test_the_density_integrates_to_one(ddpm, mean, std):
    """∫ density = 1, by the trapezoid rule over ±10σ."""
    x = mean + std * np.linspace(-10, 10, 2001)[:, None]
    log_p = ddpm.continuous_log_prob(x, np.full_like(x, mean), np.full_like(x, std ** 2))
    density = np.exp(log_p)
    assert_close(density.sum() * std * 20 / 2000, 1, 1e-12, law="∫ density")


def test_images_are_counted_pixel_by_pixel(ddpm):
    """The log-probability of an image is the sum over its pixels, item by item."""
    rng = np.random.default_rng(0)
    k = rng.integers(0, 256, (3, 4, 5))
    mean = rng.uniform(-1, 1, k.shape)
    x_0, var = 2 * k / 255 - 1, np.full(k.shape, 0.04)
    whole = ddpm.decoder_log_prob(x_0, mean, var)
    parts = ddpm.decoder_log_prob(*(array.reshape(-1, 1) for array in (x_0, mean, var)))
    assert_close(whole, parts.reshape(3, -1).sum(1), 1e-12, abs(whole), "log P of the image")
