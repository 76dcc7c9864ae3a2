"""The ELBO: the lower bound on log p_θ(x_0) that training increases, term by term.

The likelihood of the model is an integral over all x_1…x_T, which cannot be computed.  By (2.1) any
distribution over x_1…x_T gives a lower bound on its logarithm; (2.2) takes q.  The two joint
densities in that bound are products,
    p_θ(x_{0:T}) = p(x_T)·∏_{t≥1} p_θ(x_{t−1} | x_t)    (Ho 1),
    q(x_{1:T} | x_0) = ∏_{t≥1} q(x_t | x_{t−1})         (Ho 2),
but they run in opposite directions.  q is a Markov chain, so q(x_t | x_{t−1}) is also
q(x_t | x_{t−1}, x_0).  For t ≥ 2 Bayes' rule reverses it,
    q(x_t | x_{t−1}) = q(x_{t−1} | x_t, x_0)·q(x_t | x_0)/q(x_{t−1} | x_0).
In the product over t = 2…T the fractions cancel, except the last numerator, q(x_T | x_0), and the
first denominator, q(x_1 | x_0); the latter cancels the factor t = 1.  What is left is
    q(x_{1:T} | x_0) = q(x_T | x_0)·∏_{t≥2} q(x_{t−1} | x_t, x_0).
Now each factor of p_θ has a partner in q, except p_θ(x_0 | x_1).  Averaged over
x_{t−1} ~ q(x_{t−1} | x_t, x_0), the logarithm of each ratio q/p_θ is a KL.  So the bound has three
kinds of term (Luo 46–58, Ho 5):

    −ELBO  =      L_T        +     Σ_{t=2}^{T} L_{t−1}          +      L_0
             prior matching        denoising matching             reconstruction
             KL(q(x_T | x_0)       E KL(q(x_{t−1} | x_t, x_0)     −E log p_θ(x_0 | x_1)
                ‖ N(0, I))              ‖ p_θ(x_{t−1} | x_t))

E is the average over x_t ~ q(x_t | x_0); one draw of x_t gives an unbiased estimate.

L_T has no parameters.  If the variances are fixed, L_{t−1} is E‖μ̃_t − μ_θ‖²/(2σ_t²) plus a
constant (Ho 8).  Both means have the form (x_t − [β_t/√(1 − ᾱ_t)]·noise)/√α_t (Ho 11): μ̃_t with
the true noise ε, μ_θ with the guess ε_θ.  x_t cancels in the difference, which leaves
β_t²/(2σ_t²·α_t·(1 − ᾱ_t))·E‖ε − ε_θ‖² (Ho 12).  If the decoder is a density, L_0 has the same
form, plus a constant.  So training comes down to *predicting the noise*.  (The L_0 of 256 levels
is another function of ε_θ: see `simple_loss`.)

All terms are in nats per item.  In a table of terms, column k is L_k: column 0 is L_0, column
t − 1 is L_{t−1}, column T is L_T.
"""
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from .checks import check, check_finite
from .decoder import level_log_prob
from .forward import diffuse, forward_step, marginal, posterior
from .gaussian import Array, Gaussian, noise_like, standard_gaussian, sum_over_dimensions
from .reverse import Denoiser, evaluate, fixed_variance, predict, reverse_step, variance_table
from .schedule import Schedule, cast_like
from .tables import as_html, as_text

Decoder = Callable[[Gaussian, Array], Array]

# The names of `Ledger.summary`, as a table shows them.
LABELS = {"L_T": "L_T", "sum L_{t-1}": "sum L_{t-1}", "L_0": "L_0", "total": "-ELBO"}


def prior_term(schedule: Schedule, x_0: Array) -> Array:
    """L_T = KL(q(x_T | x_0) ‖ N(0, I)): how far x_T is from N(0, I), (B,) nats (Ho 5)."""
    return marginal(schedule, x_0, schedule.T).kl(standard_gaussian(x_0))


def step_term(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: int | Array, eps: Array,
              variance: Any = "beta", decoder: Decoder = Gaussian.log_prob) -> Array:
    """L_{t−1} at one draw x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, (B,) nats (Ho 5, Luo 58).

    For t ≥ 2, KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)).  For t = 1 all of q is at x_0, and
    the term is −log p_θ(x_0 | x_1).  Differentiable in the parameters of the denoiser.
    x_0, eps: (B, …); t: int or (B,) in 1…T; variance as in `reverse.variance_table`.
    decoder: (p_θ(x_0 | x_1), x_0) → log-probability: `Gaussian.log_prob`, a density, for
    real-valued data; `decoder.level_log_prob`, a probability, for 256 levels.
    """
    x_t = diffuse(schedule, x_0, t, eps)
    prediction = predict(schedule, denoiser, x_t, t)
    p = reverse_step(schedule, prediction, variance)
    return _term(schedule, p, x_0, x_t, t, decoder)


def _term(schedule: Schedule, p: Gaussian, x_0: Array, x_t: Array, t: int | Array,
          decoder: Decoder) -> Array:
    """L_{t−1} for the model's step p = p_θ(x_{t−1} | x_t)."""
    if np.ndim(t) == 0 and t == 1:
        return -decoder(p, x_0)
    q = posterior(schedule, x_t, t, x_0)
    if np.ndim(t) == 0:
        return q.kl(p)
    is_first = np.asarray(t) == 1
    if not is_first.any():
        return q.kl(p)
    # At t = 1, q is a point mass: KL(q ‖ p) is infinite, and where() would pass on a NaN gradient.
    # So q is replaced by p there, with KL(p ‖ p) = 0, and the decoder's term is selected.
    column = is_first.reshape(is_first.shape + (1,) * (x_0.ndim - 1))
    q = Gaussian(anp.where(column, p.mean, q.mean), anp.where(column, p.var, q.var))
    return anp.where(is_first, -decoder(p, x_0), q.kl(p))


def simple_weights(schedule: Schedule, variance: Any = "beta") -> Array:
    """The weight of ‖ε − ε_θ‖² in each L_{t−1}: β_t²/(2σ_t²·α_t·(1 − ᾱ_t)), (T + 1,) (Ho 12).

    L_simple sets these weights to 1 (Ho 14).  Entry t belongs to L_{t−1}, which in a table of
    terms is column t − 1; entry 0 is unused (zero).
    With T = 1000 and σ_t² = β_t, Ho's schedule has the largest at t = 1, 0.5, and 0.005 to 0.01
    from t = 100 on.  The cosine schedule has 0.5 at t = 1, 0.003 in the middle, and the largest,
    499.5, at t = T, because there α_t is 0.001.
    If the decoder is a density, Σ_t weight_t·E‖ε − ε_θ‖² is −ELBO minus terms that training cannot
    change: L_T; for t = 1, (D/2)·log(2πσ_1²); and for each t ≥ 2 the KL of two Gaussians with equal
    means and the variances β̃_t and σ_t².
    variance as in `reverse.variance_table`, but not learned.
    """
    var = fixed_variance(schedule, variance)
    beta, alpha = schedule.beta[1:], schedule.alpha[1:]
    weights = beta ** 2 / (2 * var[1:] * alpha * schedule.one_minus_alpha_bar[1:])
    return np.append(0.0, weights)


# The training losses: each is a number, the mean over the batch and over dimensions.

def simple_loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: int | Array,
                eps: Array) -> Any:
    """L_simple = E‖ε − ε_θ(x_t, t)‖², per dimension (Ho 14).

    It is −ELBO with every weight set to 1, without the constants (`simple_weights`), if the
    decoder is a density.  A network that outputs zero has an expected loss of 1.  At each t the
    best ε_θ is E[ε | x_t], whatever the weight; so the weights only decide how a network of
    limited size divides its effort.  On Ho's schedule they are largest at small t.  With equal
    weights, large t counts more: there x_t is nearly all noise, and x_0 is hard to guess (Ho §3.4).
    E[ε | x_t] minimises L_{t−1} for t ≥ 2, and L_0 if the decoder is a density.  The L_0 of 256
    levels has its minimum elsewhere.  If σ_1 is 0.2 of the distance between two levels, and all
    levels are equally probable, E[ε | x_1] costs 0.004 nats per pixel more than that minimum, and
    0.1 nats more at the worst x_1.
    """
    x_t = diffuse(schedule, x_0, t, eps)
    eps_hat, _ = evaluate(denoiser, x_t, t)
    return anp.mean((eps - eps_hat) ** 2)


def v_loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: int | Array, eps: Array) -> Any:
    """E‖v − v_θ(x_t, t)‖² = E‖ε − ε_θ‖²/ᾱ_t, per dimension (Salimans & Ho 2022, §4).

    ‖x_0 − x̂_0‖² has weight SNR_t in L_simple and SNR_t + 1 here.  So at large t, where SNR_t is
    nearly 0, the network still learns to predict x_0.
    """
    x_t = diffuse(schedule, x_0, t, eps)
    eps_hat, _ = evaluate(denoiser, x_t, t)
    alpha_bar = cast_like(x_0, schedule.coefficients_at(t, x_0).alpha_bar)
    return anp.mean((eps - eps_hat) ** 2 / alpha_bar)


def vlb_loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: int | Array, eps: Array,
             variance: Any = "beta", decoder: Decoder = Gaussian.log_prob) -> Any:
    """T·E[L_{t−1}] for t uniform on 1…T, per dimension: −ELBO without L_T (Improved DDPM eq 4)."""
    terms = step_term(schedule, denoiser, x_0, t, eps, variance, decoder)
    return schedule.T * anp.mean(terms) / _dimensions(x_0)


def hybrid_loss(schedule: Schedule, denoiser: Denoiser, x_0: Array, t: int | Array, eps: Array,
                decoder: Decoder = Gaussian.log_prob, weight: float = 0.001) -> Any:
    """L_simple + 0.001·L_vlb, for a denoiser that learns its variance (Improved DDPM eq 16).

    In L_vlb the mean is held constant (a stop-gradient): L_vlb changes the mean only through the
    weights that ε̂ and log_var_fraction share; L_simple is "the main source of influence" on it.
    weight: the factor of L_vlb, which is in nats per dimension here.  In OpenAI's code L_vlb is in
    bits per dimension: the same weight there counts 1/ln 2 = 1.44 times as much.
    """
    x_t = diffuse(schedule, x_0, t, eps)
    eps_hat, log_var_fraction = evaluate(denoiser, x_t, t)

    def constant_mean(x_t: Array, t: int | Array) -> tuple:  # no gradient flows through ε̂
        return getval(eps_hat), log_var_fraction
    bound = vlb_loss(schedule, constant_mean, x_0, t, eps, "learned", decoder)
    return anp.mean((eps - eps_hat) ** 2) + weight * bound


def _dimensions(x: Array) -> int:
    """D, the number of dimensions of an item of (B, …)."""
    return int(np.prod(x.shape[1:]))


# The ledger.

class Ledger(NamedTuple):
    """Every term of the ELBO, for each item.

    terms: (N, T + 1) nats, columns L_0, L_1 … L_T.  distortion: (N, T + 1), ‖x_0 − x̂_0(x_t)‖² at
    each t, column 0 zero.  dimensions: D.  of_levels: L_0 is of a probability of 256 levels, and
    not of a density.
    It prints itself as the table of `summary`.
    """

    terms: Any
    distortion: Any
    dimensions: int
    of_levels: bool = True

    def __repr__(self) -> str:
        return as_text(_rows(self))

    def _repr_html_(self) -> str:
        return as_html(_rows(self))

    @property
    def elbo(self) -> tuple:
        """(mean, standard error) of the ELBO in nats per item."""
        return mean_and_error(-self.terms.sum(1))

    def summary(self) -> dict[str, tuple]:
        """{"L_T", "sum L_{t-1}", "L_0", "total"}: (mean, standard error) in nats per item.

        "total" is −ELBO.  With T = 1 there is no L_{t−1}, and that sum is zero.
        """
        return {"L_T": mean_and_error(self.terms[:, -1]),
                "sum L_{t-1}": mean_and_error(self.terms[:, 1:-1].sum(1)),
                "L_0": mean_and_error(self.terms[:, 0]),
                "total": mean_and_error(self.terms.sum(1))}

    def per_t(self) -> tuple:
        """(mean, standard error), each (T + 1,): for each term, in nats per item."""
        return mean_and_error(self.terms)

    def bits_per_dim(self, nats: Any) -> Any:
        """Nats per item → bits per dimension.  ValueError: the decoder is a density."""
        check_of_levels(self.of_levels)
        return bits_per_dim(nats, self.dimensions)

    def rate_distortion(self) -> tuple[Array, Array]:
        """Progressive coding: rate and distortion, each (T + 1,) (Ho §4.3, figure 5).

        Entry t is for a receiver that has x_t.  Rate: L_T + … + L_t, in bits per dimension.
        Distortion: the root mean square of x_0 − x̂_0(x_t) over dimensions.  Entry 0: the whole
        −ELBO, and no distortion; a density's entry 0 depends on the unit of x_0.
        The rate is that of an ideal code.  Ho calls it a proof of concept: the code it takes,
        minimal random coding, is not tractable for data of many dimensions ("Extra information").
        """
        rate = np.cumsum(self.terms.mean(0)[::-1])[::-1]
        distortion = np.sqrt(self.distortion.mean(0) / self.dimensions)
        return bits_per_dim(rate, self.dimensions), distortion


def check_of_levels(of_levels: bool) -> None:
    """ValueError: the decoder is a density."""
    check(of_levels, "of_levels", of_levels, "nats of a density are not bits per dimension; for "
          "images of 256 levels, pass decoder=level_log_prob to ledger")


def _rows(ledger: Any) -> list[list[str]]:
    """The rows of `summary` as text, with a row of titles; bits/dim only for 256 levels."""
    rows = [["", "nats", "± s.e.", "bits/dim"]]
    for name, (mean, error) in ledger.summary().items():
        bits = bits_per_dim(mean, ledger.dimensions)
        rows.append([LABELS[name], f"{mean:.4f}", f"{error:.4f}", f"{bits:.4f}"])
    return rows if ledger.of_levels else [row[:3] for row in rows]


def bits_per_dim(nats: Any, dimensions: int) -> Any:
    """nats/(D·ln 2): the −ELBO of 256-level data in bits per dimension.

    It is 8 if all 256 levels are equally probable.
    """
    check(dimensions > 0, "dimensions", dimensions, "D is 1 or more")
    return nats / (dimensions * np.log(2))


def mean_and_error(values: Array) -> tuple:
    """Mean over the first axis, and its standard error for independent items (NaN if N = 1)."""
    n = len(values)
    if n == 1:
        return values.mean(0), np.full(values.shape[1:], np.nan)
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(n)


def ledger(schedule: Schedule, denoiser: Denoiser, x_0: Array, rng: np.random.Generator,
           variance: Any = "beta", decoder: Decoder = Gaussian.log_prob,
           clip: tuple[float, float] | None = None, batch: int = 256,
           progress: Callable[[Iterable], Iterable] = iter) -> Ledger:
    """The T + 1 terms of −ELBO for each item (2.2, Luo 58).

    Each term is estimated from one draw of x_t, with a fresh ε.  Each item has its own noise, so
    the standard errors over items also cover the noise.
    x_0: (N, …) of floats; variance as in `reverse.variance_table`, decoder as in `step_term`; clip
    as in `reverse.predict`: the bound is then that of the model whose x̂_0 is clipped.  batch:
    items for each call of the denoiser.  progress: wraps the list of times, as tqdm does.
    Warns when L_T is not small: sampling then starts from a distribution of x_T that training
    never saw.
    ValueError: no items, fewer than two axes, or numbers that are not finite.
    """
    T, N = schedule.T, len(x_0)
    check(N > 0 and x_0.ndim > 1, "shape of x_0", x_0.shape, "(N, …), with N >= 1")
    check_finite(x_0=x_0)
    check(batch >= 1, "batch", batch, "1 item or more at a time")
    variance = variance_table(schedule, variance)
    terms, distortion = np.zeros((N, T + 1)), np.zeros((N, T + 1))
    terms[:, T] = prior_term(schedule, x_0)
    for t in progress(range(1, T + 1)):
        for start in range(0, N, batch):
            rows = slice(start, start + batch)
            data = x_0[rows]
            x_t = diffuse(schedule, data, t, noise_like(rng, data))
            prediction = predict(schedule, denoiser, x_t, t, clip)
            p = reverse_step(schedule, prediction, variance)
            terms[rows, t - 1] = _term(schedule, p, data, x_t, t, decoder)
            distortion[rows, t] = sum_over_dimensions((data - prediction.x_0) ** 2)
    result = Ledger(terms, distortion, _dimensions(x_0), decoder is level_log_prob)
    prior_bits = bits_per_dim(terms[:, T].mean(), result.dimensions)
    if prior_bits > 0.01:
        warnings.warn(f"L_T = {prior_bits:.3g} bits/dim is not small: alpha_bar_T = "
                      f"{schedule.alpha_bar[T]:.3g} leaves x_T dependent on x_0, while sampling "
                      f"starts from N(0, I); use a schedule with more noise", stacklevel=2)
    return result


# The same from fewer evaluations of the denoiser.

class SampledLedger(NamedTuple):
    """−ELBO of each item from two independent estimates, each of a few of its terms.

    L_T: (N,) nats, exact.  L_t and L_0: (2, N) nats, the two estimates of Σ L_{t−1} and of L_0.
    dimensions, of_levels: as in `Ledger`.
    """

    L_T: Any
    L_t: Any
    L_0: Any
    dimensions: int
    of_levels: bool = True

    def __repr__(self) -> str:
        _, error = self.summary()["total"]
        noise = self.noise_error()
        items = np.sqrt(max(error ** 2 - noise ** 2, 0))
        return (f"{as_text(_rows(self))}\nof ± {error:.4f}: {items:.4f} from the choice of items, "
                f"{noise:.4f} from the draws of t and noise")

    def _repr_html_(self) -> str:
        return as_html(_rows(self))

    def summary(self) -> dict[str, tuple]:
        """As `Ledger.summary`.  The standard error covers the choice of items and the noise."""
        total = self.L_T + (self.L_t + self.L_0).mean(0)
        return {"L_T": mean_and_error(self.L_T), "sum L_{t-1}": mean_and_error(self.L_t.mean(0)),
                "L_0": mean_and_error(self.L_0.mean(0)), "total": mean_and_error(total)}

    def noise_error(self) -> Any:
        """The standard error of "total" that is due to the draws of t and of ε alone.

        Of the two estimates A and B of an item, (A − B)²/4 estimates the variance of (A + B)/2.
        """
        first, second = self.L_t + self.L_0
        return np.sqrt(((first - second) ** 2).sum()) / (2 * len(first))

    def bits_per_dim(self, nats: Any) -> Any:
        """As `Ledger.bits_per_dim`."""
        check_of_levels(self.of_levels)
        return bits_per_dim(nats, self.dimensions)


def stratified_times(T: int, strata: int, u: Array) -> Array:
    """One t of 2…T from each stratum, so that every t is equally probable: ints (…, strata).

    The line from 0 to T − 1 is divided into equal strata, and u in [0, 1), (…, strata), is a place
    in each.  A place between t − 2 and t − 1 means t.  So t is chosen strata/(T − 1) times in the
    mean, and (T − 1)/strata times the sum of the chosen terms is unbiased.
    """
    return 2 + np.floor((np.arange(strata) + u) * (T - 1) / strata).astype(int)


def sampled_ledger(schedule: Schedule, denoiser: Denoiser, x_0: Array, rng: np.random.Generator,
                   times: int, variance: Any = "beta", decoder: Decoder = Gaussian.log_prob,
                   clip: tuple[float, float] | None = None, batch: int = 256,
                   progress: Callable[[Iterable], Iterable] = iter) -> SampledLedger:
    """−ELBO of each item, unbiased, from `times` evaluations of the denoiser in place of T.

    L_T needs none.  Each of the two estimates takes one for L_0, at t = 1, and the others for
    Σ L_{t−1}, at `stratified_times`.
    times: even, 4 or more, or 2 if T = 1.  The other arguments are those of `ledger`, and progress
    wraps the list of batches.
    ValueError: as for `ledger`, and other times.
    """
    T, N = schedule.T, len(x_0)
    check(N > 0 and x_0.ndim > 1, "shape of x_0", x_0.shape, "(N, …), with N >= 1")
    check_finite(x_0=x_0)
    least = 4 if T > 1 else 2
    check(times % 2 == 0 and times >= least, "times", times, f"an even number of {least} or more")
    strata = times // 2 - 1
    variance = variance_table(schedule, variance)
    L_t, L_0 = np.zeros((2, 2, N))

    def term(rows: slice, t: Array) -> Array:
        x_t = diffuse(schedule, x_0[rows], t, noise_like(rng, x_0[rows]))
        p = reverse_step(schedule, predict(schedule, denoiser, x_t, t, clip), variance)
        return _term(schedule, p, x_0[rows], x_t, t, decoder)

    for start in progress(range(0, N, batch)):
        rows = slice(start, min(start + batch, N))
        size = rows.stop - start
        for half in range(2):
            L_0[half, rows] = term(rows, np.ones(size, int))
            chosen = stratified_times(T, strata, rng.random((size, strata)))
            for t in chosen.T:
                L_t[half, rows] += (T - 1) / strata * term(rows, t)
    return SampledLedger(prior_term(schedule, x_0), L_t, L_0, _dimensions(x_0),
                         decoder is level_log_prob)

def first_form_terms(schedule: Schedule, denoiser: Denoiser, x_0: Array, rng: np.random.Generator,
                     variance: Any = "beta", decoder: Decoder = Gaussian.log_prob) -> Array:
    """−ELBO in its first form (Luo 44), on one path x_1…x_T for each item: (N, T + 1) nats.

        column 0             −log p_θ(x_0 | x_1)
        column t, 0 < t < T  log q(x_t | x_{t−1}) − log p_θ(x_t | x_{t+1})
        column T             log q(x_T | x_{T−1}) − log p(x_T)
    The sum has the same expectation as the ledger's.  Each column is far noisier: it is the
    difference of two log-densities at one point, not a KL.
    In the sum along a path this noise cancels fully if p_θ is the exact reverse of q and
    p(x_T) = q(x_T).  So the sum is less noisy than the ledger's with σ_t² = β_t and a good
    denoiser.  With σ_t² = β̃_t the two are nearly equally noisy, and with a bad denoiser this sum
    can be the noisier one, several times.
    Luo 45 writes columns 1…T − 1 as KLs.  They are not, even on average: under q, x_t depends on
    x_{t+1} even if x_{t−1} is known.
    """
    T = schedule.T
    variance = variance_table(schedule, variance)
    terms = np.zeros((len(x_0), T + 1))
    x_prev = x_0
    for t in range(1, T + 1):
        q = forward_step(schedule, x_prev, t)
        x_t = q.sample(noise_like(rng, x_0))
        p = reverse_step(schedule, predict(schedule, denoiser, x_t, t), variance)
        log_p = decoder(p, x_prev) if t == 1 else p.log_prob(x_prev)
        terms[:, t - 1] -= log_p
        terms[:, t] = q.log_prob(x_t)
        x_prev = x_t
    terms[:, T] -= standard_gaussian(x_0).log_prob(x_prev)
    return terms
