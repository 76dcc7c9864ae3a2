"""A DDPM written straight from the papers, in plain NumPy: a correct answer that the laws accept.

It has every function of the interface of `tests/laws`, and uses nothing of tinyddpm.  It computes
1 − ᾱ_t as it is printed, and the KL by the formula of the textbook, so it loses the digits that
these lose: for β = 1e-10, 1 − ᾱ_t has six digits left.  A law that called that a mistake would be
wrong.  `tests/tools/mutate_plain.py` changes this file in one place at a time, and asks the laws.

Sources: Ho et al. 2020, Luo 2022, Nichol & Dhariwal 2021 (Improved DDPM), Song, Meng & Ermon 2021
(DDIM), Salimans & Ho 2022 (v), Lugmayr et al. 2022 (inpainting), Vaswani et al. 2017 (embedding).
"""
import math

import numpy as np


def at(table, t, x):
    """The entry of (a table of 0…T) at t, in a shape that multiplies x; t is an int or (B,)."""
    return np.reshape(table[t], np.shape(t) + (1,) * (x.ndim - 1))


def per_item(terms):
    """The sum over all axes but the first."""
    return terms.reshape(len(terms), -1).sum(axis=1)


# A. The schedule

def linear_beta(T):
    """From 1e-4 to .02 for 1000 steps (Ho §4); fewer steps are larger."""
    scale = 1000 / T
    if 0.02 * scale >= 1:
        raise ValueError(f"T = {T}: the last beta would be {0.02 * scale}, and must be below 1")
    return np.linspace(1e-4 * scale, 0.02 * scale, T)


def cosine_schedule(T):
    """Improved DDPM 17."""
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
    return beta, alpha_bar(beta)


def alpha_bar(beta):
    """Ho 4."""
    return np.append(1.0, np.cumprod(1 - beta))


def one_minus_alpha_bar(beta):
    return 1 - alpha_bar(beta)


def beta_table(beta):
    """β_0…β_T, with β_0 = 0."""
    return np.append(0.0, beta)


def beta_tilde_table(beta):
    """β̃_0…β̃_T, with β̃_0 = 0 (Ho 7)."""
    ab = alpha_bar(beta)
    return np.append(0.0, (1 - ab[:-1]) / (1 - ab[1:]) * beta)


def log_snr(beta):
    ab = alpha_bar(beta)[1:]
    return np.log(ab / (1 - ab))


def respace(beta, times):
    """Improved DDPM 19."""
    ab = alpha_bar(beta)[times]
    previous = np.append(1.0, ab[:-1])
    return 1 - ab / previous, times


# B. The forward process

def q_step(beta, x_prev, t):
    """Ho 2."""
    b = at(beta_table(beta), t, x_prev)
    return np.sqrt(1 - b) * x_prev, b


def q_marginal(beta, x_0, t):
    """Ho 4."""
    ab = at(alpha_bar(beta), t, x_0)
    return np.sqrt(ab) * x_0, 1 - ab


def q_transition(beta, x_s, s, t):
    ratio = at(alpha_bar(beta), t, x_s) / at(alpha_bar(beta), s, x_s)
    return np.sqrt(ratio) * x_s, 1 - ratio


def q_sample(beta, x_0, t, eps):
    mean, var = q_marginal(beta, x_0, t)
    return mean + np.sqrt(var) * eps


def q_draw(beta, x_0, t, rng):
    return q_sample(beta, x_0, t, rng.standard_normal(x_0.shape))


# C. The posterior

def q_posterior(beta, x_t, x_0, t):
    """Ho 7."""
    b, ab = at(beta_table(beta), t, x_t), at(alpha_bar(beta), t, x_t)
    ab_prev = at(alpha_bar(beta), t - 1, x_t)
    weight_of_x_0 = np.sqrt(ab_prev) * b / (1 - ab)
    weight_of_x_t = np.sqrt(1 - b) * (1 - ab_prev) / (1 - ab)
    return weight_of_x_0 * x_0 + weight_of_x_t * x_t, (1 - ab_prev) / (1 - ab) * b


# D. The guess of the network, in four forms; and p_θ

def x_0_from_eps(beta, x_t, eps, t):
    """Ho 15."""
    ab = at(alpha_bar(beta), t, x_t)
    return (x_t - np.sqrt(1 - ab) * eps) / np.sqrt(ab)


def eps_from_x_0(beta, x_t, x_0, t):
    ab = at(alpha_bar(beta), t, x_t)
    return (x_t - np.sqrt(ab) * x_0) / np.sqrt(1 - ab)


def v_from_eps(beta, x_t, eps, t):
    """Salimans & Ho, §4."""
    ab = at(alpha_bar(beta), t, x_t)
    return np.sqrt(ab) * eps - np.sqrt(1 - ab) * x_0_from_eps(beta, x_t, eps, t)


def eps_from_v(beta, x_t, v, t):
    """Salimans & Ho, appendix D."""
    ab = at(alpha_bar(beta), t, x_t)
    return np.sqrt(ab) * v + np.sqrt(1 - ab) * x_t


def score_from_eps(beta, x_t, eps, t):
    """Luo 151."""
    return -eps / np.sqrt(1 - at(alpha_bar(beta), t, x_t))


def eps_from_score(beta, x_t, score, t):
    return -np.sqrt(1 - at(alpha_bar(beta), t, x_t)) * score


def variance_table(beta, variance):
    """σ_t² of p_θ, t = 0…T.  β̃_1 = 0 is no variance of a density: β_1 is taken there."""
    if variance == "beta":
        return beta_table(beta)
    table = beta_tilde_table(beta)
    table[1] = beta[0]
    return table


def p_step(beta, x_t, t, eps, variance, clip=None):
    """Ho 11; with x̂_0 clipped, Ho 7."""
    b, ab = at(beta_table(beta), t, x_t), at(alpha_bar(beta), t, x_t)
    mean = (x_t - b / np.sqrt(1 - ab) * eps) / np.sqrt(1 - b)
    if clip is not None:
        x_0 = np.clip(x_0_from_eps(beta, x_t, eps, t), clip[0], clip[1])
        mean = p_mean_from_x_0(beta, x_t, x_0, t)
    return mean, at(variance_table(beta, variance), t, x_t)


def p_mean_from_x_0(beta, x_t, x_0, t):
    return q_posterior(beta, x_t, x_0, t)[0]


def learned_variance(beta, x_t, t, v):
    """Improved DDPM 15.  β̃_1 = 0 has no logarithm: β̃_2 is taken there, as in its code."""
    smallest = beta_tilde_table(beta)
    smallest[1] = smallest[2] if len(beta) > 1 else beta[0]
    low, high = at(smallest, t, x_t), at(beta_table(beta), t, x_t)
    return np.exp(v * np.log(high) + (1 - v) * np.log(low))


def respaced_variance(beta, times, x_t, t, v):
    """Improved DDPM §4: β′ and β̃′ of the short chain, in which t has another number."""
    short, _ = respace(beta, times)
    return learned_variance(short, x_t, np.searchsorted(times, t) + 1, v)


# E. KL

def kl(mean_1, var_1, mean_2, var_2):
    difference = (mean_1 - mean_2) ** 2
    return per_item(0.5 * (np.log(var_2 / var_1) + (var_1 + difference) / var_2 - 1))


# F. The ELBO

def prior_term(beta, x_0):
    mean, var = q_marginal(beta, x_0, len(beta))
    return kl(mean, var, 0.0, 1.0)


def step_term(beta, x_0, t, eps, eps_hat, variance):
    """The second sum of Ho 5."""
    x_t = q_sample(beta, x_0, t, eps)
    q_mean, q_var = q_posterior(beta, x_t, x_0, t)
    p_mean, p_var = p_step(beta, x_t, t, eps_hat, variance)
    return kl(q_mean, q_var, p_mean, p_var)


def ledger_total(beta, denoiser, x_0, rng, variance):
    """Ho 5, with one draw of x_t for each t."""
    total = prior_term(beta, x_0)
    for t in range(2, len(beta) + 1):
        eps = rng.standard_normal(x_0.shape)
        eps_hat = denoiser(q_sample(beta, x_0, t, eps), t)
        total = total + step_term(beta, x_0, t, eps, eps_hat, variance)
    x_1 = q_draw(beta, x_0, 1, rng)
    mean, var = p_step(beta, x_1, 1, denoiser(x_1, 1), variance)
    return total - continuous_log_prob(x_0, mean, var)


def simple_weights(beta, variance):
    """Ho 12."""
    sigma2 = variance_table(beta, variance)[1:]
    return beta ** 2 / (2 * sigma2 * (1 - beta) * (1 - alpha_bar(beta)[1:]))


def bits_per_dim(nats, dimensions):
    return nats / (dimensions * np.log(2))


def density_bits_per_dim(nats, dimensions):
    """The levels are 2/255 apart in [−1, 1]; a level of 256 is 2/256 of the length of [−1, 1]."""
    return bits_per_dim(nats, dimensions) + np.log2(127.5)


# G. The decoder

def normal_cdf(z):
    return 0.5 * np.vectorize(math.erfc, otypes=[float])(-z / math.sqrt(2))


def decoder_log_prob(x_0, mean, var):
    """Ho 13.  Above the mean both ends of the bin are mirrored: Φ near 1 has no digits for it."""
    upper = np.where(x_0 > 0.999, np.inf, (x_0 + 1 / 255 - mean) / np.sqrt(var))
    lower = np.where(x_0 < -0.999, -np.inf, (x_0 - 1 / 255 - mean) / np.sqrt(var))
    mirrored = lower > 0
    upper, lower = np.where(mirrored, -lower, upper), np.where(mirrored, -upper, lower)
    return per_item(np.log(normal_cdf(upper) - normal_cdf(lower)))


def continuous_log_prob(x_0, mean, var):
    return per_item(-0.5 * (np.log(2 * np.pi * var) + (x_0 - mean) ** 2 / var))


def to_levels(x_0):
    return np.clip(np.round((x_0 + 1) / 2 * 255), 0, 255).astype(int)


# H. Samplers

def sampler_step(beta, x_t, t, eps, z, variance):
    """Lines 3 and 4 of Algorithm 2."""
    mean, var = p_step(beta, x_t, t, eps, variance)
    return mean + np.sqrt(var) * z if t > 1 else mean


def sample(beta, denoiser, x_t, t, rng, variance):
    """Algorithm 2."""
    x = x_t
    for step in range(t, 0, -1):
        z = rng.standard_normal(x.shape)
        x = sampler_step(beta, x, step, denoiser(x, step), z, variance)
    return x


def ddim_times(T, n):
    return np.arange(1, n + 1) * T // n


def ddim_step(beta, x_t, t, s, eps, eta, z, clip=None):
    """DDIM 12 and 16."""
    ab_t, ab_s = alpha_bar(beta)[t], alpha_bar(beta)[s]
    x_0 = x_0_from_eps(beta, x_t, eps, t)
    if clip is not None:
        x_0 = np.clip(x_0, clip[0], clip[1])
        eps = eps_from_x_0(beta, x_t, x_0, t)
    sigma2 = eta ** 2 * (1 - ab_s) / (1 - ab_t) * (1 - ab_t / ab_s)
    direction = np.sqrt(np.maximum(1 - ab_s - sigma2, 0)) * eps
    return np.sqrt(ab_s) * x_0 + direction + np.sqrt(sigma2) * z


def ddim_sample(beta, denoiser, x_T, times):
    x, falling = x_T, [*reversed(times), 0]
    for t, s in zip(falling[:-1], falling[1:]):
        x = ddim_step(beta, x, t, s, denoiser(x, t), 0.0, 0.0)
    return x


def ddim_encode(beta, denoiser, x_0, times):
    """DDIM §4.3: the same step towards noise.  x_0 itself is shown to the network as x_1."""
    ab, x, rising = alpha_bar(beta), x_0, [0, *times]
    for s, t in zip(rising[:-1], rising[1:]):
        eps = denoiser(x, max(s, 1))
        guess = (x - np.sqrt(1 - ab[s]) * eps) / np.sqrt(ab[s])
        x = np.sqrt(ab[t]) * guess + np.sqrt(1 - ab[t]) * eps
    return x


def inpaint(beta, denoiser, x_T, given, known, rng, variance):
    """RePaint, algorithm 1 with U = 1."""
    x = x_T
    for t in range(len(beta), 0, -1):
        z = rng.standard_normal(x.shape)
        x = sampler_step(beta, x, t, denoiser(x, t), z, variance)
        x = np.where(known, q_draw(beta, given, t - 1, rng), x)
    return x


# I. Learning

def simple_loss(beta, denoiser, x_0, t, eps):
    """Ho 14."""
    x_t = q_sample(beta, x_0, t, eps)
    return np.mean((eps - denoiser(x_t, t)) ** 2)


def v_loss(beta, network, x_0, t, eps):
    x_t = q_sample(beta, x_0, t, eps)
    return np.mean((v_from_eps(beta, x_t, eps, t) - network(x_t, t)) ** 2)


def vlb_loss(beta, denoiser, x_0, t, eps, variance):
    """Improved DDPM 4, by an estimate with uniform t."""
    eps_hat = denoiser(q_sample(beta, x_0, t, eps), t)
    terms = step_term(beta, x_0, t, eps, eps_hat, variance)
    return len(beta) * np.mean(terms) / x_0[0].size


def draw_times(rng, T, n):
    """Line 3 of Algorithm 1."""
    return rng.integers(1, T + 1, size=n)


def ema_update(ema, weights, decay):
    return decay * ema + (1 - decay) * weights


def ema_decay(decay, step):
    return min(decay, (1 + step) / (10 + step))


def time_embedding(t, dim):
    """Vaswani et al. §3.5; of an odd dim, the last cosine is left out."""
    pairs = (dim + 1) // 2
    frequency = 10000.0 ** (-np.arange(pairs) / pairs)
    angle = t[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :dim]
