"""Your DDPM, in the plain functions that the laws ask for.  Fill in what you have.

`beta` is the array of β_1…β_T; t is an int, or one for each item, (B,), in 1…T; x is (B, …), points
or images of any shape; eps is ε, or the guess ε̂.  A Gaussian is the pair (mean, variance), two
arrays that broadcast against x.  variance: "beta" or "beta_tilde", the σ_t² of p_θ.  rng: a NumPy
Generator.  denoiser: a function of x_t and t that returns ε̂; t is an int or (B,), as you like.
Functions that raise NotImplementedError, for all or for some arguments, count as missing.
"""


# A. The schedule

def linear_beta(T):
    """β_1…β_T of the linear schedule, fit for T steps; ValueError if there is none."""
    raise NotImplementedError


def cosine_schedule(T):
    """The pair: β_1…β_T of the cosine schedule, and ᾱ_0…ᾱ_T as they are used."""
    raise NotImplementedError


def alpha_bar(beta):
    """ᾱ_0…ᾱ_T: T + 1 numbers, the first is 1."""
    raise NotImplementedError


def one_minus_alpha_bar(beta):
    """1 − ᾱ_t for t = 0…T."""
    raise NotImplementedError


def log_snr(beta):
    """log ᾱ_t/(1 − ᾱ_t) for t = 1…T."""
    raise NotImplementedError


def respace(beta, times):
    """The pair: β′ of the chain that visits only the rising `times`, and the t told the network."""
    raise NotImplementedError


# B. The forward process

def q_step(beta, x_prev, t):
    """q(x_t | x_{t−1})."""
    raise NotImplementedError


def q_marginal(beta, x_0, t):
    """q(x_t | x_0); t may be 0."""
    raise NotImplementedError


def q_transition(beta, x_s, s, t):
    """q(x_t | x_s), 0 < s < t."""
    raise NotImplementedError


def q_sample(beta, x_0, t, eps):
    """x_t from x_0 and the noise ε."""
    raise NotImplementedError


def q_draw(beta, x_0, t, rng):
    """x_t from x_0, with noise that is drawn inside."""
    raise NotImplementedError


# C. The posterior

def q_posterior(beta, x_t, x_0, t):
    """q(x_{t−1} | x_t, x_0)."""
    raise NotImplementedError


# D. The guess of the network, in four forms; and p_θ

def x_0_from_eps(beta, x_t, eps, t):
    """x_0 from x_t and ε."""
    raise NotImplementedError


def eps_from_x_0(beta, x_t, x_0, t):
    """ε from x_t and x_0."""
    raise NotImplementedError


def v_from_eps(beta, x_t, eps, t):
    """v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0 from x_t and ε."""
    raise NotImplementedError


def eps_from_v(beta, x_t, v, t):
    """ε from x_t and v."""
    raise NotImplementedError


def score_from_eps(beta, x_t, eps, t):
    """∇ log q(x_t | x_0) from ε."""
    raise NotImplementedError


def eps_from_score(beta, x_t, score, t):
    """ε from the score."""
    raise NotImplementedError


def p_step(beta, x_t, t, eps, variance, clip=None):
    """p_θ(x_{t−1} | x_t) for the guess ε̂; clip: None, or the pair of bounds of x̂_0."""
    raise NotImplementedError


def p_mean_from_x_0(beta, x_t, x_0, t):
    """The mean of p_θ(x_{t−1} | x_t) for the guess x̂_0."""
    raise NotImplementedError


def learned_variance(beta, x_t, t, v):
    """σ_t² of a network that outputs v, a fraction from 0 (β̃_t) to 1 (β_t)."""
    raise NotImplementedError


def respaced_variance(beta, times, x_t, t, v):
    """learned_variance of the chain that visits only the rising `times`; t are some of them."""
    raise NotImplementedError


# E. KL

def kl(mean_1, var_1, mean_2, var_2):
    """KL(N(mean_1, var_1) ‖ N(mean_2, var_2)) of each item in nats, (B,)."""
    raise NotImplementedError


# F. The ELBO

def prior_term(beta, x_0):
    """L_T of each item in nats, (B,)."""
    raise NotImplementedError


def step_term(beta, x_0, t, eps, eps_hat, variance):
    """L_{t−1} of each item in nats, (B,), t ≥ 2: x_t has the noise ε, and the guess is ε̂."""
    raise NotImplementedError


def ledger_total(beta, denoiser, x_0, rng, variance):
    """An estimate of −ELBO for each item of real-valued x_0 in nats, (B,): all its terms."""
    raise NotImplementedError


def simple_weights(beta, variance):
    """The weights of E‖ε − ε_θ‖² in the ELBO at t = 1…T, that L_simple sets to 1."""
    raise NotImplementedError


def bits_per_dim(nats, dimensions):
    """bits/dim of a discrete x_0."""
    raise NotImplementedError


def density_bits_per_dim(nats, dimensions):
    """bits/dim of 256 levels, spread over [−1, 1], from −log of a density of x_0."""
    raise NotImplementedError


# G. The decoder

def decoder_log_prob(x_0, mean, var):
    """log-probability of each item, (B,): its entries are levels 2k/255 − 1, k = 0…255."""
    raise NotImplementedError


def continuous_log_prob(x_0, mean, var):
    """log N(x_0; mean, var) of each item, (B,)."""
    raise NotImplementedError


def to_levels(x_0):
    """x_0 in [−1, 1] → the nearest level 0…255, and what is outside → 0 or 255."""
    raise NotImplementedError


# H. Samplers

def sampler_step(beta, x_t, t, eps, z, variance):
    """x_{t−1} by one step of Algorithm 2 with the noise z; t is an int."""
    raise NotImplementedError


def sample(beta, denoiser, x_t, t, rng, variance):
    """x_0 by Algorithm 2 from x_t at time t, an int."""
    raise NotImplementedError


def ddim_times(T, n):
    """The n rising times that DDIM visits if it is asked for n steps."""
    raise NotImplementedError


def ddim_step(beta, x_t, t, s, eps, eta, z, clip=None):
    """x_s by one DDIM step with the noise z, 0 ≤ s < t, ints; clip as in p_step."""
    raise NotImplementedError


def ddim_sample(beta, denoiser, x_T, times):
    """x_0 by deterministic DDIM over the rising `times`, from x_T at the last of them."""
    raise NotImplementedError


def ddim_encode(beta, denoiser, x_0, times):
    """x at the last of the rising `times`, by deterministic DDIM in the other direction."""
    raise NotImplementedError


def inpaint(beta, denoiser, x_T, given, known, rng, variance):
    """x_0 by Algorithm 2 that agrees with `given` where `known` is true; both have x_T's shape."""
    raise NotImplementedError


# I. Learning

def simple_loss(beta, denoiser, x_0, t, eps):
    """L_simple, the mean over batch and dimensions: a number."""
    raise NotImplementedError


def v_loss(beta, network, x_0, t, eps):
    """The mean squared error of a network that predicts v: a number."""
    raise NotImplementedError


def vlb_loss(beta, denoiser, x_0, t, eps, variance):
    """L_vlb = T·mean(L_{t−1}) for each dimension in nats, t ≥ 2: a number."""
    raise NotImplementedError


def draw_times(rng, T, n):
    """The times of a training batch of n items."""
    raise NotImplementedError


def ema_update(ema, weights, decay):
    """The average after one more step, long after the start."""
    raise NotImplementedError


def ema_decay(decay, step):
    """The decay that is used at this step, 1, 2, …: smaller at the start."""
    raise NotImplementedError


def time_embedding(t, dim):
    """The embeddings of times (B,): (B, dim)."""
    raise NotImplementedError
