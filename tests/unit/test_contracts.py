"""Every public function does what its docstring says, inside its domain and outside.

Inside, it returns finite values of the documented shape and dtype, and leaves its arguments as
they are.
Outside, it raises a ValueError or TypeError that names the argument, its value and what is allowed.
"""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyddpm
from tinyddpm import (
    FiniteData,
    Gaussian,
    Ledger,
    Mixture,
    Schedule,
    algorithm_2,
    ancestral_sampling,
    as_denoiser,
    bits_per_dim,
    conv_denoiser,
    cosine,
    ddim_sampling,
    ddim_step,
    diffuse,
    final_sample,
    first_form_terms,
    forward,
    grey_levels,
    hybrid_loss,
    ledger,
    linear,
    load,
    log_snr_uniform,
    marginal,
    mlp,
    posterior,
    predict,
    prior_term,
    reverse,
    sampling_times,
    simple_loss,
    simple_weights,
    step_term,
    time_embedding,
    toy,
    toys,
    train,
    transition,
    v_loss,
    vlb_loss,
)
from tinyddpm.decoder import from_levels, level_log_prob, to_images
from tinyddpm.images.variance import fraction_from_variance
from tinyddpm.network.weights import leaves
from tinyddpm.schedule import respace


def frozen(array):
    """The array, read-only: a function that writes to it raises."""
    array.flags.writeable = False
    return array


def half(x_t, t):
    """A denoiser."""
    return 0.5 * x_t


def half_with_variance(x_t, t):
    """A denoiser that learns its variance."""
    return 0.5 * x_t, 0 * x_t + np.asarray(0.5, x_t.dtype)


betas = st.lists(st.floats(1e-6, 0.5), min_size=1, max_size=12)
schedules = st.one_of(st.integers(1, 40).map(cosine), st.integers(25, 60).map(linear),
                      st.integers(1, 40).map(log_snr_uniform), st.integers(1, 40).map(grey_levels),
                      betas.map(Schedule))


@st.composite
def chains(draw, shapes=((1,), (2,), (3, 4), (4, 5, 2))):
    """A schedule; x, y and z of one shape and dtype; one t, or one for each item; times s < t."""
    schedule, B = draw(schedules), draw(st.integers(1, 4))
    shape, dtype = draw(st.sampled_from(shapes)), draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 32)))

    def array():
        size = draw(st.sampled_from([0.1, 1, 5]))
        return frozen(size * rng.standard_normal((B, *shape), dtype))

    x, y, z = array(), array(), array()
    levels = np.round(np.clip(x, -1, 1) * 127.5 + 127.5) / 127.5 - 1
    each_t = frozen(rng.integers(1, schedule.T, B, endpoint=True))
    t = draw(st.one_of(st.integers(1, schedule.T), st.just(each_t)))
    return SimpleNamespace(
        schedule=schedule, x=x, y=y, z=z, t=t, s=t - 1, B=B, D=int(np.prod(shape)),
        dtype=np.dtype(dtype), rng=rng, levels=frozen(levels.astype(dtype)), denoiser=half,
        learned=half_with_variance)


# Inside the domain.  A promise is a list of (array, its shape, its dtype), for a chain c.

def like(*arrays):
    """Arrays of the shape and dtype of x."""
    return lambda c: [(array, c.x.shape, c.dtype) for array in arrays]


def gaussian(g):
    """The mean has x's shape and dtype, and the variance broadcasts against it."""
    return lambda c: [(g.mean, c.x.shape, c.dtype), (g.var + 0 * c.x, c.x.shape, c.dtype)]


def per_item(array, *shape, dtype=None):
    """One number, or an array of that shape, for each item."""
    return lambda c: [(array, (c.B, *shape), dtype or c.dtype)]


def number(value):
    """A number of any dtype."""
    return lambda c: [(np.asarray(value), (), np.asarray(value).dtype)]


F64 = np.dtype(float)


def table(array):
    """T numbers after an unused entry 0."""
    return lambda c: [(array[1:], (c.schedule.T,), F64)]


def tables_of_the_schedule(c):
    return [(array[1:], (c.schedule.T,), F64) for array in vars(c.schedule).values()
            if isinstance(array, np.ndarray)]


def guesses(c):
    """ε̂ and x̂_0 of `predict`, with and without clipping."""
    free = predict(c.schedule, c.denoiser, c.x, c.t)
    clipped = predict(c.schedule, c.denoiser, c.x, c.t, (-1, 1))
    return like(free.x_0, free.eps, clipped.x_0, clipped.eps)


def losses(c):
    arguments = (c.schedule, c.denoiser, c.x, c.t, c.y)
    values = [np.asarray(loss(*arguments)) for loss in (simple_loss, v_loss, vlb_loss)]
    return lambda c: [(value, (), value.dtype) for value in values]


def learned_variances(c):
    fraction = fraction_from_variance(c.schedule, c.x ** 2, c.t)
    return like(fraction, reverse.interpolated_variance(c.schedule, c.x, c.t, fraction))


def ledger_of(c):
    result = ledger(c.schedule, c.denoiser, 1e-3 * c.x, c.rng, clip=(-1, 1), batch=3)
    return per_item(result.terms, c.schedule.T + 1, dtype=F64)


def ddim_of(c):
    steps = 1 + c.schedule.T // 2
    return like(final_sample(ddim_sampling(c.schedule, c.denoiser, c.x, c.rng, steps, 0.5)))


def reverse_step_of(c):
    prediction = predict(c.schedule, c.learned, c.x, c.t)
    return gaussian(reverse.reverse_step(c.schedule, prediction, "learned"))


CONVERSIONS = ("x_0_from_eps", "eps_from_x_0", "v_from_eps", "eps_from_v", "score_from_eps",
               "eps_from_score", "mean_from_eps", "mean_from_x_0")
PROMISES = {
    "Gaussian.log_prob": lambda c: per_item(Gaussian(c.x, frozen(c.y**2 + 1)).log_prob(c.z)),
    "Gaussian.sample": lambda c: like(Gaussian(c.x, c.y**2).sample(c.z)),
    "Gaussian.sample of a point mass": lambda c: like(
        posterior(c.schedule, c.x, 1, c.y).sample(c.z)
    ),
    "Gaussian.entropy": lambda c: per_item(Gaussian(c.x, c.y**2 + 1).entropy()),
    "Gaussian.kl": lambda c: per_item(Gaussian(c.x, c.y**2 + 1).kl(Gaussian(c.y, c.x**2 + 1))),
    "level_log_prob": lambda c: per_item(level_log_prob(Gaussian(c.x, c.y**2 + 1), c.levels)),
    "Schedule": lambda c: tables_of_the_schedule,
    "respace": lambda c: number(respace(c.schedule, [c.schedule.T])[0].alpha_bar[1]),
    "forward_step": lambda c: gaussian(forward.forward_step(c.schedule, c.x, c.t)),
    "marginal": lambda c: gaussian(marginal(c.schedule, c.x, c.t)),
    "diffuse": lambda c: like(diffuse(c.schedule, c.x, c.t, c.y)),
    "transition": lambda c: gaussian(transition(c.schedule, c.x, c.s, c.t)),
    "posterior": lambda c: gaussian(posterior(c.schedule, c.x, c.t, c.y)),
    **{
        name: lambda c, name=name: like(getattr(reverse, name)(c.schedule, c.x, c.t, c.y))
        for name in CONVERSIONS
    },
    "interpolated_variance": lambda c: like(
        reverse.interpolated_variance(c.schedule, c.x, c.t, 1 / (1 + c.y**2))
    ),
    "fraction_from_variance": learned_variances,
    "variance_table": lambda c: table(reverse.variance_table(c.schedule, "beta_tilde")),
    **{
        f"as_denoiser {name}": lambda c, name=name: like(
            as_denoiser(c.schedule, c.denoiser, name)(c.x, c.t)
        )
        for name in reverse.TO_EPS
    },
    "predict": guesses,
    "reverse_step": reverse_step_of,
    "algorithm_2": lambda c: like(algorithm_2(c.schedule, c.denoiser, c.x, c.rng).astype(c.dtype)),
    "sampling_times": lambda c: number(sampling_times(c.schedule, 1)[0]),
    "ancestral_sampling": lambda c: like(
        final_sample(ancestral_sampling(c.schedule, c.denoiser, c.x, c.rng))
    ),
    "ddim_step": lambda c: gaussian(
        ddim_step(c.schedule, predict(c.schedule, c.denoiser, c.x, c.t), c.s, 0.7)
    ),
    "ddim_sampling": ddim_of,
    "prior_term": lambda c: per_item(prior_term(c.schedule, c.x)),
    "step_term": lambda c: per_item(step_term(c.schedule, c.denoiser, c.x, c.t, c.y)),
    "step_term learned": lambda c: per_item(
        step_term(c.schedule, c.learned, c.levels, c.t, c.y, "learned", level_log_prob)
    ),
    "simple_loss, v_loss, vlb_loss": losses,
    "hybrid_loss": lambda c: number(hybrid_loss(c.schedule, c.learned, c.x, c.t, c.y)),
    "simple_weights": lambda c: table(simple_weights(c.schedule, "beta")),
    "bits_per_dim": lambda c: like(bits_per_dim(c.x, c.D).astype(c.dtype)),
    "ledger": ledger_of,
    "first_form_terms": lambda c: per_item(
        first_form_terms(c.schedule, c.denoiser, c.x, c.rng), c.schedule.T + 1, dtype=F64
    ),
    "FiniteData.denoiser": lambda c: like(FiniteData(c.y).denoiser(c.schedule)(c.x, c.t)),
    "FiniteData.log_q": lambda c: per_item(FiniteData(c.y).log_q(c.schedule, c.x, c.t), dtype=F64),
    "time_embedding": lambda c: lambda c: [(time_embedding(np.full(c.B, c.t), 7), (c.B, 7), F64)],
    "to_images": lambda c: lambda c: [(to_images(c.x), c.x.shape, np.dtype(np.uint8))],
    "from_levels": lambda c: (
        lambda c: [(from_levels(to_images(c.x)), c.x.shape, np.dtype(np.float32))]
    ),
}


@pytest.mark.filterwarnings("ignore:L_T")  # of these schedules some leave a trace of x_0 in x_T
@pytest.mark.parametrize("name", PROMISES)
@settings(max_examples=25)
@given(c=chains())
def test_inside_the_domain_all_is_finite_and_of_the_shape_and_dtype_that_is_promised(name, c):
    for array, shape, dtype in PROMISES[name](c)(c):
        assert np.shape(array) == shape and np.asarray(array).dtype == dtype, (name, array)
        assert np.isfinite(array).all(), (name, array)


@pytest.mark.filterwarnings("ignore:invalid value")
@settings(max_examples=60)
@given(chains(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_nan_and_infinity_stay_in_the_item_they_came_from(c, not_finite, draw):
    item, x = draw.draw(st.integers(0, c.B - 1)), c.x.copy()
    x[item].flat[draw.draw(st.integers(0, c.D - 1))] = not_finite
    p, other = Gaussian(x, c.y ** 2 + 1), Gaussian(c.y, c.x ** 2 + 1)
    results = [forward.forward_step(c.schedule, x, c.t).mean,
               marginal(c.schedule, x, c.t).sample(c.y),
               diffuse(c.schedule, x, c.t, c.y), posterior(c.schedule, x, c.t, c.y).mean,
               p.log_prob(c.y), p.kl(other), prior_term(c.schedule, x)]
    results += [getattr(reverse, name)(c.schedule, c.y, c.t, x) for name in CONVERSIONS]
    for clip in (None, (-1, 1)):
        prediction = predict(c.schedule, c.denoiser, x, c.t, clip)
        results += [prediction.eps, reverse.reverse_step(c.schedule, prediction).mean]
    for result in results:
        fine = np.isfinite(result.reshape(c.B, -1)).all(1)
        assert not fine[item] and np.delete(fine, item).all()


@settings(max_examples=20)
@given(chains(shapes=((1,), (2,), (3,))), st.integers(1, 3))
def test_mixtures(c, K):
    root = c.rng.standard_normal((K, c.D, c.D))
    weights, means = c.rng.random(K) + 0.1, c.rng.standard_normal((K, c.D))
    covariances = root @ root.swapaxes(1, 2) + np.eye(c.D)
    mixture = Mixture(frozen(weights), frozen(means), frozen(covariances))
    promised = [(mixture.sample(c.rng, 5), (5, c.D), F64),
                (mixture.log_prob(c.x), (c.B,), F64),
                (mixture.log_q(c.schedule, c.x, c.t), (c.B,), F64),
                (mixture.denoiser(c.schedule)(c.x, c.t), c.x.shape, c.dtype),
                (mixture.covariance, (c.D, c.D), F64)]
    for array, shape, dtype in promised:
        assert array.shape == shape and array.dtype == dtype and np.isfinite(array).all()


sizes = st.integers(1, 6), st.integers(1, 3), st.integers(1, 5)


@settings(max_examples=15)
@given(chains(shapes=((3,), (5, 6), (4, 4, 3))), *sizes, st.booleans())
def test_networks(c, width, depth, embedding, learn_variance):
    options = dict(width=width, embedding=embedding, learn_variance=learn_variance)
    network = (
        mlp(3, depth=depth, **options)
        if c.x.ndim == 2
        else conv_denoiser(3 if c.x.ndim == 4 else 1, outer_blocks=1, inner_blocks=depth, **options)
    )
    weights = network.init(c.rng)
    for leaf in leaves(weights):
        assert leaf.dtype == np.float32 and np.isfinite(leaf).all()
        frozen(leaf)
    output = network.apply(weights, c.x, c.t)
    assert isinstance(output, tuple) == learn_variance
    for array in output if learn_variance else (output,):
        assert array.shape == c.x.shape and array.dtype == c.dtype and np.isfinite(array).all()


def test_training_keeps_its_promise():
    data = frozen(np.random.default_rng(0).standard_normal((30, 2), np.float32))

    def draw(rng, n):
        return data[rng.integers(30, size=n)]

    steps = list(train(cosine(10), mlp(2, 8, 1), draw, np.random.default_rng(0), 3, batch=4))
    assert [step.state.step for step in steps] == [1, 2, 3]
    for step in steps:
        assert np.isfinite([step.loss, step.gradient_norm]).all()
        assert all(
            vector.dtype == np.float32 and np.isfinite(vector).all() for vector in step.state[1:]
        )


@pytest.mark.parametrize("name", toys.TOYS)
def test_toys(name):
    points = frozen(toy(name).sample(np.random.default_rng(0), 50))
    assert points.shape == (50, 2) and points.dtype == F64
    assert np.isfinite(toy(name).log_prob(points)).all()


# Outside the domain.

S, X, RNG = cosine(10), frozen(np.zeros((3, 2))), np.random.default_rng(0)
ONE, SINGLE = Gaussian(X, np.ones(())), frozen(X.astype(np.float32))


def trained(**options):
    def draw(rng, n):
        return rng.standard_normal((n, 2), np.float32)

    options = {"steps": 1, "batch": 2, **options}
    return lambda: list(train(S, mlp(2, 8, 1), draw, RNG, **options))


OUTSIDE = [
    (lambda: linear(0), "T = 0"),
    (lambda: grey_levels(0), "T = 0"),
    (lambda: cosine(2.5), "T = 2.5"),
    (lambda: log_snr_uniform("9"), "T = 9"),
    (lambda: linear(100, beta_1=-1.0), "beta_1 = -"),
    (lambda: linear(5), "larger T"),
    (lambda: cosine(10, s=-1), "s = -1"),
    (lambda: cosine(10, s=np.nan), "s = nan"),
    (lambda: cosine(10, beta_max=0), "beta_1 = 0"),
    (lambda: log_snr_uniform(9, np.inf, 0), "log_snr_1 = inf"),
    (lambda: log_snr_uniform(9, 1, 2), "log_snr_T = 2"),
    (lambda: Schedule([[0.1]]), "(1, 1)"),
    (lambda: Schedule([0.1, np.nan]), "beta_2 = nan"),
    (lambda: respace(S, [3, 2]), "[3 2]"),
    (lambda: marginal(S, [1.0], 1), "list"),
    (lambda: marginal(S, np.ones((3, 2), int), 1), "int64"),
    (lambda: diffuse(S, X, 0, X), "t = 0"),
    (lambda: diffuse(S, X, 11, X), "T = 10"),
    (lambda: diffuse(S, X, 1.5, X), "t = 1.5"),
    (lambda: diffuse(S, X, True, X), "t = True"),
    (lambda: diffuse(S, X, None, X), "t = None"),
    (lambda: diffuse(S, X, np.ones(2, int), X), "(2,)"),
    (lambda: diffuse(S, X, np.ones((3, 1), int), X), "(3, 1)"),
    (lambda: diffuse(S, X, 1, X[:1]), "eps has shape (1, 2)"),
    (lambda: transition(S, X, 3, 3), "s = 3"),
    (lambda: transition(S, X, -1, 3), "t = -1"),
    (lambda: posterior(S, X, 1, X[:, :1]), "x_0 has shape (3, 1)"),
    (lambda: Gaussian(X, np.ones(())).log_prob(X[:1]), "x has shape (1, 2)"),
    (lambda: Gaussian(X, np.array([1, -1e-9])).sample(X), "var = -1e-09"),
    (lambda: posterior(S, X, 1, X).log_prob(X), "var = 0"),
    (lambda: posterior(S, X, 1, X).kl(ONE), "var = 0"),
    (lambda: diffuse(S, SINGLE, 1, X), "dtype of eps = float64"),
    (lambda: predict(S, lambda x, t: x.astype(float), SINGLE, 1), "dtype of eps = float64"),
    (lambda: level_log_prob(Gaussian(X, np.ones(())), X + 0.3), "x_0 holds 0.3"),
    (lambda: as_denoiser(S, half, "y"), "predicts = 'y'"),
    (lambda: as_denoiser(S, half, ["v"]), "predicts = ['v']"),
    (lambda: predict(S, half, X, 1, clip=(1, -1)), "clip = (1, -1)"),
    (lambda: predict(S, lambda x, t: x[:1], X, 1), "eps has shape (1, 2)"),
    (lambda: reverse.variance_table(S, "gamma"), "variance = 'gamma'"),
    (lambda: reverse.variance_table(S, -S.beta), "variance[1] = -"),
    (lambda: reverse.variance_table(S, [1.0]), "(1,)"),
    (lambda: final_sample(ancestral_sampling(S, half, X, RNG, start=11)), "T = 10"),
    (lambda: final_sample(ancestral_sampling(S, half, X, RNG, variance="learned")), "learned"),
    (lambda: final_sample(ancestral_sampling(S, half, X, None)), "rng = None"),
    (lambda: final_sample(ancestral_sampling(S, half, X + np.nan, RNG)), "x holds nan"),
    (lambda: final_sample(ddim_sampling(S, half, X - np.inf)), "x holds -inf"),
    (lambda: final_sample([]), "steps = []"),
    (lambda: final_sample(ddim_sampling(S, half, X, steps=True)), "steps = True"),
    (lambda: final_sample(ddim_sampling(S, half, X, eta=0.5)), "rng = None"),
    (lambda: final_sample(ancestral_sampling(S, half, X, RNG, start=True)), "t = True"),
    (lambda: final_sample(ddim_sampling(S, half, X, RNG, eta=1.5)), "eta = 1.5"),
    (lambda: final_sample(ddim_sampling(S, half, X, RNG, eta=np.nan)), "eta = nan"),
    (lambda: final_sample(ddim_sampling(S, half, X, steps=0)), "steps = 0"),
    (lambda: final_sample(ddim_sampling(S, half, X, steps=[1, 1])), "steps = [1, 1]"),
    (lambda: ddim_step(S, predict(S, half, X, 3), 3), "s = 3"),
    (lambda: v_loss(S, half, X, 0, X), "t = 0"),
    (lambda: hybrid_loss(S, half, X, 1, X), "learned"),
    (lambda: bits_per_dim(1.0, 0), "dimensions = 0"),
    (lambda: Ledger(X, X, -1).bits_per_dim(1.0), "dimensions = -1"),
    (lambda: ledger(S, half, X[:0], RNG), "(0, 2)"),
    (lambda: ledger(S, half, X[0], RNG), "(2,)"),
    (lambda: ledger(S, half, X, RNG, batch=0), "batch = 0"),
    (lambda: ledger(S, half, X + np.nan, RNG), "finite"),
    (lambda: simple_weights(S, "x"), "variance = 'x'"),
    (lambda: Mixture([1], [[0, np.nan]], [np.eye(2)]), "NaN"),
    (lambda: Mixture([0.0], [[0, 0]], [np.eye(2)]), "weights"),
    (lambda: Mixture([1], [[0, 0]], [-np.eye(2)]), "covariances"),
    (lambda: Mixture([1], [[0, 0]], [np.eye(2)]).log_prob(X[:, :1]), "(3, 1)"),
    (lambda: Mixture([1], [[0, 0]], [np.eye(2)]).denoiser(S)(X[:, :1], 1), "(3, 1)"),
    (lambda: FiniteData([]), "(0,)"),
    (lambda: FiniteData(X).denoiser(S)(np.zeros((3, 5)), 1), "(3, 5)"),
    (lambda: time_embedding(1, 0), "dim = 0"),
    (lambda: time_embedding(1, 2.5), "dim = 2.5"),
    (lambda: mlp(0), "dimensions = 0"),
    (lambda: mlp(width=-1), "width = -1"),
    (lambda: mlp(depth=1.5), "depth = 1.5"),
    (lambda: conv_denoiser(0), "channels = 0"),
    (lambda: conv_denoiser(inner_blocks=0), "inner_blocks = 0"),
    (trained(batch=0), "batch"),
    (trained(learning_rate=-1), "rate = -1"),
    (trained(learning_rate=np.nan), "rate = nan"),
    (trained(ema_decay=2), "ema_decay"),
    (trained(max_norm=0), "max_norm"),
    (trained(predicts="q"), "predicts = 'q'"),
    (lambda: toy("moon"), "'moon'"),
    (lambda: toy("checkerboard").log_prob(np.zeros((3, 3))), "(3, 3)"),
    (lambda: load("a.xls"), "'.xls'"),
    (lambda: from_levels(X), "float64"),
    (lambda: to_images(X + np.nan), "NaN"),
    (lambda: tinyddpm.mnist_full("/nowhere"), "/nowhere"),
]


@pytest.mark.parametrize("var", [0.0, -1.0])
@pytest.mark.parametrize("call", [
    lambda g: g.log_prob(X), lambda g: g.entropy(), lambda g: level_log_prob(g, X),
    lambda g: g.kl(ONE), lambda g: ONE.kl(g),
    lambda g: grad(lambda var: Gaussian(X, var).log_prob(X).sum())(g.var[0])])
def test_a_variance_that_is_not_positive_has_no_density(call, var):
    with pytest.raises(ValueError, match=f"var = {var}"):
        call(Gaussian(X, np.full((2,), var)))


@pytest.mark.parametrize("call, mention", OUTSIDE)
def test_outside_the_domain_the_argument_and_its_value_are_named(call, mention):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    message = str(error.value)
    assert mention in message and len(message) > len(mention) + 12, message


def test_no_public_name_is_left_out():
    """Each is named above, or is a plain record, or has a file of tests to itself."""
    elsewhere = {"State", "Network", "mnist", "algorithm_1",
                 "Run", "fit", "load_run"}  # of test_notebook.py
    source = Path(__file__).read_text(encoding="utf-8").partition("PROMISES")[2]
    public = {name for name, value in vars(tinyddpm).items()
              if not name.startswith("_") and callable(value)}
    assert not {name for name in public - elsewhere if name not in source}
