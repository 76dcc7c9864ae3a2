"""G. The decoder, L_0.  Functions only, against Φ in many digits."""
import mpmath
import numpy as np
from strategies import assert_close
from hypothesis import given
from hypothesis import strategies as st

LEVELS = 2 * np.arange(256)[:, None] / 255 - 1
stds = st.floats(-6, 2).map(np.exp)


def all_levels(ddpm, mean, std):
    return ddpm.decoder_log_prob(LEVELS, np.full((256, 1), mean), np.full((256, 1), std ** 2))


def log_interval(low, high):
    """log[Φ(high) − Φ(low)], from the left tail, where nothing cancels."""
    with mpmath.workdps(40):
        if low + high > 0:
            low, high = -high, -low
        return float(mpmath.log(mpmath.ncdf(high) - mpmath.ncdf(low)))


@given(st.floats(-1.5, 1.5), stds)
def test_the_256_probabilities_sum_to_one(ddpm, mean, std):
    """Σ_k P_k = 1 (Ho 13).  It telescopes for any CDF: the next law tells which."""
    assert_close(np.exp(all_levels(ddpm, mean, std)).sum(), 1, 1e-12, law="Σ P_k")


@given(st.floats(-1, 1), st.floats(-4, 1).map(np.exp), st.integers(1, 254))
def test_a_level_is_the_true_integral_over_its_bin(ddpm, mean, std, k):
    """P_k = Φ((x + 1/255 − μ)/σ) − Φ((x − 1/255 − μ)/σ) with the true normal Φ, tails too (Ho 13)."""
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
    """σ → ∞: P = ½, 0 … 0, ½: the end bins are open."""
    assert_close(np.exp(all_levels(ddpm, 0.0, 1e6)), np.r_[0.5, np.zeros(254), 0.5], 1e-6, law="P_k")


@given(st.sampled_from([-150.0, -60.0, -20.0, 20.0, 60.0, 150.0]))
def test_far_tails_are_finite_and_have_a_slope(ddpm, z):
    """To 150σ: log P right, and moving μ by σ/1000 moves it by about z/1000: no floor, no flat."""
    std, k = 0.005, 128
    x = LEVELS[k:k + 1]
    def log_p(mean):
        return float(ddpm.decoder_log_prob(x, np.full((1, 1), mean), np.full((1, 1), std ** 2))[0])
    mean = x[0, 0] - z * std
    with mpmath.workdps(40):
        edges = [((2 * k + side) / mpmath.mpf(255) - 1 - mean) / std for side in (-1, 1)]
    assert_close(log_p(mean), log_interval(*edges), 1e-9, 1 + z * z, f"log P at {z} standard deviations")
    assert_close((log_p(mean + 1e-3 * std) - log_p(mean)) / 1e-3, z, 1.5, law="its slope in μ/σ")


@given(st.floats(-0.5, 0.5), st.floats(0.2, 0.4))
def test_fine_levels_approach_the_density(ddpm, mean, std):
    """−log₂ P_k ≈ −log₂ density + log₂ 127.5 away from the ends."""
    smooth = ddpm.continuous_log_prob(LEVELS, np.full((256, 1), mean), np.full((256, 1), std ** 2)) - np.log(127.5)
    assert_close(all_levels(ddpm, mean, std)[1:-1], smooth[1:-1], 5e-3, law="log P_k")


@given(st.floats(-1, 1), stds)
def test_the_density_integrates_to_one(ddpm, mean, std):
    """∫ density = 1 by the trapezoid rule over ±10σ: the log σ is in it."""
    x = mean + std * np.linspace(-10, 10, 2001)[:, None]
    density = np.exp(ddpm.continuous_log_prob(x, np.full_like(x, mean), np.full_like(x, std ** 2)))
    assert_close(density.sum() * std * 20 / 2000, 1, 1e-12, law="∫ density")


def test_images_are_counted_pixel_by_pixel(ddpm):
    """The log-probability of an image is the sum over its pixels, item by item."""
    rng = np.random.default_rng(0)
    k = rng.integers(0, 256, (3, 4, 5))
    mean = rng.uniform(-1, 1, k.shape)
    whole = ddpm.decoder_log_prob(2 * k / 255 - 1, mean, np.full(k.shape, 0.04))
    parts = ddpm.decoder_log_prob(2 * k.reshape(-1, 1) / 255 - 1, mean.reshape(-1, 1), np.full((k.size, 1), 0.04))
    assert_close(whole, parts.reshape(3, -1).sum(1), 1e-12, abs(whole), "log P of the image")
