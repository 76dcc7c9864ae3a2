"""The adapter of OpenAI's improved-diffusion: GaussianDiffusion and SpacedDiffusion.

pip install git+https://github.com/openai/improved-diffusion  (tried at commit 1bc7bbb)

Index origin: theirs is 0, t − 1 is passed.  Variances: "beta" is FIXED_LARGE, whose σ_1² is β̃_2 as
in Ho's code; "beta_tilde" is FIXED_SMALL, whose logarithm at t = 1 is that of β̃_2.  Clipping: on
by default there; here it is on only if a law clips, by `denoised_fn`, which takes any bounds.
Precision: tables are built in float64 and used in float32.  A chain of one step raises IndexError;
`alpha_bar` shows it, and the other functions decline such a chain, so that they are judged.
"""
import functools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent / "support"))
from improved_diffusion import losses, nn, resample
from improved_diffusion import gaussian_diffusion as library
from improved_diffusion.respace import SpacedDiffusion, space_timesteps
from pytorch import always, from_zero, offers, per_item, plain_functions

PRECISION = "float32"
NAT = np.log(2)  # their bits → nats


class ImprovedDiffusion:
    VARIANCES = {"beta": "FIXED_LARGE", "beta_tilde": "FIXED_SMALL"}

    def __init__(self, beta):
        self.beta = beta
        self._built = functools.cache(self._build)

    def _build(self, variance="FIXED_LARGE", mean="EPSILON", loss="MSE", times=None):
        """The chain of `times`, all of them by default."""
        times = range(len(self.beta)) if times is None else times
        offers(len(times) > 1, "a chain of one step")
        return SpacedDiffusion(times, betas=self.beta, model_mean_type=library.ModelMeanType[mean],
                               model_var_type=library.ModelVarType[variance],
                               loss_type=library.LossType[loss])

    @property
    def _diffusion(self):
        return self._built()

    def _p(self, x_t, t, output, clip=None, **options):
        """The pair of the mean and the variance of p_θ, for a network that returns `output`.

        The variance is that of `log_variance`, with which they sample and compute the bound.
        """
        p = self._built(**options).p_mean_variance(always(output), x_t, t, **clipped(clip))
        return p["mean"], p["log_variance"].exp()

    @staticmethod
    def linear_beta(T):
        beta = library.get_named_beta_schedule("linear", T)
        ImprovedDiffusion(beta)._built()  # it refuses β > 1
        return beta

    @staticmethod
    def cosine_schedule(T):
        beta = library.get_named_beta_schedule("cosine", T)
        return beta, from_zero(1.0, ImprovedDiffusion(beta)._diffusion.alphas_cumprod)

    def alpha_bar(self):
        made = library.GaussianDiffusion(betas=self.beta, model_mean_type=None,
                                         model_var_type=None, loss_type=None)
        return from_zero(1.0, made.alphas_cumprod)

    def one_minus_alpha_bar(self):
        return from_zero(0.0, self._diffusion.sqrt_one_minus_alphas_cumprod ** 2)

    def respace(self, times):
        spaced = self._built(times=tuple(times))
        return spaced.betas, np.array(spaced.timestep_map) + 1

    def q_marginal(self, x_0, t):
        return self._diffusion.q_mean_variance(x_0, t)[:2]

    def q_sample(self, x_0, t, eps):
        return self._diffusion.q_sample(x_0, t, eps)

    def q_draw(self, x_0, t, rng):
        return self._diffusion.q_sample(x_0, t)

    def q_posterior(self, x_t, x_0, t):
        return self._diffusion.q_posterior_mean_variance(x_0, x_t, t)[:2]

    def x_0_from_eps(self, x_t, eps, t):
        return self._diffusion._predict_xstart_from_eps(x_t, t, eps)

    def eps_from_x_0(self, x_t, x_0, t):
        return self._diffusion._predict_eps_from_xstart(x_t, t, x_0)

    def p_step(self, x_t, t, eps, variance, clip=None):
        return self._p(x_t, t, eps, clip, variance=variance)

    def p_mean_from_x_0(self, x_t, x_0, t):
        return self._p(x_t, t, x_0, mean="START_X")[0]

    def learned_variance(self, x_t, t, v):
        return self._p(x_t, t, torch.cat([0 * v, 2 * v - 1], 1), variance="LEARNED_RANGE")[1]

    def respaced_variance(self, times, x_t, t, v):
        place = torch.tensor([times.index(i) for i in t.tolist()])
        return self._p(x_t, place, torch.cat([0 * v, 2 * v - 1], 1), variance="LEARNED_RANGE",
                       times=tuple(times))[1]

    @staticmethod
    def kl(mean_1, var_1, mean_2, var_2):
        return per_item(losses.normal_kl(mean_1, var_1.log(), mean_2, var_2.log()))

    def prior_term(self, x_0):
        return self._diffusion._prior_bpd(x_0) * x_0[0].numel() * NAT

    def step_term(self, x_0, t, eps, eps_hat, variance):
        made, x_t = self._built(variance), self._diffusion.q_sample(x_0, t, eps)
        term = made._vb_terms_bpd(always(eps_hat), x_0, x_t, t, clip_denoised=False)
        return term["output"] * x_0[0].numel() * NAT

    @staticmethod
    def decoder_log_prob(x_0, mean, var):
        log_std = var.log() / 2
        nats = losses.discretized_gaussian_log_likelihood(x_0, means=mean, log_scales=log_std)
        return per_item(nats)

    def sampler_step(self, x_t, t, eps, z, variance):
        made, times = self._built(variance), torch.full((len(x_t),), t)
        return made.p_sample(always(eps), x_t, times, **clipped(None))["sample"]

    def sample(self, denoiser, x_t, t, rng, variance):
        offers(t == len(self.beta) - 1, "a start before T")
        return self._built(variance).p_sample_loop(denoiser, x_t.shape, x_t, **clipped(None),
                                                   device="cpu")

    @staticmethod
    def ddim_times(T, n):
        try:
            times = space_timesteps(T, f"ddim{n}")
        except ValueError as error:
            raise NotImplementedError(str(error)) from None
        return np.array(sorted(times)) + 1

    def ddim_step(self, x_t, t, s, eps, eta, z, clip=None):
        """For s = 0 the chain has a later time too, as one of a single step cannot be built."""
        longer = ImprovedDiffusion(np.append(self.beta, 0.5))
        made = longer._build(times=[s, t] if s >= 0 else [t, len(self.beta)])
        place = torch.full((len(x_t),), int(s >= 0))
        return made.ddim_sample(always(eps), x_t, place, **clipped(clip), eta=eta)["sample"]

    def ddim_sample(self, denoiser, x_T, times):
        made = self._built(times=tuple(times))
        return made.ddim_sample_loop(denoiser, x_T.shape, x_T, **clipped(None),
                                                         device="cpu")

    def ddim_encode(self, denoiser, x_0, times):
        """ddim_reverse_sample leads from a time to the next.

        So the chain begins with a time of its own, where β = 1e-12 and the network is told the
        first of `times`.
        """
        longer = ImprovedDiffusion(np.append(1e-12, self.beta))
        made = longer._build(times=[0, *(t + 1 for t in times)])

        def network(x, t):
            return denoiser(x, (t - 1).clamp(min=times[0]))

        for place in range(len(times)):
            at = torch.full((len(x_0),), place)
            x_0 = made.ddim_reverse_sample(network, x_0, at, **clipped(None))["sample"]
        return x_0

    def simple_loss(self, denoiser, x_0, t, eps):
        return self._diffusion.training_losses(denoiser, x_0, t, noise=eps)["loss"].mean()

    def vlb_loss(self, denoiser, x_0, t, eps, variance):
        made = self._built(variance, loss="RESCALED_KL")
        return made.training_losses(denoiser, x_0, t, noise=eps)["loss"].mean() * NAT

    @staticmethod
    def draw_times(rng, T, n):
        sampler = resample.UniformSampler(SimpleNamespace(num_timesteps=T))
        return sampler.sample(n, "cpu")[0] + 1

    @staticmethod
    def ema_update(ema, weights, decay):
        nn.update_ema([ema], [weights], rate=decay)
        return ema

    @staticmethod
    def time_embedding(t, dim):
        return nn.timestep_embedding(t, dim)


def clipped(bounds):
    """The arguments that clip x̂_0 to these bounds, or do not clip it."""
    clip = None if bounds is None else lambda x_0: x_0.clamp(*bounds)
    return {"clip_denoised": False, "denoised_fn": clip}


globals().update(plain_functions(ImprovedDiffusion))
