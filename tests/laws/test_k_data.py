"""K. The same laws on real data: digits, and a 2-D toy.  Functions only, but where said."""
import mpmath
import numpy as np
import pytest
from strategies import assert_close, tables
from test_f_elbo import exact_elbo, gaussian_oracle

from tinyddpm import toy
from tinyddpm.app.digits import mnist
from tinyddpm.decoder import from_levels

DIGITS = mnist().held_out[:300]
DATA = {"digits": from_levels(DIGITS).astype(float), "moons": toy("moons").sample(np.random.default_rng(0), 1000)}
BETA, SHORT = np.linspace(1e-4, 0.02, 1000), np.linspace(0.01, 0.6, 10)


@pytest.mark.parametrize("name", DATA)
def test_noised_data_has_known_moments(ddpm, name):
    """Over a data set: E[x_t] = √ᾱ_t·E[x_0] and Var[x_t] = ᾱ_t·Var[x_0] + 1 − ᾱ_t, dimension by dimension (5.1.2)."""
    x_0, (log_ab, om, _) = DATA[name], tables(BETA)
    for t in (1, 10, 100, 1000):
        mean, var = ddpm.q_marginal(BETA, x_0, t)
        ab = np.exp(log_ab[t])
        assert_close(mean.mean(0), np.sqrt(ab) * x_0.mean(0), 1e-12, law=f"E[x_{t}]")
        assert_close(mean.var(0) + np.mean(var), ab * x_0.var(0) + om[t], 1e-12, law=f"Var[x_{t}]")


def test_digits_are_decoded_level_by_level(ddpm):
    """log P(digit) under N(μ, σ²) is the sum over its pixels of log P_level, each level against Φ in 40 digits (Ho 13)."""
    mean, std = -0.5, 0.4
    with mpmath.workdps(40):
        edges = [-mpmath.inf, *(((2 * k + 1) / mpmath.mpf(255) - 1 - mean) / std for k in range(255)), mpmath.inf]
        phi = [mpmath.ncdf(edge) for edge in edges]
        levels = np.array([float(mpmath.log(high - low)) for low, high in zip(phi, phi[1:])])
    x_0 = DATA["digits"][:50]
    log_p = ddpm.decoder_log_prob(x_0, np.full_like(x_0, mean), np.full_like(x_0, std ** 2))
    assert_close(log_p, levels[DIGITS[:50]].reshape(50, -1).sum(1), 1e-9, abs(log_p), "log P(digit)")


@pytest.mark.filterwarnings("ignore:L_T")
def test_ledger_of_digits(ddpm):
    """Needs an oracle; statistical: fixed seed, 6 standard errors.

    The optimal denoiser of the Gaussian that has the digits' mean and variances: the ledger's mean over many
    draws is the exact −ELBO of that digit, all 784 pixels of it.
    """
    pixels = DATA["digits"].reshape(300, -1)
    denoiser = gaussian_oracle(SHORT, pixels.mean(0), pixels.var(0) + 0.05)
    def by_item(x, t):
        return denoiser(x, int(np.max(t)))
    for digit in pixels[:2]:
        totals = ddpm.ledger_total(SHORT, by_item, np.tile(digit, (100, 1)), np.random.default_rng(0), "beta")
        exact = -exact_elbo(ddpm, SHORT, denoiser, digit[None], "beta")
        assert_close(totals.mean(), exact, 6, totals.std() / 10, "mean of the ledger's totals")
