"""G. The decoder, L_0.  Functions only, held against Φ in 40 digits."""
import mpmath
import numpy as np
from exact import log_normal
from hypothesis import strategies as st
from strategies import for_all, seeds
from verdict import assert_close, everyday

LEVELS = 2 * np.arange(256)[:, None] / 255 - 1
TAILS = "Φ(b) − Φ(a) by subtraction"
stds = st.floats(-6, 2).map(np.exp)


def all_levels(ddpm, mean, std):
    """log P_k for k = 0…255 under N(mean, std²), (256,)."""
    means, variances = np.full((256, 1), mean), np.full((256, 1), std ** 2)
    return ddpm.decoder_log_prob(LEVELS.copy(), means, variances)


def edges(k, mean, std):
    """The ends of the bin of level k, in standard deviations, in 40 digits."""
    with mpmath.workdps(40):
        low, high = (((2 * k + side) / mpmath.mpf(255) - 1 - mean) / std for side in (-1, 1))
    return (-mpmath.inf if k == 0 else low), (mpmath.inf if k == 255 else high)


def log_interval(low, high):
    """log[Φ(high) − Φ(low)], computed in the left tail, where nothing cancels."""
    with mpmath.workdps(40):
        if low + high > 0:
            low, high = -high, -low
        return float(mpmath.log(mpmath.ncdf(high) - mpmath.ncdf(low)))


def assert_log_prob(log_p, expected, exact, scale, law, std):
    """Compare logarithms exactly; for round-off, the probabilities themselves.

    The ends of a bin, of size 1, are divided by std; what this loses, Φ loses, too.
    """
    if everyday():
        assert_close(np.exp(log_p), np.exp(expected), 0, 1, law.replace("log ", ""), 1 / std, TAILS)
    else:
        assert_close(log_p, expected, exact, scale, law, 1, TAILS)


@for_all(mean=st.floats(-1.5, 1.5), std=stds)
def test_the_256_probabilities_sum_to_one(ddpm, mean, std):
    """Σ_k P_k = 1 (Ho 13).  This holds for any CDF; that it is Φ, the next law says."""
    total = np.exp(all_levels(ddpm, mean, std)).sum()
    assert_close(total, 1, 1e-12, law="Σ P_k", lost=256 / std, why=TAILS, forgive=True)


def check_level(ddpm, k, z, std):
    """Level k of a Gaussian that lies z standard deviations from it, against Φ in 40 digits."""
    mean = LEVELS[k, 0] - z * std
    expected = log_interval(*edges(k, mean, std))
    lost = np.exp(-expected) + abs(z) * (1 + abs(mean)) / std
    assert_close(all_levels(ddpm, mean, std)[k], expected, 1e-9, 1, f"log P_{k}", lost, TAILS,
                 forgive=True)


@for_all(z=st.floats(-5, 5), std=st.floats(-4, 1).map(np.exp), k=st.integers(1, 254))
def test_a_level_is_the_true_integral_over_its_bin(ddpm, z, std, k):
    """P_k = Φ((x + 1/255 − μ)/σ) − Φ((x − 1/255 − μ)/σ) with the normal CDF Φ (Ho 13)."""
    check_level(ddpm, k, z, std)


@for_all(z=st.floats(-5, 5), std=st.floats(-4, 1).map(np.exp), k=st.sampled_from([0, 255]))
def test_the_first_and_last_level_reach_to_infinity(ddpm, z, std, k):
    """P_0 = Φ((−1 + 1/255 − μ)/σ) and P_255 = 1 − Φ((1 − 1/255 − μ)/σ) (Ho 13)."""
    check_level(ddpm, k, z, std)


@for_all(mean=st.floats(-1, 1), std=stds)
def test_the_levels_are_mirror_images(ddpm, mean, std):
    """P_k(μ) = P_{255−k}(−μ) (Ho 13)."""
    left, right = all_levels(ddpm, mean, std), all_levels(ddpm, -mean, std)[::-1]
    assert_log_prob(left, right, 1e-9, 1 + abs(right), "log P_k(μ) = log P_{255-k}(−μ)", std)


def test_a_wide_gaussian_leaves_half_to_either_end(ddpm):
    """σ → ∞: P = ½, 0 … 0, ½, because the bins of the first and last level reach to ±∞ (Ho 13)."""
    expected = np.concatenate([[0.5], np.zeros(254), [0.5]])
    assert_close(np.exp(all_levels(ddpm, 0.0, 1e6)), expected, 1e-6, law="P_k")


@for_all(z=st.sampled_from([-150.0, -60.0, -20.0, -6.0, 6.0, 20.0, 60.0, 150.0]))
def test_far_tails_are_finite_and_have_a_slope(ddpm, z):
    """To 150σ log P is right, and it changes by about z/1000 if μ moves by σ/1000 (Ho 13).

    So log P is nowhere constant, and its gradient nowhere zero.
    """
    std, k = 0.005, 128
    x, var = LEVELS[k:k + 1].copy(), np.full((1, 1), std ** 2)

    def log_p(mean):
        return float(ddpm.decoder_log_prob(x, np.full((1, 1), mean), var)[0])

    mean = x[0, 0] - z * std
    expected = log_interval(*edges(k, mean, std))
    assert_log_prob(log_p(mean), expected, 1e-9, 1 + z * z, f"log P, {z:g} deviations away", std)
    if not everyday():
        slope = (log_p(mean + 1e-3 * std) - log_p(mean)) / 1e-3
        assert_close(slope, z, 1.5, law="slope of log P in μ/σ", lost=1, why=TAILS)


@for_all(mean=st.floats(-0.5, 0.5), std=st.floats(0.2, 0.4))
def test_fine_levels_approach_the_density(ddpm, mean, std):
    """log P_k ≈ log density + log(2/255), the width of a bin, but for k = 0 and 255 (Ho 13)."""
    smooth = log_normal(LEVELS, mean, std ** 2) - np.log(127.5)
    log_p = all_levels(ddpm, mean, std)
    near = smooth > -14  # in float32 a plain difference of Φ is lost beyond
    assert_close(log_p[1:-1], smooth[1:-1], 5e-3, law="log P_k",
                 lost=np.where(near, 1, np.exp(-smooth))[1:-1] / std, why=TAILS)


def draw_images(seed, levels):
    """Images of two channels with a mean and a variance for each pixel: x_0, mean, var, k."""
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 256, (3, 2, 2, 2))
    mean = 2 * k / 255 - 1 + 0.2 * rng.standard_normal(k.shape)
    x_0 = 2 * k / 255 - 1 if levels else rng.standard_normal(k.shape)
    return x_0, mean, np.exp(rng.uniform(-3, -1, k.shape)), k


@for_all(examples=5, seed=seeds)
def test_images_are_counted_pixel_by_pixel(ddpm, seed):
    """log P of an image is the sum over all its axes, each pixel with its own σ² (Ho 13)."""
    x_0, mean, var, k = draw_images(seed, levels=True)
    log_p = ddpm.decoder_log_prob(x_0, mean, var)
    each = [log_interval(*edges(int(k[i]), mean[i], np.sqrt(var[i]))) for i in np.ndindex(k.shape)]
    expected = np.reshape(each, (3, -1)).sum(1)
    assert_close(log_p, expected, 1e-9, 1 + abs(expected), "log P of the image", 1e3, TAILS)


@for_all(seed=seeds)
def test_density_of_an_image(ddpm, seed):
    """log N(x_0; μ, σ²) is the sum over all axes, each pixel with its own σ² (Luo 26)."""
    x_0, mean, var, _ = draw_images(seed, levels=False)
    expected = log_normal(x_0, mean, var)
    size = 10 + ((abs(x_0) + abs(mean)) ** 2 / var).reshape(3, -1).sum(1)
    found = ddpm.continuous_log_prob(x_0, mean, var)
    assert_close(found, expected, 1e-14, size, "log density of the image", forgive=True)


@for_all(mean=st.floats(-1, 1), std=stds)
def test_the_density_integrates_to_one(ddpm, mean, std):
    """∫ density = 1, by the trapezoid rule over ±10σ (Luo 26)."""
    x = mean + std * np.linspace(-10, 10, 2001)[:, None]
    log_p = ddpm.continuous_log_prob(x, np.full_like(x, mean), np.full_like(x, std ** 2))
    total = np.exp(log_p).sum() * std * 20 / 2000
    assert_close(total, 1, 1e-12, law="∫ density", lost=10 * abs(mean) / std + 100, forgive=True,
                 why="x − μ in round-off")


@for_all(seed=seeds)
def test_levels_are_rounded(ddpm, seed):
    """x_0 becomes the nearest level k, where x = 2k/255 − 1, and 0 or 255 outside [−1, 1]."""
    rng = np.random.default_rng(seed)
    k = np.arange(256).reshape(2, 8, 16)
    x_0 = 2 * (k + rng.uniform(-0.49, 0.49, k.shape)) / 255 - 1
    assert_close(ddpm.to_levels(x_0), k, 0, law="the nearest level")
    outside = np.array([[-1.7, -1.01, 1.01, 5.0]])
    assert_close(ddpm.to_levels(outside), [[0, 0, 255, 255]], 0, law="the level of x_0 outside")
