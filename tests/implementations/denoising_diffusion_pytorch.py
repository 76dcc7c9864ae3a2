"""The adapter of denoising-diffusion-pytorch 2.3.4: GaussianDiffusion, LearnedGaussianDiffusion.

Index origin: theirs is 0, t − 1 is passed.  Variances: β̃ only, at least 1e-20.  Clipping: p_sample
and ddim_sample always clip x̂_0 to [−1, 1]; p_mean_variance clips on request, to [−1, 1] only.
Precision: tables are built in float64 and kept in float32.
"""
import functools
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import noise_of, tensor, their_times, without

# It needs these for pictures and scores only.
without("torchvision", "pytorch_fid", "pytorch_fid.fid_score", "pytorch_fid.inception")
from denoising_diffusion_pytorch import denoising_diffusion_pytorch as library  # noqa: E402
from denoising_diffusion_pytorch import learned_gaussian_diffusion as learned  # noqa: E402

PRECISION = "float32"


class Answer(torch.nn.Module):
    """Stands for the network: `answer`, a function of x and their t."""

    channels, self_condition, answer = 1, False, None

    def __init__(self, out_dim):
        super().__init__()
        self.out_dim = out_dim

    def forward(self, x, t, *_):
        return self.answer(x, t)


@functools.lru_cache(maxsize=64)
def built(kind, out_dim, beta):
    with mock.patch.object(library, "linear_beta_schedule", lambda T: tensor(np.frombuffer(beta))):
        return kind(Answer(out_dim), image_size=1, timesteps=len(beta) // 8,
                    objective="pred_noise", beta_schedule="linear", auto_normalize=False)


def diffusion(beta, answer=None, kind=library.GaussianDiffusion, out_dim=1):
    made = built(kind, out_dim, np.asarray(beta, float).tobytes())
    made.model.answer = answer
    return made


def as_answer(denoiser):
    return lambda x, t: tensor(denoiser(x.numpy(), t.numpy() + 1))


def beta_tilde_only(variance):
    if variance != "beta_tilde":
        raise NotImplementedError(f'variance "{variance}"')


def numpy(*tensors):
    return tuple(a.double().numpy() for a in tensors)


def linear_beta(T):
    return library.linear_beta_schedule(T).numpy()


def cosine_schedule(T):
    made = library.GaussianDiffusion(Answer(1), image_size=1, timesteps=T, beta_schedule="cosine")
    return library.cosine_beta_schedule(T).numpy(), np.append(1.0, made.alphas_cumprod.double())


def alpha_bar(beta):
    return np.append(1.0, diffusion(beta).alphas_cumprod.double())


def one_minus_alpha_bar(beta):
    return np.append(0.0, diffusion(beta).sqrt_one_minus_alphas_cumprod.double() ** 2)


def q_sample(beta, x_0, t, eps):
    return diffusion(beta).q_sample(tensor(x_0), their_times(t, x_0), tensor(eps)).numpy()


def q_marginal(beta, x_0, t):
    return q_sample(beta, x_0, t, 0 * x_0), q_sample(beta, 0 * x_0, t, 0 * x_0 + 1) ** 2


def q_draw(beta, x_0, t, rng):
    torch.manual_seed(int(rng.integers(2 ** 31)))
    return diffusion(beta).q_sample(tensor(x_0), their_times(t, x_0)).numpy()


def q_posterior(beta, x_t, x_0, t):
    return numpy(*diffusion(beta).q_posterior(tensor(x_0), tensor(x_t), their_times(t, x_t))[:2])


def x_0_from_eps(beta, x_t, eps, t):
    their_t = their_times(t, x_t)
    return diffusion(beta).predict_start_from_noise(tensor(x_t), their_t, tensor(eps)).numpy()


def eps_from_x_0(beta, x_t, x_0, t):
    their_t = their_times(t, x_t)
    return diffusion(beta).predict_noise_from_start(tensor(x_t), their_t, tensor(x_0)).numpy()


def v_from_eps(beta, x_t, eps, t):
    x_0 = tensor(x_0_from_eps(beta, x_t, eps, t))
    return diffusion(beta).predict_v(x_0, their_times(t, x_t), tensor(eps)).numpy()


def eps_from_v(beta, x_t, v, t):
    their_t = their_times(t, x_t)
    x_0 = diffusion(beta).predict_start_from_v(tensor(x_t), their_t, tensor(v)).numpy()
    return eps_from_x_0(beta, x_t, x_0, t)


def p_step(beta, x_t, t, eps, variance, clip=None):
    beta_tilde_only(variance)
    if clip not in (None, (-1, 1)):
        raise NotImplementedError(f"clip to {clip}")
    made = diffusion(beta, lambda x, t: tensor(eps))
    mean, _, log_variance, _ = made.p_mean_variance(
        tensor(x_t), their_times(t, x_t), clip_denoised=clip is not None)
    return numpy(mean, log_variance.exp())


def p_mean_from_x_0(beta, x_t, x_0, t):
    return q_posterior(beta, x_t, x_0, t)[0]


def learned_variance(beta, x_t, t, v):
    made = diffusion(beta, kind=learned.LearnedGaussianDiffusion, out_dim=2)
    output = torch.cat([tensor(0 * v), tensor(2 * v - 1)], 1)
    _, variance, *_ = made.p_mean_variance(
        x=tensor(x_t), t=their_times(t, x_t), clip_denoised=False, model_output=output)
    return variance.numpy()


def kl(mean_1, var_1, mean_2, var_2):
    parameters = mean_1, np.log(var_1), mean_2, np.log(var_2)
    nats = learned.normal_kl(*map(tensor, parameters)).numpy()
    return nats.reshape(len(nats), -1).sum(1)


def decoder_log_prob(x_0, mean, var):
    log_std = tensor(np.log(var) / 2)
    nats = learned.discretized_gaussian_log_likelihood(
        tensor(x_0), means=tensor(mean), log_scales=log_std).numpy()
    return nats.reshape(len(nats), -1).sum(1)


def sampler_step(beta, x_t, t, eps, z, variance):
    beta_tilde_only(variance)
    made = diffusion(beta, lambda x, t: tensor(eps))
    with mock.patch.object(torch, "randn_like", lambda x: tensor(z)):
        return made.p_sample(tensor(x_t), int(t) - 1)[0].numpy()


def without_bar():
    """No progress bar within the `with` statement."""
    return mock.patch.object(library, "tqdm", lambda x, **_: x)


def sample(beta, denoiser, x_t, t, rng, variance):
    """From t = T by p_sample_loop; from an earlier t by interpolate, which denoises from t on."""
    beta_tilde_only(variance)
    made, x_t, noise = diffusion(beta, as_answer(denoiser)), tensor(x_t), noise_of(rng)
    with mock.patch.multiple(torch, randn=lambda *_, **__: x_t, randn_like=noise), without_bar():
        if t == len(beta):
            return made.p_sample_loop(x_t.shape).numpy()
        with mock.patch.object(type(made), "q_sample", lambda self, x, t: x):
            return made.interpolate(x_t, x_t, t=int(t) - 1).numpy()


def ddim_sample(beta, denoiser, x_T, times):
    made = diffusion(beta, as_answer(denoiser))
    if list(torch.linspace(-1, len(beta) - 1, len(times) + 1).int()[1:] + 1) != list(times):
        raise NotImplementedError(f"times {times}")
    steps = mock.patch.object(made, "sampling_timesteps", len(times))
    start = mock.patch.object(torch, "randn", lambda *_, **__: tensor(x_T))
    with steps, start, without_bar():
        return made.ddim_sample(x_T.shape).numpy()


def simple_loss(beta, denoiser, x_0, t, eps):
    """forward and p_losses take (B, channels, height, width)."""
    def flat(x):
        return tensor(x).reshape(len(x), 1, 1, -1)

    def answer(x, t):
        return flat(denoiser(x.numpy().reshape(x_0.shape), t.numpy() + 1))

    made = diffusion(beta, answer)
    return float(made.p_losses(flat(x_0), their_times(t, x_0), flat(eps)))


def draw_times(rng, T, n):
    torch.manual_seed(int(rng.integers(2 ** 31)))
    return diffusion(np.full(T, 0.1)).random_times(n).numpy() + 1


def time_embedding(t, dim):
    return library.SinusoidalPosEmb(dim)(torch.as_tensor(np.asarray(t) - 1)).double().numpy()
