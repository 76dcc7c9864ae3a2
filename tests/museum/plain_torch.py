"""The same DDPM in PyTorch, in float32 throughout, as it is often written: correct to float32.

Tables are float32, too: 1 − ᾱ_t has an error of about 1e-7·t, whatever its size.  Arrays come in,
tensors go out; a denoiser is a NumPy function.  Seven functions are left out: see the last lines.
"""
import math

import numpy as np
import torch

PRECISION = "float32"


def tensor(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


def index(t):
    return torch.as_tensor(np.asarray(t), dtype=torch.long)


def at(table, t, x):
    """The entry at t of a table of 0…T, in a shape that multiplies x."""
    return table[index(t)].reshape(np.shape(t) + (1,) * (x.ndim - 1))


def generator_of(rng):
    return torch.Generator().manual_seed(int(rng.integers(2 ** 31)))


def call(denoiser, x, t):
    return tensor(denoiser(x.numpy(), t))


# A. The schedule

def linear_beta(T):
    scale = 1000 / T
    if 0.02 * scale >= 1:
        raise ValueError(f"T = {T} is too small for the linear schedule")
    return torch.linspace(1e-4 * scale, 0.02 * scale, T)


def cosine_schedule(T):
    steps = torch.linspace(0, T, T + 1) / T
    f = torch.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = torch.clip(1 - f[1:] / f[:-1], max=0.999)
    return beta, alpha_bar(beta)


def betas(beta):
    """β_0…β_T, with β_0 = 0."""
    return torch.cat([torch.zeros(1), tensor(beta)])


def alpha_bar(beta):
    return torch.cumprod(1 - betas(beta), dim=0)


def one_minus_alpha_bar(beta):
    return 1 - alpha_bar(beta)


def beta_tilde(beta):
    ab = alpha_bar(beta)
    return torch.cat([torch.zeros(1), tensor(beta) * (1 - ab[:-1]) / (1 - ab[1:])])


def log_snr(beta):
    ab = alpha_bar(beta)[1:]
    return torch.log(ab / (1 - ab))


def respace(beta, times):
    ab = alpha_bar(beta)[index(times)]
    previous = torch.cat([torch.ones(1), ab[:-1]])
    return 1 - ab / previous, times


# B. The forward process

def q_step(beta, x_prev, t):
    x_prev = tensor(x_prev)
    b = at(betas(beta), t, x_prev)
    return torch.sqrt(1 - b) * x_prev, b


def q_marginal(beta, x_0, t):
    x_0 = tensor(x_0)
    ab = at(alpha_bar(beta), t, x_0)
    return torch.sqrt(ab) * x_0, 1 - ab


def q_transition(beta, x_s, s, t):
    x_s = tensor(x_s)
    ratio = at(alpha_bar(beta), t, x_s) / at(alpha_bar(beta), s, x_s)
    return torch.sqrt(ratio) * x_s, 1 - ratio


def q_sample(beta, x_0, t, eps):
    mean, var = q_marginal(beta, x_0, t)
    return mean + torch.sqrt(var) * tensor(eps)


def q_draw(beta, x_0, t, rng):
    return q_sample(beta, x_0, t, torch.randn(x_0.shape, generator=generator_of(rng)))


# C. The posterior

def q_posterior(beta, x_t, x_0, t):
    x_t, x_0 = tensor(x_t), tensor(x_0)
    b, ab, ab_prev = (at(table, k, x_t) for table, k in
                      ((betas(beta), t), (alpha_bar(beta), t), (alpha_bar(beta), t - 1)))
    mean = (torch.sqrt(ab_prev) * b * x_0 + torch.sqrt(1 - b) * (1 - ab_prev) * x_t) / (1 - ab)
    return mean, b * (1 - ab_prev) / (1 - ab)


# D. The guess of the network, in four forms; and p_θ

def roots(beta, x_t, t):
    """√ᾱ_t and √(1 − ᾱ_t)."""
    ab = at(alpha_bar(beta), t, x_t)
    return torch.sqrt(ab), torch.sqrt(1 - ab)


def x_0_from_eps(beta, x_t, eps, t):
    x_t, eps = tensor(x_t), tensor(eps)
    signal, noise = roots(beta, x_t, t)
    return (x_t - noise * eps) / signal


def eps_from_x_0(beta, x_t, x_0, t):
    x_t, x_0 = tensor(x_t), tensor(x_0)
    signal, noise = roots(beta, x_t, t)
    return (x_t - signal * x_0) / noise


def v_from_eps(beta, x_t, eps, t):
    x_t, eps = tensor(x_t), tensor(eps)
    signal, noise = roots(beta, x_t, t)
    return signal * eps - noise * x_0_from_eps(beta, x_t, eps, t)


def eps_from_v(beta, x_t, v, t):
    x_t, v = tensor(x_t), tensor(v)
    signal, noise = roots(beta, x_t, t)
    return signal * v + noise * x_t


def score_from_eps(beta, x_t, eps, t):
    return -tensor(eps) / roots(beta, tensor(x_t), t)[1]


def eps_from_score(beta, x_t, score, t):
    return -tensor(score) * roots(beta, tensor(x_t), t)[1]


def variance_table(beta, variance):
    if variance == "beta":
        return betas(beta)
    return torch.cat([torch.zeros(1), tensor(beta)[:1], beta_tilde(beta)[2:]])


def p_step(beta, x_t, t, eps, variance, clip=None):
    x_0 = x_0_from_eps(beta, x_t, eps, t)
    if clip is not None:
        x_0 = torch.clip(x_0, *clip)
    return p_mean_from_x_0(beta, x_t, x_0, t), at(variance_table(beta, variance), t, x_0)


def p_mean_from_x_0(beta, x_t, x_0, t):
    return q_posterior(beta, x_t, x_0, t)[0]


def learned_variance(beta, x_t, t, v):
    tilde, v = beta_tilde(beta), tensor(v)
    tilde[1] = tilde[2] if len(beta) > 1 else beta[0]
    low, high = torch.log(at(tilde, t, v)), torch.log(at(betas(beta), t, v))
    return torch.exp(v * high + (1 - v) * low)


# E, F, G. KL, ELBO, decoder

def kl(mean_1, var_1, mean_2, var_2):
    mean_1, var_1, mean_2, var_2 = map(tensor, (mean_1, var_1, mean_2, var_2))
    ratio = (var_1 + (mean_1 - mean_2) ** 2) / var_2
    return (0.5 * (torch.log(var_2) - torch.log(var_1) + ratio - 1)).flatten(1).sum(1)


def prior_term(beta, x_0):
    return kl(*q_marginal(beta, x_0, len(beta)), 0.0, 1.0)


def step_term(beta, x_0, t, eps, eps_hat, variance):
    x_t = q_sample(beta, x_0, t, eps)
    return kl(*q_posterior(beta, x_t, x_0, t), *p_step(beta, x_t, t, eps_hat, variance))


def ledger_total(beta, denoiser, x_0, rng, variance):
    generator, total = generator_of(rng), prior_term(beta, x_0)
    for t in range(1, len(beta) + 1):
        eps = torch.randn(x_0.shape, generator=generator)
        x_t = q_sample(beta, x_0, t, eps)
        eps_hat = call(denoiser, x_t, t)
        if t == 1:
            total = total - continuous_log_prob(x_0, *p_step(beta, x_t, 1, eps_hat, variance))
        else:
            total = total + step_term(beta, x_0, t, eps, eps_hat, variance)
    return total


def simple_weights(beta, variance):
    b, sigma2 = tensor(beta), variance_table(beta, variance)[1:]
    return b ** 2 / (2 * sigma2 * (1 - b) * (1 - alpha_bar(beta)[1:]))


def bits_per_dim(nats, dimensions):
    return tensor(nats) / (dimensions * math.log(2))


def continuous_log_prob(x_0, mean, var):
    normal = torch.distributions.Normal(tensor(mean), torch.sqrt(tensor(var)))
    return normal.log_prob(tensor(x_0)).flatten(1).sum(1)


def to_levels(x_0):
    return torch.clip(torch.round((tensor(x_0) + 1) * 127.5), 0, 255).to(torch.uint8)


# H. Samplers

def sampler_step(beta, x_t, t, eps, z, variance):
    mean, var = p_step(beta, x_t, t, eps, variance)
    return mean + torch.sqrt(var) * tensor(z) if t > 1 else mean


def sample(beta, denoiser, x_t, t, rng, variance):
    generator, x = generator_of(rng), tensor(x_t)
    for k in range(t, 0, -1):
        z = torch.randn(x.shape, generator=generator)
        x = sampler_step(beta, x, k, call(denoiser, x, k), z, variance)
    return x


def ddim_times(T, n):
    return torch.linspace(T / n, T, n).round().long()


def ddim_step(beta, x_t, t, s, eps, eta, z, clip=None):
    ab, x_0 = alpha_bar(beta), x_0_from_eps(beta, x_t, eps, t)
    if clip is not None:
        x_0 = torch.clip(x_0, *clip)
        eps = eps_from_x_0(beta, x_t, x_0, t)
    sigma2 = eta ** 2 * (1 - ab[s]) / (1 - ab[t]) * (1 - ab[t] / ab[s])
    direction = torch.sqrt((1 - ab[s] - sigma2).clip(min=0)) * tensor(eps)
    return torch.sqrt(ab[s]) * x_0 + direction + torch.sqrt(sigma2) * tensor(z)


def ddim_sample(beta, denoiser, x_T, times):
    x, falling = tensor(x_T), [int(t) for t in reversed(times)]
    for t, s in zip(falling, falling[1:] + [0]):
        x = ddim_step(beta, x, t, s, call(denoiser, x, t), 0.0, 0.0)
    return x


# I. Learning

def simple_loss(beta, denoiser, x_0, t, eps):
    eps_hat = call(denoiser, q_sample(beta, x_0, t, eps), t)
    return torch.nn.functional.mse_loss(eps_hat, tensor(eps))


def v_loss(beta, network, x_0, t, eps):
    x_t = q_sample(beta, x_0, t, eps)
    return torch.nn.functional.mse_loss(call(network, x_t, t), v_from_eps(beta, x_t, eps, t))


def draw_times(rng, T, n):
    return torch.randint(1, T + 1, (n,), generator=generator_of(rng))


def ema_update(ema, weights, decay):
    return torch.lerp(tensor(weights), tensor(ema), decay)


def time_embedding(t, dim):
    half = (dim + 1) // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half) / half)
    angle = tensor(t)[:, None] * frequency
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)[:, :dim]


# Left out: decoder_log_prob, density_bits_per_dim, ddim_encode, inpaint, respaced_variance,
# vlb_loss, ema_decay.
