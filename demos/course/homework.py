"""Twelve holes: fill them in, and you have written a DDPM.

    python tests/laws demos/course/homework.py     # what holds, what is broken, what is missing
    python demos/course/homework.py                # a finished one trains moons and draws them

Each chapter of the course ends with an exercise, a function of this file; its equation is in its
docstring.  Replace `raise NotImplementedError` by it; most take one to three lines.

beta is the array β_1…β_T, so β_t is beta[t - 1]; t is an int, or one for each item, (B,), in 1…T;
x is (B, …).  A Gaussian is the pair (mean, variance).  `np` is NumPy, with gradients.
"""
import autograd.numpy as np

EXERCISES = {"kl": 1, "q_step": 3, "alpha_bar": 3, "q_marginal": 4, "q_sample": 4, "q_posterior": 5,
             "step_term": 6, "p_step": 7, "score_from_eps": 8, "simple_loss": 9, "sampler_step": 9,
             "bits_per_dim": 10}  # and their chapters


def column(values, x):
    """One number for each item, in a shape that multiplies x: (B,) → (B, 1, …); () stays."""
    return np.reshape(values, np.shape(values) + (1,) * (np.ndim(x) - 1) * np.ndim(values))


def sum_over_dimensions(x):
    """(B, …) → (B,): the sum over all axes but the first."""
    return np.sum(np.reshape(x, (len(x), -1)), axis=1)


def kl(mean_1, var_1, mean_2, var_2):
    """½ Σ [log(σ_2²/σ_1²) + (σ_1² + (μ_1 − μ_2)²)/σ_2² − 1], a number for each item (1.1).

    A variance may be one number, or (B, 1): add the parts up first, so that NumPy repeats it, and
    sum over dimensions then.
    """
    raise NotImplementedError


def q_step(beta, x_prev, t):
    """q(x_t|x_{t−1}) = N(√(1 − β_t)·x_{t−1}, β_t) (Ho 2)."""
    raise NotImplementedError


def alpha_bar(beta):
    """ᾱ_0…ᾱ_T: ᾱ_0 = 1 and ᾱ_t = ∏_{s≤t} (1 − β_s) (Ho 4)."""
    raise NotImplementedError


def q_marginal(beta, x_0, t):
    """q(x_t|x_0) = N(√ᾱ_t·x_0, 1 − ᾱ_t) (Ho 4)."""
    raise NotImplementedError


def q_sample(beta, x_0, t, eps):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε (5.1.2)."""
    raise NotImplementedError


def q_posterior(beta, x_t, x_0, t):
    """q(x_{t−1}|x_t, x_0) = N(a·x_0 + b·x_t, β̃_t) (Ho 6–7).

    a = √ᾱ_{t−1}·β_t/(1 − ᾱ_t), b = √α_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t), and
    β̃_t = β_t·(1 − ᾱ_{t−1})/(1 − ᾱ_t).
    """
    raise NotImplementedError


def step_term(beta, x_0, t, eps, eps_hat, variance):
    """L_{t−1} = KL(q(x_{t−1}|x_t, x_0) ‖ p_θ(x_{t−1}|x_t)) for t ≥ 2, one for each item (Ho 5).

    x_t has the noise ε.  p_θ has the mean of `q_posterior` with x̂_0 for x_0, where x̂_0 is what
    x_t and ε̂ imply; its variance is β_t if variance is "beta", β̃_t if it is "beta_tilde".
    """
    raise NotImplementedError


def p_step(beta, x_t, t, eps, variance):
    """p_θ(x_{t−1}|x_t) = N((x_t − β_t/√(1 − ᾱ_t)·ε̂)/√α_t, σ_t²) (Ho 11).

    σ_t² is β_t if variance is "beta", and β̃_t if it is "beta_tilde".
    """
    raise NotImplementedError


def score_from_eps(beta, x_t, eps, t):
    """∇ log q(x_t|x_0) = −ε/√(1 − ᾱ_t) (Luo 151)."""
    raise NotImplementedError


def simple_loss(beta, denoiser, x_0, t, eps):
    """The mean of (ε − ε_θ(x_t, t))² over items and dimensions; ε_θ is `denoiser` (Ho 14)."""
    raise NotImplementedError


def sampler_step(beta, x_t, t, eps, z, variance):
    """x_{t−1} = μ_θ + σ_t·z, and for t = 1 without noise (Algorithm 2); t is an int."""
    raise NotImplementedError


def bits_per_dim(nats, dimensions):
    """nats/(D·log 2)."""
    raise NotImplementedError


def sample(beta, denoiser, x_t, t, rng, variance):
    """x_0 from x_t by Algorithm 2: t steps, each with a fresh z."""
    for step in range(t, 0, -1):
        z = rng.standard_normal(x_t.shape)
        x_t = sampler_step(beta, x_t, step, denoiser(x_t, step), z, variance)
    return x_t


def main(steps=3000, T=100, out="homework.png"):
    """Algorithm 1 on moons, with your `simple_loss`; then your sampler draws 1,000 points."""
    from autograd import value_and_grad
    from matplotlib.figure import Figure
    from tqdm import tqdm

    from tinyddpm import mlp
    from tinyddpm.network.weights import unpack
    from tinyddpm.toys import moons
    from tinyddpm.training import adam, initial_state

    rng, data, network = np.random.default_rng(0), moons(), mlp()
    beta = np.linspace(1e-4, 0.02, T) * 1000 / T
    state = initial_state(network, rng)

    def loss(weights, x_0, t, eps):
        def denoiser(x_t, t):
            return network.apply(unpack(weights, network.layout), x_t, t)
        return simple_loss(beta, denoiser, x_0, t, eps)

    for _ in tqdm(range(steps), "training"):
        x_0 = data.sample(rng, 256)
        t, eps = rng.integers(1, T + 1, size=len(x_0)), rng.standard_normal(x_0.shape)
        value, gradient = value_and_grad(loss)(state.weights, x_0, t, eps)
        state = adam(state, gradient, 2e-3)

    weights = unpack(state.weights, network.layout)
    x_0 = sample(beta, lambda x, t: network.apply(weights, x, t), rng.standard_normal((1000, 2)), T,
                 rng, "beta")
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    for ax, points, title in zip(figure.subplots(1, 2), (data.sample(rng, 1000), x_0),
                                 ("1,000 points of the data", "1,000 points of your model")):
        ax.scatter(*points.T, s=4)
        ax.set(title=title, aspect="equal", xlim=(-2, 3), ylim=(-1.5, 2))
    figure.savefig(out, dpi=120)
    print(f"the last loss is {value:.3f}; {out} shows the data and your samples")
    return value


if __name__ == "__main__":
    try:
        main()
    except NotImplementedError:
        print("a function is not written yet: python tests/laws demos/course/homework.py")
