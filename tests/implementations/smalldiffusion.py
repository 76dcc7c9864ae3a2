"""The adapter of smalldiffusion 0.5.0: its σ-notation mapped to ours.

Its chain is x_σ = x_0 + σ·ε; ours is x_t = √ᾱ_t·x_σ with σ_t = √((1 − ᾱ_t)/ᾱ_t).  Index origin:
theirs is 0.  Variances: β̃ only (gam = 1, mu = ½); DDIM is gam = 1, mu = 0.  Clipping: none.
Precision: that of the given σ; its own schedules are float32.
"""
import functools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import noise_of, tensor, their_times, without

# It needs these for its data sets only.
without("torchvision", "torchvision.transforms", "torchvision.datasets")
import smalldiffusion  # noqa: E402
from smalldiffusion.diffusion import sigmas_from_betas  # noqa: E402
from smalldiffusion.model import timestep_embedding  # noqa: E402

PRECISION = "float32"
HERE = SimpleNamespace(device="cpu")  # in the place of an Accelerator


class Answer(torch.nn.Module, smalldiffusion.ModelMixin):
    """Stands for the network: `answer`, a function of their x and σ; `noise()`, random input."""

    def __init__(self, answer, noise=None):
        super().__init__()
        self.answer, self.noise = answer, noise

    def forward(self, x, sigma, cond=None):
        return self.answer(x, sigma)

    def rand_input(self, batchsize):
        return self.noise()


@functools.lru_cache(maxsize=64)
def built(beta):
    return smalldiffusion.Schedule(sigmas_from_betas(tensor(np.frombuffer(beta))))


def schedule(beta):
    return built(np.asarray(beta, float).tobytes())


def sigma_at(beta, t, x):
    """σ_t, (B, 1, …), which broadcasts against x."""
    return schedule(beta)[their_times(t, x)].reshape((-1,) + (1,) * (np.ndim(x) - 1))


def root_alpha_bar(sigma):
    return 1 / torch.sqrt(1 + sigma ** 2)


def betas_of(sigmas):
    ab = 1 / (1 + sigmas.double().numpy() ** 2)
    return 1 - ab / np.append(1.0, ab[:-1])


def linear_beta(T):
    return betas_of(smalldiffusion.ScheduleDDPM(T).sigmas)


def cosine_schedule(T):
    sigmas = smalldiffusion.ScheduleCosine(T).sigmas
    return betas_of(sigmas), np.append(1.0, 1 / (1 + sigmas.double().numpy() ** 2))


def alpha_bar(beta):
    return np.append(1.0, 1 / (1 + schedule(beta).sigmas ** 2))


def one_minus_alpha_bar(beta):
    return np.append(0.0, schedule(beta).sigmas ** 2 / (1 + schedule(beta).sigmas ** 2))


def log_snr(beta):
    return -2 * np.log(schedule(beta).sigmas.numpy())


def q_sample(beta, x_0, t, eps):
    """The network's input in training."""
    inputs, sigma = [], sigma_at(beta, t, x_0)

    def answer(x, sigma):
        inputs.append(x)
        return x

    Answer(answer).get_loss(tensor(x_0), sigma, tensor(eps))
    return (root_alpha_bar(sigma) * inputs[0]).numpy()


def q_marginal(beta, x_0, t):
    return q_sample(beta, x_0, t, 0 * x_0), q_sample(beta, 0 * x_0, t, 0 * x_0 + 1) ** 2


def eps_from_x_0(beta, x_t, x_0, t):
    sigma = sigma_at(beta, t, x_t)
    model = smalldiffusion.PredX0(Answer)(lambda x, sigma: tensor(x_0))
    return model.predict_eps(tensor(x_t) / root_alpha_bar(sigma), sigma).numpy()


def eps_from_v(beta, x_t, v, t):
    sigma = sigma_at(beta, t, x_t)
    model = smalldiffusion.PredV(Answer)(lambda x, sigma: tensor(v))
    return model.predict_eps(tensor(x_t) / root_alpha_bar(sigma), sigma).numpy()


def chain(answer, x, sigmas, mu, noise):
    """x at each step of `samples`, from σ to σ."""
    return smalldiffusion.samples(Answer(answer, noise), sigmas, gam=1.0, mu=mu, xt=x,
                                  accelerator=HERE)


def one_step(eps, x_t, sigma, next_sigma, mu, z):
    """Their x at next_sigma, from our x_t at sigma."""
    x = tensor(x_t) / root_alpha_bar(sigma)
    return next(chain(lambda x, _: tensor(eps), x, [sigma, next_sigma], mu, lambda: tensor(z)))


def sampler_step(beta, x_t, t, eps, z, variance):
    """The step of `samples` at its place among sample_sigmas(T), whose last σ is σ_1, not 0."""
    if variance != "beta_tilde":
        raise NotImplementedError(f'variance "{variance}"')
    sigma, next_sigma = schedule(beta).sample_sigmas(len(beta))[len(beta) - t:][:2]
    x = one_step(eps, x_t, sigma, next_sigma, 0.5, z)
    return ((root_alpha_bar(next_sigma) if t > 1 else 1) * x).numpy()


def sample(beta, denoiser, x_t, t, rng, variance):
    if variance != "beta_tilde":
        raise NotImplementedError(f'variance "{variance}"')
    sigmas = schedule(beta).sample_sigmas(len(beta))[len(beta) - t:]
    return sample_along(sigmas, beta, denoiser, x_t, 0.5, rng)


def ddim_sample(beta, denoiser, x_T, times):
    sigmas = schedule(beta).sample_sigmas(len(times))
    if list(sigmas[:-1]) != list(schedule(beta)[np.array(times)[::-1] - 1]):
        raise NotImplementedError(f"times {times}")
    return sample_along(sigmas, beta, denoiser, x_T, 0.0, np.random.default_rng(0))


def sample_along(sigmas, beta, denoiser, x_t, mu, rng):
    """The last x of `samples` along these σ, from our x_t."""
    def answer(x, sigma):
        t = int(np.argmin(abs(schedule(beta).sigmas - sigma))) + 1
        return tensor(denoiser((root_alpha_bar(sigma) * x).numpy(), np.full(len(x), t)))

    noise, x = noise_of(rng), tensor(x_t) / root_alpha_bar(sigmas[0])
    *_, last = chain(answer, x, sigmas, mu, lambda: noise(x))
    return last.numpy()


def ddim_step(beta, x_t, t, s, eps, eta, z):
    if eta > 0:
        raise NotImplementedError(f"eta = {eta}")
    sigma = schedule(beta)[t - 1]
    next_sigma = schedule(beta)[s - 1] if s else torch.zeros((), dtype=torch.float64)
    x = one_step(eps, x_t, sigma, next_sigma, 0.0, z)
    return (root_alpha_bar(next_sigma) * x).numpy()


def simple_loss(beta, denoiser, x_0, t, eps):
    sigma = sigma_at(beta, t, x_0)
    def answer(x, sigma):
        return tensor(denoiser((root_alpha_bar(sigma) * x).numpy(), np.asarray(t)))

    model = Answer(answer)
    return float(model.get_loss(tensor(x_0), sigma, tensor(eps)))


def draw_times(rng, T, n):
    torch.manual_seed(int(rng.integers(2 ** 31)))
    every = smalldiffusion.ScheduleDDPM(T)
    return np.searchsorted(every.sigmas.numpy(), every.sample_batch(torch.zeros(n)).numpy()) + 1


def time_embedding(t, dim):
    return timestep_embedding(torch.as_tensor(np.asarray(t)), dim).double().numpy()
