"""A. The schedule.  Functions only: no oracle, nothing random."""
import numpy as np
from exact import tables
from hypothesis import assume
from hypothesis import strategies as st
from strategies import a_schedule_and_times, betas, for_all
from verdict import assert_at_most, assert_close, require


@for_all(beta=betas())
def test_alpha_bar_is_the_product_of_alphas(ddpm, beta):
    """ᾱ_0 = 1, ᾱ falls, and log ᾱ_t = Σ_{s≤t} log(1 − β_s) (Ho 4)."""
    ab, t = ddpm.alpha_bar(beta), np.arange(len(beta) + 1)
    require(ab.shape == t.shape, f"ᾱ has {ab.shape} entries for T = {len(beta)}: ᾱ_0…ᾱ_T are T + 1")
    require(ab[0] == 1, f"ᾱ_0 = {ab[0]}, not 1")
    require(np.diff(ab) <= 0, f"ᾱ does not fall: {ab[:5]}")
    log_ab = np.log(ab)
    size = 1 + t * (1 + abs(log_ab))
    assert_close(log_ab, tables(beta)[0], 1e-15, size, "log ᾱ_t = Σ log(1 − β)", lost=1)


@for_all(beta=betas())
def test_one_minus_alpha_bar_does_not_cancel(ddpm, beta):
    """1 − ᾱ_t = −expm1(Σ log1p(−β)) to relative 1e-12, even at β = 1e-10 (Ho 4)."""
    om, t = tables(beta)[1], np.arange(len(beta) + 1)
    lost = (t + 1) / np.where(t > 0, om, 1)
    assert_close(ddpm.one_minus_alpha_bar(beta), om, 1e-12, om, "1 − ᾱ_t", lost)


@for_all(beta=betas())
def test_signal_to_noise_only_falls(ddpm, beta):
    """log SNR_t = log ᾱ_t − log(1 − ᾱ_t), and it falls with t (Luo 109)."""
    log_ab, om, _ = tables(beta)
    log_snr, t = ddpm.log_snr(beta), np.arange(1, len(beta) + 1)
    expected = log_ab[1:] - np.log(om[1:])
    lost = (t + 1) * (1 + 1 / om[1:])
    assert_close(log_snr, expected, 1e-11, 1 + abs(expected), "log SNR_t", lost)
    size = 1 + abs(expected[1:])
    assert_at_most(log_snr[1:], log_snr[:-1], size, "log SNR_t ≤ log SNR_{t-1}", lost[1:])


every_length = st.sampled_from([21, 50, 100, 400, 1000])


@for_all(T=every_length)
def test_linear_schedule_is_linear(ddpm, T):
    """The second difference of β is zero, and there are T of them (Ho §4)."""
    beta = ddpm.linear_beta(T)
    require(beta.shape == (T,), f"β has shape {beta.shape} for T = {T}")
    assert_close(np.diff(beta, 2), 0, 1e-15, 1 + 1 / beta.max(), "second difference of β")


@for_all(T=every_length)
def test_linear_schedule_keeps_its_shape(ddpm, T):
    """β rises, and β_1/β_T = 1/200, as Ho's 1e-4 and 0.02, at every T that is offered (Ho §4)."""
    beta = ddpm.linear_beta(T)
    require(np.diff(beta) > 0, f"β does not rise: {beta[0]:.3g}, {beta[1]:.3g} … {beta[-1]:.3g}")
    assert_close(beta[0] / beta[-1], 1 / 200, 1e-9, 1 / 200, "β_1/β_T", lost=200)


@for_all(T=every_length)
def test_linear_schedule_ends_in_noise(ddpm, T):
    """√ᾱ_T < 0.05 for every T: x_T in training must be close to N(0, I), where sampling starts."""
    root = np.exp(np.log1p(-ddpm.linear_beta(T)).sum() / 2)
    require(root < 0.05, f"√ᾱ_T = {root:.3f} at T = {T}: x_T still shows x_0")


@for_all(T=st.sampled_from([1, 2, 5, 10, 20]))
def test_linear_schedule_refuses_what_it_cannot_do(ddpm, T):
    """0 < β_t < 1, or an error: at small T a β_T ≥ 1 would make NaN."""
    try:
        beta = ddpm.linear_beta(T)
    except ValueError:
        return
    require((beta > 0) & (beta < 1), f"β_T = {beta[-1]:.6g} at T = {T}, and 0 < β < 1")


@for_all(T=st.sampled_from([1, 2, 3, 10, 100, 1000]))
def test_cosine_schedule(ddpm, T):
    """ᾱ_t = f(t/T)/f(0) with f(u) = cos²((u + .008)/1.008·π/2), for t < T (Improved DDPM 17)."""
    ab = ddpm.cosine_schedule(T)[1]
    require(ab.shape == (T + 1,), f"ᾱ has shape {ab.shape} for T = {T}: ᾱ_0…ᾱ_T are T + 1")
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    lost = np.arange(T) + 1 / np.sqrt(f[:-1])
    assert_close(ab[:-1], f[:-1] / f[0], 1e-11, f[:-1], "ᾱ_t = f(t/T)/f(0)", lost)


@for_all(T=st.sampled_from([1, 2, 3, 10, 100, 1000]))
def test_cosine_schedule_is_rebuilt_after_clipping(ddpm, T):
    """β_T alone is clipped, and ᾱ_T follows from the clipped β_T (Improved DDPM §3.2)."""
    beta, ab = ddpm.cosine_schedule(T)
    require(beta.shape == (T,), f"β has shape {beta.shape} for T = {T}")
    require(0 < 1 - beta[-1] < 0.01, f"β_T = {beta[-1]} is clipped, to a number just below 1")
    require(beta[:-1] < beta[-1], f"β_T = {beta[-1]} is not the largest β")
    lost = T + 1 / (1 - beta[-1])
    follows = ab[-2] * (1 - beta[-1])
    assert_close(ab[-1], follows, 1e-12, follows, "ᾱ_T = ᾱ_{T-1}·(1 − β_T)", lost, forgive=True)
    kept = np.cumprod(1 - beta)
    lost = np.arange(1, T + 1) + np.cumsum(1 / (1 - beta))
    assert_close(ab[1:], kept, 1e-11, kept, "ᾱ_t = ∏(1 − β_s)", lost, forgive=True)


@for_all(drawn=a_schedule_and_times((2, 3, 5, 8, 50, 1000), smallest=1e-10))
def test_respaced_chain_keeps_the_marginals(ddpm, drawn):
    """∏_{j≤i}(1 − β′_j) = ᾱ_{τ_i} (Improved DDPM §4)."""
    beta, times = drawn
    log_ab = tables(beta)[0]
    assume(log_ab[-1] > -20)  # or a β′ could be 1 in floating point
    short = ddpm.respace(beta, np.array(times))[0]
    require(short.shape == (len(times),), f"β′ has shape {short.shape} for {len(times)} times")
    expected = np.exp(log_ab[times])
    assert_close(np.cumprod(1 - short), expected, 1e-12, law="∏(1 − β′) = ᾱ_τ", lost=len(beta))


@for_all(drawn=a_schedule_and_times((2, 3, 5, 8, 50, 1000), smallest=1e-10))
def test_respaced_network_is_told_the_old_times(ddpm, drawn):
    """The network is given τ_i, not i (Improved DDPM §4)."""
    beta, times = drawn
    assume(tables(beta)[0][-1] > -20)
    given_t = ddpm.respace(beta, np.array(times))[1]
    require(list(given_t) == times, f"the network is given {list(given_t)}, not {times}")
