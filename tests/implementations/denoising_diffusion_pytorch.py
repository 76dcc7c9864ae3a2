"""The adapter of denoising-diffusion-pytorch 2.3.4: GaussianDiffusion and its kin.

Index origin: theirs is 0, t − 1 is passed.  Variances: β̃ only, at least 1e-20.  Clipping: the
samplers always clip x̂_0 to [−1, 1]; p_mean_variance does so on request.  DDIM visits
linspace(0, T, n + 1), rounded down.  Precision: tables are built in float64 and kept in float32.
"""
import functools
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import always, drawing, from_zero, offers, per_item, plain_functions, tensor, without

# It needs these for pictures and scores only.
without("torchvision", "pytorch_fid", "pytorch_fid.fid_score", "pytorch_fid.inception")
from denoising_diffusion_pytorch import denoising_diffusion_pytorch as library  # noqa: E402
from denoising_diffusion_pytorch import learned_gaussian_diffusion as learned  # noqa: E402
from denoising_diffusion_pytorch import repaint  # noqa: E402

PRECISION = "float32"
NAT = np.log(2)  # their bits → nats
library.tqdm = repaint.tqdm = lambda steps, **_: steps  # no progress bars


class DenoisingDiffusionPytorch:
    VARIANCES = {"beta_tilde": "beta_tilde"}
    IMAGES = True  # p_losses takes (B, channels, height, width) only

    def __init__(self, beta):
        self.beta = beta
        self._empty = functools.cache(self._build)
        self.diffusion = self._empty()

    def _build(self, kind=library.GaussianDiffusion, objective="pred_noise", **options):
        """A diffusion without a network."""
        module = repaint if kind is repaint.GaussianDiffusion else library
        outputs = 2 if kind is learned.LearnedGaussianDiffusion else 1
        model = SimpleNamespace(channels=1, out_dim=outputs, self_condition=False)
        with mock.patch.object(module, "linear_beta_schedule", always(tensor(self.beta))):
            return kind(model, image_size=1, timesteps=len(self.beta), beta_schedule="linear",
                        objective=objective, auto_normalize=False, **options)

    def _built(self, network, *kind, **options):
        made = self._empty(*kind, **options)
        made.model = network
        return made

    @staticmethod
    def linear_beta(T):
        return library.linear_beta_schedule(T)

    @staticmethod
    def cosine_schedule(T):
        beta = library.cosine_beta_schedule(T)
        return beta, DenoisingDiffusionPytorch(beta.numpy()).alpha_bar()

    def alpha_bar(self):
        return from_zero(1.0, self.diffusion.alphas_cumprod)

    def one_minus_alpha_bar(self):
        return from_zero(0.0, self.diffusion.sqrt_one_minus_alphas_cumprod.double() ** 2)

    def q_sample(self, x_0, t, eps):
        return self.diffusion.q_sample(x_0, t, eps)

    def q_draw(self, x_0, t, rng):
        return self.diffusion.q_sample(x_0, t)

    def q_posterior(self, x_t, x_0, t):
        return self.diffusion.q_posterior(x_0, x_t, t)[:2]

    def x_0_from_eps(self, x_t, eps, t):
        return self.diffusion.predict_start_from_noise(x_t, t, eps)

    def eps_from_x_0(self, x_t, x_0, t):
        return self.diffusion.predict_noise_from_start(x_t, t, x_0)

    def v_from_eps(self, x_t, eps, t):
        return self.diffusion.predict_v(self.x_0_from_eps(x_t, eps, t), t, eps)

    def eps_from_v(self, x_t, v, t):
        return self.eps_from_x_0(x_t, self.diffusion.predict_start_from_v(x_t, t, v), t)

    def p_step(self, x_t, t, eps, variance, clip=None):
        offers(clip is None or tuple(clip) == (-1, 1), f"clip to {clip}")
        made = self._built(always(eps))
        mean, _, log_var, _ = made.p_mean_variance(x_t, t, clip_denoised=clip is not None)
        return mean, log_var.exp()

    def p_mean_from_x_0(self, x_t, x_0, t):
        return self.diffusion.q_posterior(x_0, x_t, t)[0]

    def learned_variance(self, x_t, t, v):
        output = torch.cat([0 * v, 2 * v - 1], 1)
        made = self._empty(learned.LearnedGaussianDiffusion)
        return made.p_mean_variance(x=x_t, t=t, clip_denoised=False, model_output=output)[1]

    @staticmethod
    def kl(mean_1, var_1, mean_2, var_2):
        return per_item(learned.normal_kl(mean_1, var_1.log(), mean_2, var_2.log()))

    @staticmethod
    def decoder_log_prob(x_0, mean, var):
        log_std = var.log() / 2
        nats = learned.discretized_gaussian_log_likelihood(x_0, means=mean, log_scales=log_std)
        return per_item(nats)

    def sampler_step(self, x_t, t, eps, z, variance):
        return self._built(always(eps)).p_sample(x_t, t)[0]

    def sample(self, denoiser, x_t, t, rng, variance):
        """From T by p_sample_loop; from an earlier t by `interpolate`, which denoises from t on."""
        made = self._built(denoiser)
        if t == len(self.beta) - 1:
            with drawing(x_t, rng):
                return made.p_sample_loop(x_t.shape)
        with mock.patch.object(made, "q_sample", lambda x, t: x):
            return made.interpolate(x_t, x_t, t)

    @staticmethod
    def ddim_times(T, n):
        """The times at which ddim_sample asks the network."""
        asked = []

        def network(x, t, *_):
            asked.append(int(t[0]) + 1)
            return x

        made = DenoisingDiffusionPytorch(np.full(T, 0.01))
        made._built(network, sampling_timesteps=n).ddim_sample((1, 1, 1, 1))
        return np.array(asked[::-1])

    def ddim_step(self, x_t, t, s, eps, eta, z, clip=None):
        """The loop of ddim_sample, whose list of times is t and s here."""
        offers(clip is not None and tuple(clip) == (-1, 1), f"clip to {clip}")
        made = self._built(always(eps), ddim_sampling_eta=eta)
        times = mock.patch.object(torch, "linspace", always(torch.tensor([s, t])))
        with drawing(x_t, z), times:
            return made.ddim_sample(x_t.shape)

    def ddim_sample(self, denoiser, x_T, times):
        T, n = len(self.beta), len(times)
        offers([t + 1 for t in times] == self.ddim_times(T, n).tolist(), f"times {times}")
        with drawing(x_T):
            return self._built(denoiser, sampling_timesteps=n).ddim_sample(x_T.shape)

    def inpaint(self, denoiser, x_T, given, known, rng, variance):
        """Without the resampling of RePaint; pictures are in [0, 1] there."""
        made = self._built(denoiser, repaint.GaussianDiffusion)
        with drawing(x_T, rng):
            return made.p_sample_loop(x_T.shape, gt=(given + 1) / 2, mask=known, resample=False)

    def simple_loss(self, denoiser, x_0, t, eps):
        return self._built(denoiser).p_losses(x_0, t, eps)

    def v_loss(self, network, x_0, t, eps):
        return self._built(network, objective="pred_v").p_losses(x_0, t, eps)

    def vlb_loss(self, denoiser, x_0, t, eps, variance):
        """What vb_loss_weight weighs in p_losses; the variance is learned there, and here β̃_t."""
        def network(x, t, *_):
            return torch.cat([denoiser(x, t), torch.full_like(x, -1)], 1)

        losses = [self._built(network, learned.LearnedGaussianDiffusion, vb_loss_weight=weight)
                  .p_losses(x_0, t, eps) for weight in (0, 1)]
        return (losses[1] - losses[0]) * NAT

    @staticmethod
    def draw_times(rng, T, n):
        made = SimpleNamespace(num_timesteps=T, device="cpu")
        return library.GaussianDiffusion.random_times(made, n) + 1

    @staticmethod
    def ema_update(ema, weights, decay):
        average = library.EMA(torch.nn.ParameterList([ema]), beta=decay, update_every=1)
        average.update()
        average.step.fill_(10 ** 15)
        average.model[0].data = weights
        average.update()
        return average.ema_model[0]

    @staticmethod
    def ema_decay(decay, step):
        average = library.EMA(torch.nn.ParameterList([]), beta=decay)
        average.step.fill_(step)
        return average.get_current_decay()

    @staticmethod
    def time_embedding(t, dim):
        return library.SinusoidalPosEmb(dim)(t)


globals().update(plain_functions(DenoisingDiffusionPytorch))
