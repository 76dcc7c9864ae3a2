"""The forward process q: noise is added step by step until nothing else is left.

Nothing is learned here.  One step shrinks the signal a little and adds a little noise; because Gaussian
noises add up to Gaussian noise, any number of steps is again one Gaussian, and so is one step *back* for someone who
knows where the chain started.  That last one, the posterior, is what the reverse process imitates.

Each function returns the `Gaussian` its equation names.
"""
import autograd.numpy as np

from .gaussian import Gaussian, check, check_same_shape
from .schedule import like


def step(schedule, x_prev, t):
    """q(x_t | x_{t−1}) = N(√α_t·x_{t−1}, β_t): one step of noise (Ho 2).

    x_prev: (B, …), x_{t−1}; t: int or (B,) in 1…T.  ValueError: t outside 1…T.
    """
    at = schedule.at(t, x_prev)
    scale, var = like(x_prev, np.sqrt(at.alpha), at.beta)
    return Gaussian(scale * x_prev, var)


def marginal(schedule, x_0, t):
    """q(x_t | x_0) = N(√ᾱ_t·x_0, 1 − ᾱ_t): t steps at once (5.1.2, Ho 4, Luo 70).

    By induction: one step turns √ᾱ_{t−1}·x_0 into √ᾱ_t·x_0, and the variance into α_t(1 − ᾱ_{t−1}) + β_t = 1 − ᾱ_t.

    x_0: (B, …); t: int or (B,) in 1…T.  ValueError: t outside 1…T.
    """
    at = schedule.at(t, x_0)
    scale, var = like(x_0, np.sqrt(at.alpha_bar), at.one_minus_alpha_bar)
    return Gaussian(scale * x_0, var)


def diffuse(schedule, x_0, t, eps):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε: the marginal as a reparameterised draw (Ho 4, Luo 69).

    eps: the noise, in the shape of x_0; ε ~ N(0, I) makes x_t ~ q(x_t | x_0).
    ValueError: t outside 1…T, shapes that differ.
    """
    check_same_shape(x_0=x_0, eps=eps)
    return marginal(schedule, x_0, t).sample(eps)


def transition(schedule, x_s, s, t):
    """q(x_t | x_s) for s < t: N(√(ᾱ_t/ᾱ_s)·x_s, 1 − ᾱ_t/ᾱ_s).

    The step (s = t − 1) and the marginal (s = 0) are its two ends.  x_s: (B, …); s, t: int or (B,).
    ValueError: unless 0 ≤ s < t ≤ T for each item.
    """
    check(np.all(np.asarray(s) < np.asarray(t)), "s", s, f"smaller than t = {t}, as q(x_t | x_s) runs forward")
    log_ratio = schedule.at(t, x_s).log_alpha_bar - schedule.at(s, x_s, lowest=0).log_alpha_bar
    scale, var = like(x_s, np.exp(log_ratio / 2), -np.expm1(log_ratio))
    return Gaussian(scale * x_s, var)


def posterior(schedule, x_t, x_0, t):
    """q(x_{t−1} | x_t, x_0): one step back, if we knew where the chain started.

    Bayes' rule on Gaussians (Luo 84, Ho 6–7): q(x_t|x_{t−1})·q(x_{t−1}|x_0) as a function of x_{t−1}.  The precisions
    add up, 1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1}), and the mean weighs x_0 and x_t,
        μ̃_t = [√ᾱ_{t−1}·β_t·x_0 + √α_t·(1 − ᾱ_{t−1})·x_t]/(1 − ᾱ_t),   β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t).
    x_t, x_0: (B, …); t: int or (B,) in 1…T.  At t = 1 it is the point mass on x_0.
    ValueError: t outside 1…T, shapes that differ.
    """
    check_same_shape(x_t=x_t, x_0=x_0)
    at = schedule.at(t, x_t)
    weight_0, weight_t, var = like(x_t, at.weight_0, at.weight_t, at.beta_tilde)
    return Gaussian(weight_0 * x_0 + weight_t * x_t, var)
