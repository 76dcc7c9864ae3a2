"""Numbers that nobody here wrote: published constants, computed again by tinyddpm's functions.

`printed` allows half a unit of the last printed digit.  Many tests of diffusers allow more, because
its tables are float32; for their numbers we allow what they allow, and each test says how much.
"diffusers" is huggingface/diffusers v0.40.0; "its ddim" is tests/schedulers/test_scheduler_ddim.py.
Its time i = 0…999 is t − 1.
A few published numbers are further from float64 than that.  In their place stands what diffusers
0.42.1 computes when betas, alphas and alphas_cumprod are float64, by the same formulas.
"""
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from tinyddpm import Gaussian, Schedule, ancestral_sampling, as_denoiser, bits_per_dim, cosine
from tinyddpm import ddim_sampling, ddim_step, diffuse, final_sample, linear, predict, prior_term
from tinyddpm import respace, reverse_step, time_embedding
from tinyddpm.decoder import log_normal_interval
from tinyddpm.reverse import interpolated_variance

LINEAR, COSINE, LINEAR_FROM_1_PERCENT = linear(), cosine(), linear(beta_1=0.01)
STABLE_DIFFUSION = Schedule(np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2)
COSINE_IN_FLOAT32 = Schedule(1 - (1 - COSINE.beta[1:].astype(np.float32)).astype(float))
EVERY_100TH, UNIT = range(1, 1000, 100), (-1, 1)


def printed(text):
    """The printed number, give or take half a unit of its last digit."""
    unit = 10.0 ** Decimal(text).as_tuple().exponent
    return pytest.approx(float(text), rel=0, abs=unit / 2)


# Schedules.

@pytest.mark.parametrize("schedule, snr, signal", [
    (LINEAR, "4.035993e-05", "0.006353"), (STABLE_DIFFUSION, "0.004682", "0.068265"),
    (COSINE_IN_FLOAT32, "2.428735e-09", "4.928220e-05")])
def test_published_snr_at_the_last_step(schedule, snr, signal):
    """SNR_T and √ᾱ_T: Lin et al. 2024 (arXiv 2305.08891), table 1.

    1 − 0.999 in float32 is 0.00099998713; in float64 the cosine's are 2.428767e-9, 4.928252e-5.
    """
    assert schedule.snr[-1] == printed(snr)
    assert np.sqrt(schedule.alpha_bar[-1]) == printed(signal)


def test_published_noise_levels_of_the_cosine_schedule():
    """√(1/SNR_t) at t = 1000 − j: u_j of Karras et al. 2022 (arXiv 2206.00364), appendix C.

    u_6 is left out: it is 106.94, and the paper prints 106.
    """
    sigma = COSINE.snr ** -0.5
    for j, u in enumerate("20291 642 321 214 160 128 - 92 80 71".split()):
        assert u == "-" or sigma[1000 - j] == printed(u)
    assert sigma[1] == printed("0.0064")


def test_published_tables_of_stable_diffusion():
    """ᾱ_t in keras-cv (commit c9a3c56), keras_cv/models/stable_diffusion/constants.py; √(1/SNR_t)
    in ComfyUI (c079b69), comfy_extras/nodes_custom_sampler.py, KarrasScheduler.  Both: float32.
    """
    alpha_bar = STABLE_DIFFUSION.alpha_bar.astype(np.float32)
    first, last = [0.99915, 0.998296, 0.9974381], [0.004773902, 0.004716699, 0.0046600983]
    assert (alpha_bar[[1, 2, 3, 998, 999, 1000]] == np.float32(first + last)).all()
    sigma = np.sqrt((1 - alpha_bar) / alpha_bar)
    assert sigma[1] == printed("0.0291675") and sigma[-1] == printed("14.614642")


def test_published_prior_term():
    """L_T ≈ 1e-5 bits/dim (Ho §4): its power of ten, if E[x_0²] = 1/4, about that of CIFAR-10."""
    bits = bits_per_dim(prior_term(LINEAR, np.full((1, 3072), 0.5)).item(), 3072)  # 0.73e-5
    assert round(np.log10(bits)) == -5


# The tests of diffusers: its samples, (4, 3, 8, 8), and its network.

X, REVERSED = (np.moveaxis(numbers.reshape(3, 8, 8, 4) / 768, -1, 0)
               for numbers in (np.arange(768), np.arange(768)[::-1]))


def network(x, t):
    """x·i/(i + 1) with i = t − 1."""
    t = np.reshape(t, (-1, 1, 1, 1))
    return x * ((t - 1) / t)


def test_published_variances():
    """To 1e-5, as in test_variance of its ddpm and ddim, test_variance_* of its unclip.

    Of the learned log-variances, the one at t = 2 is that of float64.  Published is -10.1712790: in
    float32, 1 − ᾱ_1 = 4e-5 has only three digits.
    """
    assert LINEAR.beta_tilde[[1, 488, 1000]] == pytest.approx([0, 0.00979, 0.02], abs=1e-5)
    for t, s, var in [(421, 401, 0.14771), (981, 961, 0.32460)]:
        step = ddim_step(LINEAR, predict(LINEAR, network, X, t), s, eta=1)
        assert step.var == pytest.approx(var, abs=1e-5)
    std = np.sqrt(COSINE.beta_tilde[[488, 1000]])
    assert std == pytest.approx([0.0549625, 0.9994987], abs=1e-5)
    fraction = np.full((3, 1), 0.75)
    learned = interpolated_variance(COSINE, fraction, np.array([2, 488, 1000]), fraction)
    log_var = np.log(learned).ravel()
    assert log_var[0] == printed("-10.171364872")
    assert log_var[1:] == pytest.approx([-5.7998052, -0.0010011], abs=1e-5)


@pytest.mark.parametrize("published, schedule, predicts, x, times, end, clip, allowed", [
    (172.0067, LINEAR, "eps", X, EVERY_100TH, 0, UNIT, 1e-2),                 # …_no_noise
    (52.5302, LINEAR, "v", X, EVERY_100TH, 0, UNIT, 1e-2),                    # …_v_prediction
    (149.8295, LINEAR_FROM_1_PERCENT, "eps", X, EVERY_100TH, 0, UNIT, 1e-2),  # …_set_alpha_to_one
    (149.0784, LINEAR_FROM_1_PERCENT, "eps", X, EVERY_100TH, 1, UNIT, 1e-2),  # …_no_set_alpha_to_…
    (354.5418, LINEAR, "eps", diffuse(LINEAR, X, 101, REVERSED), [1, 101], 0, UNIT, 1e-2),
    (29.8715, STABLE_DIFFUSION, "eps", X, [1, 1000], 1, None, 1e-3),          # tcd, …_onestep_deter
    (181.2040, STABLE_DIFFUSION, "eps", X, [1, *range(100, 1001, 100)], 1, None, 1e-3)])
def test_published_ddim_loops(published, schedule, predicts, x, times, end, clip, allowed):
    """Σ|x_end|: test_full_loop_* of its ddim and, at the end, of its tcd; allowed: as there."""
    denoiser = as_denoiser(schedule, network, predicts)
    steps = ddim_sampling(schedule, denoiser, x, steps=times, clip=clip)
    x_at = {step.t: step.x for step in steps}
    assert abs(x_at[end]).sum() == pytest.approx(published, abs=allowed)


@pytest.mark.parametrize("published, schedule, predicts, s", [
    (671.6816, LINEAR, "eps", 0), (1394.2185, LINEAR, "v", 0),
    (539.9622, LINEAR_FROM_1_PERCENT, "eps", 0), (542.6722, LINEAR_FROM_1_PERCENT, "eps", 1)])
def test_published_ddim_inversion(published, schedule, predicts, s):
    """DDIM from s up to t, Σ|x_901|: test_full_loop_* of its ddim_inverse, to 1e-2, as there.

    The network is asked at t; x̂_0 is clipped, and ε̂ is left as it is.
    """
    x = X
    for t in EVERY_100TH:
        output = network(x, t)
        x_0, eps = x, output  # at s = 0
        if s > 0:
            denoiser = as_denoiser(schedule, lambda x, s, output=output: output, predicts)
            _, _, x_0, eps, _ = predict(schedule, denoiser, x, s)
        x, s = diffuse(schedule, np.clip(x_0, *UNIT), t, eps), t
    assert abs(x).sum() == pytest.approx(published, abs=1e-2)


def test_published_steps_of_a_batch_with_three_times():
    """test_batch_step_no_noise of its ddpm_parallel and ddim_parallel: to 1e-2, as there."""
    x, t = np.concatenate([X, X + 0.1, X - 0.1]), np.repeat([1, 2, 3], 4)
    prediction = predict(LINEAR, network, x, t, clip=UNIT)
    ancestral, ddim = reverse_step(LINEAR, prediction), ddim_step(LINEAR, prediction, 0)
    assert abs(ancestral.mean).sum() == pytest.approx(1153.1833, abs=1e-2)
    assert abs(ddim.mean).sum() == pytest.approx(1147.7904, abs=1e-2)


@pytest.mark.parametrize("published, in_float64, schedule, predicts, x, times", [
    (258.9606, "258.959053", LINEAR, "eps", X, range(1, 1001)),             # ddpm, …_no_noise
    (202.0296, "202.028260", LINEAR, "v", X, range(1, 1001)),               # ddpm, …_v_prediction
    (None, "387.967251", LINEAR, "eps", diffuse(LINEAR, X, 2, REVERSED), [1, 2]),  # …_with_noise
    (None, "252.439002", COSINE, "eps", X, range(1, 1001)),                 # unclip, …_full_loop
    (None, "258.341068", COSINE, "eps", X, 1 + np.rint(np.linspace(0, 999, 25)).astype(int))])
def test_published_ddpm_loops(published, in_float64, schedule, predicts, x, times):
    """Σ|x_0|: test_full_loop* of its ddpm and unclip, to 1e-2, as there, and in float64.

    published None: float32 moves the sum by more than 1e-2; 387.9466, 252.2682495 and 258.2044983
    are published.
    """
    torch = pytest.importorskip("torch", reason="the noise is PyTorch's: this needs torch")
    generator = torch.manual_seed(0)
    rng = SimpleNamespace(standard_normal=lambda shape, dtype: torch.randn(
        shape, generator=generator).numpy().astype(dtype))
    chain, times = respace(schedule, times)
    denoiser = as_denoiser(chain, lambda x, i: network(x, times[i - 1]), predicts)
    steps = ancestral_sampling(chain, denoiser, x, rng, variance="beta_tilde", clip=UNIT)
    total = abs(final_sample(steps)).sum()
    assert total == printed(in_float64)
    assert published is None or total == pytest.approx(published, abs=1e-2)


def test_published_time_embedding():
    """test_sinoid_embeddings_hardcoded of its tests/models/test_layers_utils.py."""
    published = "0.9646 0.9804 0.9892 0.9615 0.9787 0.9882 0.9582 0.9769 0.9872".split()
    embedding = time_embedding(np.arange(23, 26), 64)[:, 47:50]
    for number, text in zip(embedding.flat, published):
        assert number == printed(text)


# The decoder's integral: SciPy 1.17.1, stats/tests/test_distributions.py.

@pytest.mark.parametrize("x, low, high, density", [
    (3.0, 3.0, 4.0, "3.3619772"), (4.0, 3.0, 4.0, "0.1015229"),
    (39.0, 39.0, 40.0, "39.0256074"), (40.0, 39.0, 40.0, "2.73349092e-16")])
def test_published_densities_of_truncated_normals(x, low, high, density):
    """φ(x)/[Φ(high) − Φ(low)], and its mirror image: test_gh_9403_*."""
    log_phi = Gaussian(np.zeros((1, 1)), 1.0).log_prob(np.full((1, 1), x)).item()
    assert np.exp(log_phi - log_normal_interval(low, high)) == printed(density)
    assert np.exp(log_phi - log_normal_interval(-high, -low)) == printed(density)


@pytest.mark.parametrize("low, middle, high, share", [
    (13.0, 14.0, 15.0, 0.9999987259565643), (8.0, 8.3, np.inf, 0.9163220907327540)])
def test_published_shares_of_a_tail(low, middle, high, share):
    """Wolfram Alpha's, in test_cdf_tail_15110_14753: to 1e-14, where SciPy allows 1e-7."""
    log_share = log_normal_interval(low, middle) - log_normal_interval(low, high)
    assert np.exp(log_share) == pytest.approx(share, rel=0, abs=1e-14)
