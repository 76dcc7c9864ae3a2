"""tinyddpm: denoising diffusion probabilistic models, told in the order of their derivation.

We want the distribution p_θ of a model to match the distribution p_data of the data: to make
    KL(p_data ‖ p_θ) = E_{x~p_data}[log p_data(x) − log p_θ(x)] ≥ 0                          (1.1)
small.  p_data is given; so it comes down to making E[log p_θ(x)] large: maximum likelihood   (1.2).

The model explains x by latents z.  Its likelihood p_θ(x) = ∫ p_θ(x, z) dz cannot be computed.  But
for every z, p_θ(x) = p_θ(x, z)/p_θ(z|x).  Take logarithms, average over *any* distribution q(z|x),
and add and subtract log q(z|x):
    log p_θ(x) = E_q[log p_θ(x, z) − log q(z|x)] + KL(q(z|x) ‖ p_θ(z|x)).                     (2.1)
The KL is ≥ 0 by (1.1).  So the expectation, which can be computed and raised, is a lower bound on
log p_θ(x): the ELBO, for "evidence lower bound".  In a diffusion model the latents x_1…x_T are the
data x_0 with more and more noise, and q has nothing to learn:
    log p_θ(x_0) ≥ ELBO = E_q[log p_θ(x_{0:T}) − log q(x_{1:T}|x_0)].                         (2.2)

From here on, every conditional is a Gaussian.  A draw from it is μ + σ·ε (5.1.1), so x_t is x_0
plus a single noise ε (5.1.2).  The mean of the best step back follows from x_t and ε (5.1).  So
all that the bound asks of the model is a guess of ε.

Numbers in brackets, 1.1 to 5.1, are steps of this derivation; they are named so wherever they
return.  "Ho n" is an equation of Ho, Jain & Abbeel 2020 (arXiv 2006.11239), "Luo n" one of
Luo 2022, "Understanding Diffusion Models: A Unified Perspective" (arXiv 2208.11970).

The mathematics, in reading order:
    gaussian   the density, the reparameterised draw, the KL
    schedule   how much noise, t = 1…T
    forward    q: noise in
    reverse    p_θ: one step of noise out, by a guess of the noise
    sampling   Algorithm 2, and DDIM
    decoder    for images: a probability for each of 256 grey levels
    elbo       the bound, sorted into L_T, L_{t−1} and L_0, each a number; the losses
    training   Algorithm 1, and what turns it into a trained network
    network/   the function that guesses the noise, and its gradients
    oracle     data for which all of this has a closed form
    toys       distributions of the plane with known densities
Beyond the paper, for digits:
    images/    the prior of each pixel, a variance for each pixel, an optimiser for matrices
Everything operational:
    app/       run folders, data files, pictures, the command line
"""
from .app.data import load
from .app.digits import mnist, mnist_full
from .decoder import level_log_prob
from .elbo import (Ledger, bits_per_dim, first_form_terms, hybrid_loss, ledger, prior_term,
                   simple_loss, simple_weights, step_term, v_loss, vlb_loss)
from .forward import diffuse, forward_step, marginal, posterior, transition
from .gaussian import Gaussian
from .images.schedule import grey_levels
from .network import Network, conv_denoiser, mlp, time_embedding
from .oracle import FiniteData, Mixture
from .reverse import as_denoiser, predict, reverse_step
from .sampling import (algorithm_2, ancestral_sampling, ddim_sampling, ddim_step, final_sample,
                       sampling_times)
from .schedule import Schedule, cosine, linear, log_snr_uniform, respace
from .toys import toy
from .training import State, algorithm_1, denoiser, train

__version__ = "0.1.0"
