"""A. The schedule.  Functions only: no oracle, nothing random."""
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import assert_close, betas, round_off, tables


@given(betas())
def test_alpha_bar_is_the_product_of_alphas(ddpm, beta):
    """ᾱ_0 = 1, ᾱ strictly decreasing, |log ᾱ_t − Σ_{s≤t} log(1 − β_s)| ≤ 4tu (Ho 4)."""
    ab, t, u = ddpm.alpha_bar(beta), np.arange(len(beta) + 1), round_off()
    assert len(ab) == len(t) and ab[0] == 1, f"ᾱ has T + 1 entries and ᾱ_0 = 1: {ab[:3]}"
    assert (np.diff(ab) < 0).all() or beta.min() < 4 * u, f"ᾱ does not fall: {ab}"
    size = 1 + t * (1 + abs(np.log(ab)))
    assert_close(np.log(ab), tables(beta)[0], 4 * u, size, "log ᾱ_t = Σ log(1 − β)")


@given(betas())
def test_one_minus_alpha_bar_does_not_cancel(ddpm, beta):
    """1 − ᾱ_t = −expm1(Σ log1p(−β)) to relative 1e-12, even at β = 1e-10."""
    assert_close(ddpm.one_minus_alpha_bar(beta), tables(beta)[1], 1e-12, tables(beta)[1], "1 − ᾱ_t")


@given(betas())
def test_signal_to_noise_only_falls(ddpm, beta):
    """log SNR_t = log ᾱ_t − log(1 − ᾱ_t), strictly decreasing."""
    log_ab, om, _ = tables(beta)
    log_snr = ddpm.log_snr(beta)
    assert_close(log_snr, log_ab[1:] - np.log(om[1:]), 1e-11, 1 + abs(log_snr), "log SNR_t")
    assert (np.diff(log_snr) < 0).all(), f"log SNR does not fall: {log_snr}"


@pytest.mark.parametrize("T", [21, 50, 100, 400, 1000])
def test_linear_schedule_is_linear_and_ends_in_noise(ddpm, T):
    """The second difference of β is zero, and √ᾱ_T < 0.05 for every T.

    Sampling starts from N(0, I), so x_T in training must be close to it.
    """
    beta = ddpm.linear_beta(T)
    assert len(beta) == T, f"{len(beta)} values of β for T = {T}"
    assert_close(np.diff(beta, 2), 0, 1e-15, 1 + 1 / beta.max(), "second difference of β")
    root = np.exp(np.log1p(-beta).sum() / 2)
    assert root < 0.05, f"√ᾱ_T = {root:.3f} at T = {T}: x_T still shows x_0"


@pytest.mark.parametrize("T", [1, 2, 5, 10, 20])
def test_linear_schedule_refuses_what_it_cannot_do(ddpm, T):
    """0 < β_t < 1 or a ValueError: at small T a β_T ≥ 1 would make NaN."""
    try:
        beta = ddpm.linear_beta(T)
    except ValueError:
        return
    assert ((beta > 0) & (beta < 1)).all(), f"β = {beta} at T = {T}"


@pytest.mark.parametrize("T", [1, 2, 3, 10, 100, 1000])
def test_cosine_schedule(ddpm, T):
    """ᾱ_t = f(t/T)/f(0) with f(u) = cos²((u + .008)/1.008·π/2), for t < T (Improved DDPM 17).

    β_T alone is clipped, and ᾱ_T follows from the clipped β_T.
    """
    beta, ab = ddpm.cosine_schedule(T)
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    assert_close(ab[:-1], f[:-1] / f[0], 1e-11, f[:-1], "ᾱ_t = f(t/T)/f(0)")
    assert 0 < 1 - beta[-1] < 0.01, f"β_T = {beta[-1]} is clipped, to a number just below 1"
    assert (beta[:-1] < beta[-1]).all(), f"β_T = {beta[-1]} is not the largest β"
    assert_close(ab[-1], ab[-2] * (1 - beta[-1]), 1e-12, ab[-1], "ᾱ_T = ᾱ_{T-1}·(1 − β_T), clipped")


@given(betas(lengths=(2, 3, 5, 8, 50, 1000)), st.data())
def test_respaced_chain_keeps_the_marginals(ddpm, beta, data):
    """∏_{j≤i}(1 − β′_j) = ᾱ_{τ_i}, and the network is given τ_i, not i (Improved DDPM §4)."""
    log_ab = tables(beta)[0]
    assume(log_ab[-1] > -20)  # or a β′ could be 1 in floating point
    times = sorted(data.draw(st.sets(st.integers(1, len(beta)), min_size=1, max_size=6)))
    short, given_t = ddpm.respace(beta, np.array(times))
    assert list(given_t) == times, f"the network is given {list(given_t)}, the chain visits {times}"
    assert_close(np.cumprod(1 - short), np.exp(log_ab[times]), 1e-12, law="∏(1 − β′) = ᾱ_τ")
