"""The arithmetic that an implementation is compared with, written out from the equations.

It uses nothing of the implementation: a law that did could not find an error in what it used.
"""
from types import SimpleNamespace

import numpy as np


def tables(beta):
    """log ᾱ_t, 1 − ᾱ_t and β̃_t for t = 0…T, from their definitions."""
    beta = np.concatenate([[0.0], beta])
    log_ab = np.cumsum(np.log1p(-beta))
    om = -np.expm1(log_ab)
    om[1] = beta[1]
    bt = np.concatenate([[0.0, 0.0], beta[2:] * om[1:-1] / om[2:]])
    return log_ab, om, bt


def column(values, x):
    """(B,) → (B, 1, …), which broadcasts against x; a number stays one."""
    values = np.asarray(values)
    return values.reshape(values.shape + (1,) * (np.ndim(x) - 1)) if values.ndim else values


def at(beta, t, x):
    """The coefficients at time t, an int or (B,), shaped to multiply x.

    lost: units of round-off that a plain computation loses of 1 − ᾱ_t, 1 − ᾱ_{t−1} and β_t,
    where ᾱ_t is a product of numbers 1 − β_s.
    """
    t = np.asarray(t)
    log_ab, om, bt = (table[t] for table in tables(beta))
    log_ab_prev, om_prev, _ = (table[t - 1] for table in tables(beta))
    beta_t = np.asarray(beta)[t - 1]
    c_0 = np.exp(log_ab_prev / 2) * beta_t / om
    c_t = np.sqrt(1 - beta_t) * om_prev / om
    of_alpha_bar = 1 + np.append(0.0, np.cumsum(1 / (1 - np.asarray(beta))))[t]
    lost = of_alpha_bar / np.minimum(beta_t, np.where(t > 1, om_prev, 1))
    values = {"ab": np.exp(log_ab), "root_ab": np.exp(log_ab / 2), "om": om, "root_om": np.sqrt(om),
              "beta": beta_t, "alpha": 1 - beta_t, "ab_prev": np.exp(log_ab_prev),
              "om_prev": om_prev, "beta_tilde": bt, "c_0": c_0, "c_t": c_t, "lost": lost}
    return SimpleNamespace(**{name: column(value, x) for name, value in values.items()})


def lost_by_a_chain(beta):
    """Units of round-off that a plain computation loses of its coefficients in a chain, t = T…1."""
    t = np.arange(1, len(beta) + 1)
    return float(at(beta, t, t).lost.sum())


def sigma2(beta, t, x, variance):
    """β_t or β̃_t, shaped to multiply x."""
    c = at(beta, t, x)
    return c.beta if variance == "beta" else c.beta_tilde


def noised(case):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε."""
    c = at(case.beta, case.t, case.x_0)
    return c.root_ab * case.x_0 + c.root_om * case.eps


def log_normal(x, mean, var):
    """log N(x; mean, var), summed over all axes but the first."""
    terms = -0.5 * (np.log(2 * np.pi) + np.log(var) + (x - mean) ** 2 / var) + 0 * x
    return terms.reshape(len(x), -1).sum(1)


# The optimal denoiser of Gaussian data, the ELBO of one x_0, and functions that it can be had of.

def gaussian_oracle(beta, m, s):
    """ε*(x_t, t) = √(1 − ᾱ_t)·(x_t − √ᾱ_t·m)/(ᾱ_t·s + 1 − ᾱ_t), for data N(m, diag s)."""
    log_ab, om, _ = tables(beta)
    ab = np.exp(log_ab)

    def denoiser(x, t):
        a, b = column(ab[t], x), column(om[t], x)
        return np.sqrt(b) * (x - np.sqrt(a) * m) / (a * s + b)
    return denoiser


class Written:
    """The functions that the ELBO needs, written out."""

    @staticmethod
    def kl(m, v, n, w):
        terms = 0.5 * (np.log(w / v) + (v + (m - n) ** 2) / w - 1)
        return terms.reshape(len(terms), -1).sum(1)

    @staticmethod
    def q_marginal(beta, x_0, t):
        c = at(beta, t, x_0)
        return c.root_ab * x_0, c.om + 0 * x_0

    @staticmethod
    def q_sample(beta, x_0, t, eps):
        c = at(beta, t, x_0)
        return c.root_ab * x_0 + c.root_om * eps

    @staticmethod
    def q_posterior(beta, x_t, x_0, t):
        c = at(beta, t, x_t)
        return c.c_0 * x_0 + c.c_t * x_t, c.beta_tilde + 0 * x_t

    @staticmethod
    def p_step(beta, x_t, t, eps, variance):
        c = at(beta, t, x_t)
        mean = (x_t - c.beta / c.root_om * eps) / np.sqrt(c.alpha)
        return mean, sigma2(beta, t, x_t, variance) + 0 * x_t


def exact_elbo(ddpm, beta, denoiser, x_0, variance, nodes=4):
    """The ELBO of x_0 by the implementation's functions; σ_1² = β_1."""
    functions = ddpm.kl, ddpm.q_marginal, ddpm.q_sample, ddpm.q_posterior, ddpm.p_step
    return elbo_of(functions, beta, denoiser, x_0, variance, beta[0], nodes)


def written_elbo(beta, denoiser, x_0, variance, last_var):
    """The ELBO of x_0 by the functions that are written out here; last_var is σ_1²."""
    functions = (Written.kl, Written.q_marginal, Written.q_sample, Written.q_posterior,
                 Written.p_step)
    return elbo_of(functions, beta, denoiser, x_0, variance, last_var)


def elbo_of(functions, beta, denoiser, x_0, variance, last_var, nodes=4):
    """The ELBO of x_0, a number or (1, D), of real values; last_var is σ_1².

    Each expectation is a sum over Gauss–Hermite nodes; 4 of them are exact for a quadratic.  Every
    dimension takes the same node at a time, which is right where the terms add over dimensions.
    """
    kl_of, q_marginal, q_sample, q_posterior, p_step = functions
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    x_0 = np.tile(x_0, (nodes, 1))
    z, weight = z[:, None] + 0 * x_0, weight / weight.sum()
    one, T = np.ones_like(x_0), len(beta)

    def kl(q, p):
        return kl_of(*(array * one for array in (*q, *p)))

    elbo = -kl(q_marginal(beta, x_0, T), (0 * one, one))[0]
    for t in range(1, T + 1):
        x_t = q_sample(beta, x_0, t, z)
        p = p_step(beta, x_t, t, denoiser(x_t, t), variance)
        if t == 1:
            elbo += weight @ log_normal(x_0, p[0], last_var)
        else:
            elbo -= weight @ kl(q_posterior(beta, x_t, x_0, t), p)
    return elbo
