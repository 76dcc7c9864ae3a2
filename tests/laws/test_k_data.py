"""K. The same laws on data: digits, and points of the plane.  One law with an oracle."""
import datasets
import mpmath
import numpy as np
from exact import gaussian_oracle, tables, written_elbo
from hypothesis import strategies as st
from strategies import for_all
from test_g_decoder import TAILS
from verdict import assert_close

LEVELS = datasets.digits(300)
DATA = {"digits": datasets.from_levels(LEVELS),
        "moons": datasets.moons(np.random.default_rng(0), 1000)}
BETA, SHORT = np.linspace(1e-4, 0.02, 1000), np.linspace(0.01, 0.6, 10)


@for_all(name=st.sampled_from(sorted(DATA)), t=st.sampled_from([1, 10, 100, 1000]))
def test_noised_data_has_known_moments(ddpm, name, t):
    """Over a data set, E[x_t] = √ᾱ_t·E[x_0] and Var[x_t] = ᾱ_t·Var[x_0] + 1 − ᾱ_t (5.1.2).

    Dimension by dimension.
    """
    x_0, (log_ab, om, _) = DATA[name].copy(), tables(BETA)
    mean, var = ddpm.q_marginal(BETA, x_0, t)
    ab = np.exp(log_ab[t])
    assert_close(mean.mean(0), np.sqrt(ab) * x_0.mean(0), 1e-12, law=f"E[x_{t}]", lost=t)
    spread = mean.var(0) + np.mean(var)
    assert_close(spread, ab * x_0.var(0) + om[t], 1e-12, law=f"Var[x_{t}]", lost=t)


def test_digits_are_decoded_level_by_level(ddpm):
    """log P(digit) under N(μ, σ²) is the sum over its pixels of log P_level (Ho 13).

    Each level against Φ in 40 digits.
    """
    mean, std = -0.5, 0.4
    with mpmath.workdps(40):
        inner = [((2 * k + 1) / mpmath.mpf(255) - 1 - mean) / std for k in range(255)]
        phi = [mpmath.ncdf(edge) for edge in (-mpmath.inf, *inner, mpmath.inf)]
        log_p_level = [float(mpmath.log(high - low)) for low, high in zip(phi, phi[1:])]
    x_0 = DATA["digits"][:50].copy()
    log_p = ddpm.decoder_log_prob(x_0, np.full_like(x_0, mean), np.full_like(x_0, std ** 2))
    each = np.array(log_p_level)[LEVELS[:50]].reshape(50, -1)
    lost = np.exp(-each).sum(1) / std / abs(log_p)
    assert_close(log_p, each.sum(1), 1e-9, abs(log_p), "log P(digit)", lost, TAILS)


def test_ledger_of_digits(ddpm):
    """Needs an oracle; statistical: fixed seed, 6 standard errors.

    With the optimal denoiser of a Gaussian that has the digits' mean and variances, the ledger's
    mean over many draws is the exact −ELBO of that digit, with all its 784 pixels (2.2).
    """
    pixels = DATA["digits"].reshape(300, -1)
    denoiser = gaussian_oracle(SHORT, pixels.mean(0), pixels.var(0) + 0.05)
    for digit in pixels[:2]:
        x_0, rng = np.tile(digit, (100, 1)), np.random.default_rng(0)
        totals = ddpm.ledger_total(SHORT, denoiser, x_0, rng, "beta")
        exact = -written_elbo(SHORT, denoiser, digit[None], "beta", SHORT[0])
        assert_close(totals.mean(), exact, 6, totals.std() / 10, "mean of the ledger's totals")
