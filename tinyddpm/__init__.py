"""tinyddpm: denoising diffusion probabilistic models, in the order of their derivation.

We want the distribution p_θ of a model to match the distribution p_data of the data: to make
    KL(p_data ‖ p_θ) = E_{x~p_data}[log p_data(x) − log p_θ(x)] ≥ 0                          (1.1)
small.  (It is ≥ 0 by Jensen's inequality: E[−log(p_θ/p_data)] ≥ −log E[p_θ/p_data] ≥ 0.)  p_data is
fixed, so the KL is smallest where the other term is largest.  This is maximum likelihood:
    choose θ so that E_{x~p_data}[log p_θ(x)] is as large as possible.                        (1.2)

The model explains x by latents z.  Its likelihood p_θ(x) = ∫ p_θ(x, z) dz cannot be computed.  But
p_θ(x) = p_θ(x, z)/p_θ(z|x) for every z with p_θ(z|x) > 0.  Take logarithms.  The left side does not
depend on z, so average over *any* distribution q(z|x); then add and subtract log q(z|x):
    log p_θ(x) = E_q[log p_θ(x, z) − log q(z|x)] + KL(q(z|x) ‖ p_θ(z|x)).                     (2.1)
The KL is ≥ 0 by (1.1).  So the expectation, which can be estimated and increased, is a lower bound
on log p_θ(x): the ELBO, for "evidence lower bound".  In a diffusion model the latents x_1…x_T are
the data x_0 with more and more noise, and q has no parameters.  With x_{0:T} for x_0, x_1, …, x_T,
    log p_θ(x_0) ≥ ELBO = E_q[log p_θ(x_{0:T}) − log q(x_{1:T}|x_0)].                         (2.2)

From here on we compute with Gaussians.  A draw from one is μ + σ·ε (5.1.1).  A sum of Gaussian
noises is Gaussian, so x_t is √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, with a single ε (5.1.2).  If x_0 is known,
one step back is a Gaussian, too, and its mean follows from x_t and ε (5.1).  So, with fixed
variances, the model only has to predict ε.

The numbers 1.1, 1.2, 2.1, 2.2, 5.1.1, 5.1.2 and 5.1 name these steps in every file (they are the
sections of a longer text; there is no 3 or 4).  "Ho n" is an equation of Ho, Jain & Abbeel 2020
(arXiv 2006.11239), "Luo n" one of Luo 2022, "Understanding Diffusion Models: A Unified
Perspective" (arXiv 2208.11970).

The mathematics, in reading order:
    gaussian   the density, the reparameterised draw, the KL
    schedule   how much noise, t = 1…T
    forward    q: noise in
    reverse    p_θ: one step of noise out, by a guess of the noise
    sampling   Algorithm 2, and DDIM
    decoder    for images: a probability for each of 256 grey levels
    elbo       the bound as a sum of L_T, L_{t−1} and L_0; the losses
    training   Algorithm 1; the same with Adam, an average of the weights, and options
    network/   the function that guesses the noise, and its gradients
    oracle     data for which the best denoiser and every term can be computed
    linear_chain   an affine denoiser: the exact likelihood, and how far below it the bound is
    toys       distributions in the plane with known densities
    checks     the checks of arguments, and their error messages
    tables     a ledger as text
Beyond the paper, for digits:
    images/    the prior of each pixel, a variance for each pixel, an optimiser for matrices
Files, folders, pictures, the command line, and the verbs for a notebook:
    app/       run = tinyddpm.fit(points); run.sample(1000); run.ledger(); run.save("run")
"""
from .app.data import load
from .app.digits import mnist, mnist_full
from .app.model import Run
from .app.verbs import fit, load_run
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
