"""The adapter of diffusers 0.42.1: DDPMScheduler, DDIMScheduler and their kin.

Index origin: theirs is 0, t − 1 is passed.  Variances: "beta_tilde" is variance_type "fixed_small",
not below 1e-20; "beta" is "fixed_large".  Clipping: clip_sample is on by default there; here it is
on only if a law clips, and symmetric; DDIM is asked to derive ε̂ anew (use_clipped_model_output).
DDIM visits times that one of the three timestep_spacings gives; `ddim_times` is "leading", the
default.  Precision: tables are built and kept in float32.  The caller draws noise and times there,
so the laws about drawing them find no function.
"""
import functools
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, DDPMScheduler, RePaintScheduler
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.training_utils import EMAModel, compute_snr

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import from_zero, offers, one_t, plain_functions

PRECISION = "float32"


class Diffusers:
    VARIANCES = {"beta": "fixed_large", "beta_tilde": "fixed_small"}

    def __init__(self, beta):
        self.beta = beta
        self._scheduler = functools.cache(self._build)
        self.ddpm = self._scheduler()

    def _build(self, kind=DDPMScheduler, clip=None, **options):
        clips = {"clip_sample": clip is not None}
        if clip is not None:
            offers(clip[0] == -clip[1], f"clip to {clip}")
            clips["clip_sample_range"] = clip[1]
        betas = self.beta if kind is RePaintScheduler else self.beta.tolist()
        return kind(num_train_timesteps=len(betas), trained_betas=betas, **clips, **options)

    def _visits(self, kind, times):
        """A DDIM scheduler that visits these times, by one of its spacings."""
        for spacing in "trailing", "leading", "linspace":
            scheduler = self._scheduler(kind, timestep_spacing=spacing)
            if spacing != "linspace" or kind is DDIMScheduler:
                scheduler.set_timesteps(len(times))
                if sorted(scheduler.timesteps.tolist()) == times:
                    return scheduler
        raise NotImplementedError(f"times {times}")

    @staticmethod
    def linear_beta(T):
        return DDPMScheduler(num_train_timesteps=T).betas

    @staticmethod
    def cosine_schedule(T):
        scheduler = DDPMScheduler(num_train_timesteps=T, beta_schedule="squaredcos_cap_v2")
        return scheduler.betas, from_zero(1.0, scheduler.alphas_cumprod)

    def alpha_bar(self):
        return from_zero(1.0, self.ddpm.alphas_cumprod)

    def one_minus_alpha_bar(self):
        return from_zero(0.0, 1 - self.ddpm.alphas_cumprod)

    def log_snr(self):
        return compute_snr(self.ddpm, torch.arange(len(self.beta))).log()

    def respace(self, times):
        scheduler = self._respaced(times)
        steps = sorted(scheduler.timesteps.tolist())
        betas = [float(scheduler._get_variance(t, variance_type="fixed_large")) for t in steps]
        return np.array(betas), np.array(steps) + 1

    def _respaced(self, times):
        scheduler = self._build()
        scheduler.set_timesteps(timesteps=times[::-1])
        return scheduler

    def q_sample(self, x_0, t, eps):
        return self.ddpm.add_noise(x_0, eps, t)

    def _step(self, x_t, t, output, **options):
        return self._scheduler(**options).step(output, t, x_t)

    @one_t
    def q_posterior(self, x_t, x_0, t):
        return self.p_mean_from_x_0(x_t, x_0, t), self.ddpm._get_variance(t).expand(x_t.shape)

    @one_t
    def x_0_from_eps(self, x_t, eps, t):
        return self._step(x_t, t, eps).pred_original_sample

    def v_from_eps(self, x_t, eps, t):
        return self.ddpm.get_velocity(self.x_0_from_eps(x_t, eps, t), eps, t)

    @one_t
    def p_step(self, x_t, t, eps, variance, clip=None):
        var = self._scheduler(variance_type=variance)._get_variance(t).expand(x_t.shape)
        return self._step(x_t, t, eps, clip=clip).prev_sample, var

    @one_t
    def p_mean_from_x_0(self, x_t, x_0, t):
        return self._step(x_t, t, x_0, prediction_type="sample").prev_sample

    @one_t
    def learned_variance(self, x_t, t, v):
        return self.ddpm._get_variance(t, 2 * v - 1, "learned_range").exp()

    @one_t
    def respaced_variance(self, times, x_t, t, v):
        return self._respaced(times)._get_variance(t, 2 * v - 1, "learned_range").exp()

    @staticmethod
    def to_levels(x_0):
        """As pixels of one coloured image of height 1."""
        image = x_0.reshape(1, 1, 1, -1).expand(1, 3, 1, -1)
        levels = np.asarray(VaeImageProcessor().postprocess(image, "pil")[0])
        return levels[..., 0].reshape(x_0.shape)

    def sampler_step(self, x_t, t, eps, z, variance):
        return self._step(x_t, t, eps, variance_type=variance).prev_sample

    def sample(self, denoiser, x_t, t, rng, variance):
        for their_t in self.ddpm.timesteps[self.ddpm.timesteps <= t].tolist():
            eps = denoiser(x_t, their_t)
            x_t = self._step(x_t, their_t, eps, variance_type=variance).prev_sample
        return x_t

    @staticmethod
    def ddim_times(T, n):
        scheduler = DDIMScheduler(num_train_timesteps=T)
        scheduler.set_timesteps(n)
        return scheduler.timesteps.flip(0) + 1

    def ddim_step(self, x_t, t, s, eps, eta, z, clip=None):
        """DDIMScheduler steps by T // num_inference_steps.

        So the chain is continued beyond T, until a stride of t − s divides its length.
        """
        stride = t - s
        longer = Diffusers(np.append(self.beta, np.full(-len(self.beta) % stride, 0.5)))
        scheduler = longer._build(DDIMScheduler, clip)
        scheduler.set_timesteps(len(longer.beta) // stride)
        return scheduler.step(eps, t, x_t, eta, use_clipped_model_output=clip is not None,
                              variance_noise=z).prev_sample

    def ddim_sample(self, denoiser, x_T, times):
        return self._along(self._visits(DDIMScheduler, times), denoiser, x_T)

    def ddim_encode(self, denoiser, x_0, times):
        return self._along(self._visits(DDIMInverseScheduler, times), denoiser, x_0)

    def inpaint(self, denoiser, x_T, given, known, rng, variance):
        """Without the jumps of RePaint."""
        offers(variance == "fixed_small", f'variance "{variance}"')
        scheduler, T = self._scheduler(RePaintScheduler, eta=1.0), len(self.beta)
        scheduler.set_timesteps(T, jump_length=T)
        return self._along(scheduler, denoiser, x_T, given, known)

    @staticmethod
    def _along(scheduler, denoiser, x, *more):
        for t in scheduler.timesteps.tolist():
            x = scheduler.step(denoiser(x, t), t, x, *more).prev_sample
        return x

    @staticmethod
    def ema_update(ema, weights, decay):
        average = EMAModel([torch.nn.Parameter(ema)], decay)
        average.optimization_step = 10 ** 9
        average.step([torch.nn.Parameter(weights)])
        return average.shadow_params[0]

    @staticmethod
    def ema_decay(decay, step):
        return EMAModel([], decay).get_decay(step)

    @staticmethod
    def time_embedding(t, dim):
        return get_timestep_embedding(t, dim)


globals().update(plain_functions(Diffusers))
