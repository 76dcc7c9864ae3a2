"""tinyddpm: denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020), told in the order of their derivation.

We want the distribution p_θ of a model to match that of the data.  "To match" is to make
    KL(p_data ‖ p_θ) = E_{x~p_data}[log p_data(x) − log p_θ(x)] ≥ 0                             (1.1)
small, and as p_data is not ours to change, that is to raise E[log p_θ(x)]: maximum likelihood (1.2).
The model explains x by latents z, so its likelihood ∫ p_θ(x, z) dz is out of reach.  But at every z
p_θ(x) = p_θ(x, z)/p_θ(z|x): take logarithms, average over *any* q(z|x), add and subtract log q(z|x),
    log p_θ(x) = E_q[log p_θ(x, z) − log q(z|x)] + KL(q(z|x) ‖ p_θ(z|x)).                        (2.1)
The last part is ≥ 0 (1.1), so the first, which can be computed and raised, is a lower bound: the ELBO, for
"evidence lower bound".  Diffusion takes for z the data itself with more and more noise in it, and for q a
process with nothing to learn:
    log p_θ(x_0) ≥ ELBO = E_q[log p_θ(x_{0:T}) − log q(x_{1:T}|x_0)].                            (2.2)

Then everything is Gaussian.  A draw is μ + σ·ε (5.1.1), so x_t is x_0 and a single noise ε (5.1.2); the best
step back has a mean that x_t and ε determine (5.1); and the bound asks for no more than a guess of ε.
"Ho n" is an equation of the paper above (arXiv 2006.11239), "Luo n" one of Luo 2022, "Understanding Diffusion
Models: A Unified Perspective" (arXiv 2208.11970).  Read on in this order:

    gaussian   the density, the reparameterised draw, the KL
    schedule   how much noise, t = 1…T
    forward    q: noise in
    reverse    p_θ: noise out, step by step, by a guess of the noise
    elbo       the bound, sorted into L_T, L_{t−1} and L_0, each a number; the losses
    oracle     data for which all of it has a closed form
    network    the function that guesses
    pixels     for images: what Bayes' rule knows of a pixel, so that the network need not
    training   Algorithm 1
    muon       for images: an optimiser that treats a matrix as a matrix
    toys, data what to learn; run, plot, console, __main__ the work around it
"""
import numpy  # from here, not from six imports further in: at that depth Python 3.11 takes 35 ms more for it

from . import elbo, forward, reverse
from .gaussian import Gaussian
from .schedule import Schedule, cosine, grey_levels, linear, log_snr_uniform
from .forward import diffuse, marginal, posterior, transition
from .reverse import ancestral_sampling, as_denoiser, ddim_sampling, ddim_step, last, predict
from .elbo import (Ledger, bits_per_dim, first_form_terms, hybrid_loss, ledger, prior_term,
                   simple_loss, simple_weights, step_term, v_loss, vlb_loss)
from .oracle import FiniteData, Mixture
from .network import Network, conv_denoiser, mlp, time_embedding
from .training import State, train
from .toys import toy
from .app.data import load
from .app.digits import mnist, mnist_full

__version__ = "0.1.0"
