"""The adapter of tinyddpm: its functions in the plain form of `tests/laws/interface.py`."""
import sys
import warnings
from pathlib import Path

import numpy as np

from tinyddpm import (
    Gaussian,
    Schedule,
    decoder,
    elbo,
    forward,
    gaussian,
    network,
    reverse,
    sampling,
    schedule,
    training,
)

# A. Schedule

def linear_beta(T):
    """β_1…β_T of the linear schedule for T steps, or ValueError."""
    return schedule.linear(T).beta[1:]


def cosine_schedule(T):
    """β_1…β_T of the cosine schedule, and ᾱ_0…ᾱ_T as they are used."""
    return schedule.cosine(T).beta[1:], schedule.cosine(T).alpha_bar


def alpha_bar(beta):
    """ᾱ_0…ᾱ_T."""
    return Schedule(beta).alpha_bar


def one_minus_alpha_bar(beta):
    """1 − ᾱ_t for t = 0…T."""
    return Schedule(beta).one_minus_alpha_bar


def log_snr(beta):
    """log ᾱ_t/(1 − ᾱ_t) for t = 1…T."""
    return Schedule(beta).log_snr[1:]


def respace(beta, times):
    """β′ of the chain that visits the rising `times` only, and the t that the network is given."""
    short, given_t = schedule.respace(Schedule(beta), times)
    return short.beta[1:], given_t


# B. Forward process

def q_step(beta, x_prev, t):
    """q(x_t | x_{t−1})."""
    return forward.forward_step(Schedule(beta), x_prev, t)


def q_marginal(beta, x_0, t):
    """q(x_t | x_0)."""
    return forward.marginal(Schedule(beta), x_0, t)


def q_transition(beta, x_s, s, t):
    """q(x_t | x_s), s < t."""
    return forward.transition(Schedule(beta), x_s, s, t)


def q_sample(beta, x_0, t, eps):
    """x_t drawn from q(x_t | x_0) with the noise ε."""
    return forward.diffuse(Schedule(beta), x_0, t, eps)


def q_draw(beta, x_0, t, rng):
    """x_t drawn from q(x_t | x_0) with noise drawn inside."""
    return forward.marginal(Schedule(beta), x_0, t).sample(gaussian.noise_like(rng, x_0))


# C. Posterior

def q_posterior(beta, x_t, x_0, t):
    """q(x_{t−1} | x_t, x_0)."""
    return forward.posterior(Schedule(beta), x_t, t, x_0)


# D. Parameterisations

def x_0_from_eps(beta, x_t, eps, t):
    return reverse.x_0_from_eps(Schedule(beta), x_t, t, eps)


def eps_from_x_0(beta, x_t, x_0, t):
    return reverse.eps_from_x_0(Schedule(beta), x_t, t, x_0)


def v_from_eps(beta, x_t, eps, t):
    return reverse.v_from_eps(Schedule(beta), x_t, t, eps)


def eps_from_v(beta, x_t, v, t):
    return reverse.eps_from_v(Schedule(beta), x_t, t, v)


def score_from_eps(beta, x_t, eps, t):
    return reverse.score_from_eps(Schedule(beta), x_t, t, eps)


def eps_from_score(beta, x_t, score, t):
    return reverse.eps_from_score(Schedule(beta), x_t, t, score)


# The reverse process

def p_step(beta, x_t, t, eps, variance, clip=None):
    """p_θ(x_{t−1} | x_t) for the guess ε̂.

    variance: "beta" or "beta_tilde"; clip: None or the range of x̂_0.
    """
    schedule = Schedule(beta)
    prediction = reverse.predict(schedule, lambda x_t, t: eps, x_t, t, clip)
    return reverse.reverse_step(schedule, prediction, variance)


def p_mean_from_x_0(beta, x_t, x_0, t):
    """μ_θ for the guess x̂_0."""
    return reverse.mean_from_x_0(Schedule(beta), x_t, t, x_0)


def learned_variance(beta, x_t, t, v):
    """σ_t² of a network that outputs v ∈ [0, 1], between β̃_t and β_t."""
    return reverse.interpolated_variance(Schedule(beta), x_t, t, v)


def respaced_variance(beta, times, x_t, t, v):
    short, given_t = schedule.respace(Schedule(beta), times)
    return reverse.interpolated_variance(short, x_t, 1 + np.searchsorted(given_t, t), v)


# E. KL

def kl(mean_1, var_1, mean_2, var_2):
    """KL(N(mean_1, var_1) ‖ N(mean_2, var_2)), summed over all axes but the first: (B,) nats."""
    return Gaussian(mean_1, var_1).kl(Gaussian(mean_2, var_2))


# F. ELBO: each (B,) nats

def prior_term(beta, x_0):
    """L_T."""
    return elbo.prior_term(Schedule(beta), x_0)


def step_term(beta, x_0, t, eps, eps_hat, variance):
    """L_{t−1}, t ≥ 2, for x_t drawn with ε and the guess ε̂."""
    return elbo.step_term(Schedule(beta), lambda x_t, t: eps_hat, x_0, t, eps, variance)


def ledger_total(beta, denoiser, x_0, rng, variance):
    """An estimate of −ELBO for each item, all terms, for real-valued data."""
    warnings.filterwarnings("ignore", "L_T")  # some laws have little noise at T
    return elbo.ledger(Schedule(beta), denoiser, x_0, rng, variance).terms.sum(1)


def simple_weights(beta, variance):
    """The weights of E‖ε − ε_θ‖² at t = 1…T that L_simple sets to 1."""
    return elbo.simple_weights(Schedule(beta), variance)[1:]


def bits_per_dim(nats, dimensions):
    return elbo.bits_per_dim(nats, dimensions)


# G. Decoder

def decoder_log_prob(x_0, mean, var):
    """log-probability of 256-level x_0 in [−1, 1], (B,) nats."""
    return decoder.level_log_prob(Gaussian(mean, var), x_0)


def continuous_log_prob(x_0, mean, var):
    """log-density of real-valued x_0, (B,) nats."""
    return Gaussian(mean, var).log_prob(x_0)


def to_levels(x_0):
    return decoder.to_images(x_0)


# H. Samplers

def sampler_step(beta, x_t, t, eps, z, variance):
    """x_{t−1} as Algorithm 2 draws it with the noise z, t an int; at t = 1 no noise is added."""
    class Fixed:
        @staticmethod
        def standard_normal(shape, dtype):
            return np.asarray(z, dtype)

    steps = sampling.ancestral_sampling(Schedule(beta), lambda x_t, t: eps, x_t, Fixed, start=t,
                                        variance=variance)
    return next(steps).x


def sample(beta, denoiser, x_t, t, rng, variance):
    """x_0 by Algorithm 2 from x_t at time t (t = T: from pure noise); denoiser: (x_t, t) → ε̂."""
    steps = sampling.ancestral_sampling(Schedule(beta), denoiser, x_t, rng, start=t,
                                        variance=variance)
    return sampling.final_sample(steps)


def ddim_times(T, n):
    return sampling.sampling_times(Schedule(np.full(T, 0.5)), n)


def ddim_step(beta, x_t, t, s, eps, eta, z, clip=None):
    """x_s from x_t by one DDIM step, s < t, with the noise z."""
    schedule = Schedule(beta)
    prediction = reverse.predict(schedule, lambda x_t, t: eps, x_t, t, clip)
    return sampling.ddim_step(schedule, prediction, s, eta).sample(z)


def ddim_sample(beta, denoiser, x_T, times):
    """x_0 by deterministic DDIM (η = 0) over the rising `times`."""
    steps = sampling.ddim_sampling(Schedule(beta), denoiser, x_T, steps=times)
    return sampling.final_sample(steps)


def inpaint(beta, denoiser, x_T, given, known, rng, variance):
    """By the demo of that name, which draws x_T itself."""
    if variance != "beta_tilde":
        raise NotImplementedError(f"variance {variance}")
    sys.path.append(str(Path(__file__).parents[2] / "demos"))
    import inpaint as demo
    return demo.inpaint(Schedule(beta), denoiser, given, known, rng, rounds=1, clip=None)


# I. Learning

def simple_loss(beta, denoiser, x_0, t, eps):
    """L_simple, the mean over batch and dimensions: a number."""
    return elbo.simple_loss(Schedule(beta), denoiser, x_0, t, eps)


def v_loss(beta, network, x_0, t, eps):
    schedule = Schedule(beta)
    return elbo.v_loss(schedule, reverse.as_denoiser(schedule, network, "v"), x_0, t, eps)


def vlb_loss(beta, denoiser, x_0, t, eps, variance):
    return elbo.vlb_loss(Schedule(beta), denoiser, x_0, t, eps, variance)


def draw_times(rng, T, n):
    """n times for a training batch."""
    return training.draw_times(rng, T, n)


def ema_update(ema, weights, decay):
    """The averaged weights after one more step, far from the start of training."""
    return training.ema_update(ema, weights, decay, step=10 ** 9)


def ema_decay(decay, step):
    return training.ema_update(np.ones(1), np.zeros(1), decay, step)[0]


def time_embedding(t, dim):
    """(B,) times → (B, dim)."""
    return network.time_embedding(t, dim)
