"""The adapter of diffusers 0.42.1: DDPMScheduler and DDIMScheduler.

Index origin: theirs is 0, t − 1 is passed.  Variances: "beta_tilde" is variance_type "fixed_small",
not below 1e-20; "beta" is "fixed_large".  Clipping: clip_sample is on by default there; here it is
on only if a law clips, and symmetric.  Precision: tables are built and kept in float32.  The caller
draws noise and times there, so the laws about drawing them find no function.
"""
import functools
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.training_utils import EMAModel, compute_snr

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import item_by_item, noise_of, tensor, their_times

PRECISION = "float32"
VARIANCES = {"beta": "fixed_large", "beta_tilde": "fixed_small"}


@functools.lru_cache(maxsize=64)
def built(kind, beta, options):
    options = {"clip_sample": False, **dict(options)}
    return kind(num_train_timesteps=len(beta) // 8, trained_betas=np.frombuffer(beta).tolist(),
                **options)


def ddpm(beta, **options):
    return built(DDPMScheduler, np.asarray(beta, float).tobytes(), tuple(options.items()))


def ddim(beta, **options):
    return built(DDIMScheduler, np.asarray(beta, float).tobytes(), tuple(options.items()))


def step(scheduler, model_output, x_t, t, noise):
    """DDPMScheduler.step with this noise in the place of its own."""
    drawn = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    with mock.patch(drawn, lambda *_, **__: noise):
        return scheduler.step(tensor(model_output), int(t) - 1, tensor(x_t))


def linear_beta(T):
    return DDPMScheduler(num_train_timesteps=T).betas.double().numpy()


def cosine_schedule(T):
    scheduler = DDPMScheduler(num_train_timesteps=T, beta_schedule="squaredcos_cap_v2")
    return scheduler.betas.double().numpy(), np.append(1.0, scheduler.alphas_cumprod.double())


def alpha_bar(beta):
    return np.append(1.0, ddpm(beta).alphas_cumprod.double())


def one_minus_alpha_bar(beta):
    return np.append(0.0, (1 - ddpm(beta).alphas_cumprod).double())


def log_snr(beta):
    return np.log(compute_snr(ddpm(beta), torch.arange(len(beta))).double().numpy())


def respace(beta, times):
    scheduler = DDPMScheduler(num_train_timesteps=len(beta), trained_betas=beta.tolist())
    scheduler.set_timesteps(timesteps=[int(t) - 1 for t in times[::-1]])
    steps = scheduler.timesteps.numpy()[::-1]
    betas = [float(scheduler._get_variance(t, variance_type="fixed_large")) for t in steps]
    return np.array(betas), steps + 1


def q_sample(beta, x_0, t, eps):
    return ddpm(beta).add_noise(tensor(x_0), tensor(eps), their_times(t, x_0)).numpy()


def q_marginal(beta, x_0, t):
    return q_sample(beta, x_0, t, 0 * x_0), q_sample(beta, 0 * x_0, t, 0 * x_0 + 1) ** 2


@item_by_item
def q_posterior(beta, x_t, x_0, t):
    var = float(ddpm(beta)._get_variance(int(t) - 1))
    return p_mean_from_x_0(beta, x_t, x_0, t), np.full((1,) * np.ndim(x_t), var)


@item_by_item
def x_0_from_eps(beta, x_t, eps, t):
    return step(ddpm(beta), eps, x_t, t, 0).pred_original_sample.numpy()


def v_from_eps(beta, x_t, eps, t):
    x_0 = tensor(x_0_from_eps(beta, x_t, eps, t))
    return ddpm(beta).get_velocity(x_0, tensor(eps), their_times(t, x_t)).numpy()


@item_by_item
def p_mean_from_x_0(beta, x_t, x_0, t):
    return step(ddpm(beta, prediction_type="sample"), x_0, x_t, t, 0).prev_sample.numpy()


def p_step(beta, x_t, t, eps, variance, clip=None):
    return _p_step(beta, x_t, eps, t, variance=variance, clip=clip)


@item_by_item
def _p_step(beta, x_t, eps, t, variance, clip):
    options = {} if clip is None else {"clip_sample": True, "clip_sample_range": clip[1]}
    scheduler = ddpm(beta, variance_type=VARIANCES[variance], **options)
    var = float(scheduler._get_variance(int(t) - 1))
    return step(scheduler, eps, x_t, t, 0).prev_sample.numpy(), np.full((1,) * np.ndim(x_t), var)


def learned_variance(beta, x_t, t, v):
    log_variance = ddpm(beta)._get_variance(
        t - 1, predicted_variance=tensor(2 * v - 1), variance_type="learned_range")
    return np.exp(log_variance.numpy())


def sampler_step(beta, x_t, t, eps, z, variance):
    scheduler = ddpm(beta, variance_type=VARIANCES[variance])
    return step(scheduler, eps, x_t, t, tensor(z)).prev_sample.numpy()


def sample(beta, denoiser, x_t, t, rng, variance):
    scheduler, x = ddpm(beta, variance_type=VARIANCES[variance]), x_t
    for their_t in scheduler.timesteps[scheduler.timesteps < t].tolist():
        eps = denoiser(x, np.full(len(x), their_t + 1))
        x = step(scheduler, eps, x, their_t + 1, noise_of(rng)(x)).prev_sample.numpy()
    return x


def ddim_step(beta, x_t, t, s, eps, eta, z):
    """DDIMScheduler steps by T // num_inference_steps.

    So the chain is continued beyond T, until a stride of t − s divides its length.
    """
    stride = t - s
    longer = np.append(beta, np.full(-len(beta) % stride, 0.5))
    scheduler = DDIMScheduler(num_train_timesteps=len(longer), trained_betas=longer.tolist(),
                              clip_sample=False)
    scheduler.set_timesteps(len(longer) // stride)
    done = scheduler.step(tensor(eps), t - 1, tensor(x_t), eta=eta, variance_noise=tensor(z))
    return done.prev_sample.numpy()


def ddim_sample(beta, denoiser, x_T, times):
    scheduler, x = ddim(beta, timestep_spacing="trailing"), x_T
    scheduler.set_timesteps(len(times))
    if list(scheduler.timesteps.numpy()[::-1] + 1) != list(times):
        raise NotImplementedError(f"times {times}")
    for their_t in scheduler.timesteps.tolist():
        eps = denoiser(x, np.full(len(x), their_t + 1))
        x = scheduler.step(tensor(eps), their_t, tensor(x)).prev_sample.numpy()
    return x


def ema_update(ema, weights, decay):
    average = EMAModel([torch.nn.Parameter(tensor(ema))], decay=decay)
    average.optimization_step = 10 ** 9
    average.step([torch.nn.Parameter(tensor(weights))])
    return average.shadow_params[0].detach().numpy()


def time_embedding(t, dim):
    return get_timestep_embedding(torch.as_tensor(np.asarray(t) - 1), dim).double().numpy()
