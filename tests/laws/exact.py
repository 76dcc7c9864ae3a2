"""Exact answers that several laws share, written out from the equations.

The optimal denoiser of Gaussian data, and the ELBO of one x_0 by quadrature.
"""
import numpy as np
from strategies import log_normal, tables


def gaussian_oracle(beta, m, s):
    """ε*(x_t, t) = √(1 − ᾱ_t)·(x_t − √ᾱ_t·m)/(ᾱ_t·s + 1 − ᾱ_t), for data N(m, diag s), (B, d)."""
    log_ab, om, _ = tables(beta)
    ab = np.exp(log_ab)
    return lambda x, t: np.sqrt(om[t]) * (x - np.sqrt(ab[t]) * m) / (ab[t] * s + om[t])


def at_one_time(denoiser):
    """The same denoiser for an implementation that passes t as (B,), with equal entries."""
    return lambda x, t: denoiser(x, int(np.max(t)))


def exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=4):
    """The ELBO of x_0, a number or (1, D).

    Each expectation is a sum over Gauss–Hermite nodes; 4 of them are exact for a quadratic.  Every
    dimension takes the same node at a time, which is right where the terms add over dimensions.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    x_0 = np.tile(x_0, (nodes, 1))
    z, weight = z[:, None] + 0 * x_0, weight / weight.sum()
    one, T = np.ones_like(x_0), len(beta)

    def kl(q, p):
        values = np.asarray(ddpm.kl(*(array * one for array in (*q, *p))))
        assert values.shape == (nodes,), (
            f"kl returned shape {values.shape}: one number for each of the {nodes} items")
        return values

    elbo = -kl(ddpm.q_marginal(beta, x_0, T), (0 * one, one))[0]
    for t in range(1, T + 1):
        x_t = ddpm.q_sample(beta, x_0, t, z)
        p = ddpm.p_step(beta, x_t, t, denoiser(x_t, t), variance)
        q = ddpm.q_posterior(beta, x_t, x_0, t)
        elbo += weight @ (log_normal(x_0, *p) if t == 1 else -kl(q, p))
    return elbo
