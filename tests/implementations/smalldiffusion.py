"""The adapter of smalldiffusion 0.5.0: its σ-notation mapped to ours.

Its chain is x_σ = x_0 + σ·ε; ours is x_t = √ᾱ_t·x_σ with σ_t = √((1 − ᾱ_t)/ᾱ_t).  Index origin:
theirs is 0.  Variances: β̃ only (gam = 1, mu = ½); DDIM is gam = 1, mu = 0.  Clipping: none.
`samples` takes any list of σ; the lists that sample_sigmas makes end at σ_1, others end at 0 here.
Precision: that of the given σ; its own schedules are float32.
"""
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path.append(str(Path(__file__).parent / "support"))
from pytorch import always, from_zero, offers, plain_functions, tensor, without

# It needs these for its data sets only.
without("torchvision", "torchvision.transforms", "torchvision.datasets")
import smalldiffusion  # noqa: E402
from smalldiffusion.diffusion import sigmas_from_betas  # noqa: E402
from smalldiffusion.model import timestep_embedding  # noqa: E402

PRECISION = "float32"
HERE = SimpleNamespace(device="cpu")  # in the place of an Accelerator


class Answer(torch.nn.Module, smalldiffusion.ModelMixin):
    """Stands for the network: `answer`, a function of their x and σ."""

    def __init__(self, answer, shape=()):
        super().__init__()
        self.answer, self.shape = answer, shape

    def forward(self, x, sigma, cond=None):
        return self.answer(x, sigma)

    def rand_input(self, batchsize):
        return torch.randn(self.shape)


def signal(sigma):
    """√ᾱ."""
    return 1 / torch.sqrt(1 + sigma ** 2)


def beta_and_alpha_bar(schedule):
    """β_1…β_T and ᾱ_0…ᾱ_T of one of their schedules."""
    ab = from_zero(1.0, signal(schedule.sigmas.double()) ** 2)
    return 1 - ab[1:] / ab[:-1], ab


class Smalldiffusion:
    VARIANCES = {"beta_tilde": "beta_tilde"}

    def __init__(self, beta):
        self.schedule = smalldiffusion.Schedule(sigmas_from_betas(tensor(beta)))

    def _sigma(self, t, x):
        """σ_t, (B, 1, …), which broadcasts against x."""
        return self.schedule[t].reshape(-1, *(1,) * (x.ndim - 1))

    def _sigmas(self, times):
        """The list that leads through these times down to 0."""
        if self.ddim_times(len(self.schedule), len(times)).tolist() == [t + 1 for t in times]:
            return self.schedule.sample_sigmas(len(times))
        return [*self.schedule[times[::-1]], 0 * self.schedule[0]]

    def _asks(self, denoiser):
        """`denoiser` as a function of their x and σ."""
        def answer(x, sigma):
            t = torch.searchsorted(self.schedule.sigmas, sigma.reshape(-1))
            return denoiser(signal(sigma) * x, t if sigma.ndim else int(t))
        return answer

    @staticmethod
    def _chain(answer, x_t, sigmas, mu):
        """The last x of `samples` along these σ, from our x_t, in our scale."""
        model = Answer(answer, x_t.shape)
        *_, last = smalldiffusion.samples(model, sigmas, 1.0, mu, xt=x_t / signal(sigmas[0]),
                                          accelerator=HERE)
        return last

    @staticmethod
    def linear_beta(T):
        return beta_and_alpha_bar(smalldiffusion.ScheduleDDPM(T))[0]

    @staticmethod
    def cosine_schedule(T):
        return beta_and_alpha_bar(smalldiffusion.ScheduleCosine(T))

    def alpha_bar(self):
        return beta_and_alpha_bar(self.schedule)[1]

    def one_minus_alpha_bar(self):
        return from_zero(0.0, (signal(self.schedule.sigmas) * self.schedule.sigmas) ** 2)

    def log_snr(self):
        return -2 * self.schedule.sigmas.log()

    def q_sample(self, x_0, t, eps):
        """The network's input in training."""
        inputs, sigma = [], self._sigma(t, x_0)

        def answer(x, sigma):
            inputs.append(x)
            return x

        Answer(answer).get_loss(x_0, sigma, eps)
        return signal(sigma) * inputs[0]

    def _eps(self, kind, output, x_t, t):
        """ε of a network that predicts something else."""
        sigma = self._sigma(t, x_t)
        return kind(Answer)(always(output)).predict_eps(x_t / signal(sigma), sigma)

    def eps_from_x_0(self, x_t, x_0, t):
        return self._eps(smalldiffusion.PredX0, x_0, x_t, t)

    def eps_from_v(self, x_t, v, t):
        return self._eps(smalldiffusion.PredV, v, x_t, t)

    def sampler_step(self, x_t, t, eps, z, variance):
        """The step of `samples` at its place among sample_sigmas(T), whose last σ is σ_1, not 0."""
        sigmas = self.schedule.sample_sigmas(len(self.schedule))[-t - 2:][:2]
        x = self._chain(always(eps), x_t, sigmas, 0.5)
        return signal(sigmas[1]) * x if t > 0 else x

    def sample(self, denoiser, x_t, t, rng, variance):
        sigmas = self.schedule.sample_sigmas(len(self.schedule))[-t - 2:]
        return self._chain(self._asks(denoiser), x_t, sigmas, 0.5)

    @staticmethod
    def ddim_times(T, n):
        numbered = smalldiffusion.Schedule(torch.arange(1, T + 1))
        return numbered.sample_sigmas(n)[:-1].flip(0)

    def ddim_step(self, x_t, t, s, eps, eta, z, clip=None):
        offers(eta in (0, 1) and clip is None, f"eta = {eta}, clip to {clip}")
        sigmas = self.schedule[t], self.schedule[s] if s >= 0 else 0 * self.schedule[t]
        x = self._chain(always(eps), x_t, sigmas, eta / 2)
        return signal(sigmas[1]) * x

    def ddim_sample(self, denoiser, x_T, times):
        return self._chain(self._asks(denoiser), x_T, self._sigmas(times), 0.0)

    def simple_loss(self, denoiser, x_0, t, eps):
        return Answer(self._asks(denoiser)).get_loss(x_0, self._sigma(t, x_0), eps)

    def v_loss(self, network, x_0, t, eps):
        model = smalldiffusion.PredV(Answer)(self._asks(network))
        return model.get_loss(x_0, self._sigma(t, x_0), eps)

    @staticmethod
    def draw_times(rng, T, n):
        return smalldiffusion.Schedule(torch.arange(1, T + 1)).sample_batch(torch.zeros(n)).int()

    @staticmethod
    def time_embedding(t, dim):
        return timestep_embedding(t + 1, dim)


globals().update(plain_functions(Smalldiffusion))
