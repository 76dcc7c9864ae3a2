"""tinyddpm on trial: its functions in the plain form the laws ask for.

Arrays in, arrays out, in the paper's indexing: `beta` is the list β_1…β_T, t is an int or (B,) in 1…T, a
Gaussian is the pair (mean, variance).
"""
import numpy as np

from tinyddpm import Gaussian, Schedule, forward, reverse


def q_step(beta, x_prev, t):
    """q(x_t | x_{t−1})."""
    return forward.step(Schedule(beta), x_prev, t)


def q_marginal(beta, x_0, t):
    """q(x_t | x_0)."""
    return forward.marginal(Schedule(beta), x_0, t)


def q_sample(beta, x_0, t, eps):
    """x_t drawn from q(x_t | x_0) with the noise ε."""
    return forward.diffuse(Schedule(beta), x_0, t, eps)


def q_posterior(beta, x_t, x_0, t):
    """q(x_{t−1} | x_t, x_0)."""
    return forward.posterior(Schedule(beta), x_t, x_0, t)


def p_step(beta, x_t, t, eps, variance):
    """p_θ(x_{t−1} | x_t) for the guess ε̂; variance: "beta" or "beta_tilde"."""
    schedule = Schedule(beta)
    return reverse.step(schedule, reverse.predict(schedule, lambda x_t, t: eps, x_t, t), variance)


def sampler_step(beta, x_t, t, eps, z, variance):
    """x_{t−1} as Algorithm 2 draws it with the noise z, t an int; at t = 1 no noise is added."""
    class Fixed:
        @staticmethod
        def standard_normal(shape, dtype):
            return np.asarray(z, dtype)
    return next(reverse.ancestral_sampling(Schedule(beta), lambda x_t, t: eps, x_t, Fixed, start=t, variance=variance)).x


def kl(mean_1, var_1, mean_2, var_2):
    """KL(N(mean_1, var_1) ‖ N(mean_2, var_2)), summed over all axes but the first: (B,)."""
    return Gaussian(mean_1, var_1).kl(Gaussian(mean_2, var_2))
