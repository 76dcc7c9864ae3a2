"""Put PyTorch code on trial: a class over tensors becomes the plain functions of the laws.

The laws call functions of NumPy arrays, with β as the first argument and t in 1…T.  PyTorch code
takes tensors, counts t from 0, and is often a class that holds its tables.  So write a class whose
methods have the names and the arguments of tests/laws/interface.py, but `self` for `beta`:

    import sys

    sys.path.append("tests/implementations/support")
    from pytorch import always, drawing, offers, plain_functions

    from my_ddpm import Diffusion, linear_schedule         # the code on trial

    PRECISION = "float32"                                  # its tables are kept in float32

    class Mine:
        VARIANCES = {"beta": "large"}                      # it has no name for "beta_tilde"

        def __init__(self, beta):                          # called once for each β
            self.diffusion = Diffusion(betas=torch.tensor(beta))

        @staticmethod
        def linear_beta(T):                                # a function without `beta`
            return linear_schedule(T)

        def q_sample(self, x_0, t, eps):
            return self.diffusion.add_noise(x_0, t, eps)

        def sampler_step(self, x_t, t, eps, z, variance):  # its torch.randn_like returns z
            return self.diffusion.p_sample(always(eps), x_t, t, sigma=variance)

        def sample(self, denoiser, x_t, t, rng, variance):
            offers(t == self.diffusion.T - 1, "a later start")
            with drawing(x_t, rng):                        # first x_T, then noise from rng
                return self.diffusion.sample(denoiser, x_t.shape, sigma=variance)

    globals().update(plain_functions(Mine))

Then `pytest tests/laws --implementation mine.py`.  A method gets

    x_0, eps, v, mean, …   tensors of one shape, (B, …), of type DTYPE
    t                      a (B,) tensor, counted from FIRST_TIME; an int in sampler_step, sample
                           and ddim_step
    s, times               an int, and a list of ints, counted likewise; FIRST_TIME − 1 is x_0
    variance               the value in VARIANCES; a name that is not there is declined
    denoiser, network      a function of tensors: x and t as above → tensor
    all else               what the law gave

and returns tensors, arrays, numbers, or a tuple of them.  It may call other methods of the class.
While it runs, torch.randn and torch.randn_like return the argument z, or draw from the argument
rng, from which the generators of PyTorch and np.random are seeded, too; in a method that has
neither, they return zeros, so that a step is its mean.  A class that has q_sample and no q_marginal
gets one: x_t without noise, and the square of x_t for x_0 = 0 and ε = 1.

The attributes of the class that change this:

    DTYPE = torch.float64      torch.float32 for code that takes nothing else
    FIRST_TIME = 0             the number that the code has for the paper's t = 1
    IMAGES = False             True: an x that is not (B, C, H, W) comes as (B, 1, 1, D), and
                               results of that shape are given back in the shape of the law's x
    VARIANCES                  its names for "beta" and "beta_tilde"; the same if it has none

Methods whose names begin with an underscore are the class's own.
"""
import contextlib
import functools
import importlib.util
import inspect
import sys
from importlib.machinery import ModuleSpec
from unittest import mock

import numpy as np
import torch

LIKE_X = {"x_0", "x_t", "x_T", "x_prev", "x_s", "eps", "eps_hat", "v", "score", "z", "mean", "var",
          "mean_1", "var_1", "mean_2", "var_2", "given", "known", "ema", "weights"}
ONE_T = {"sampler_step", "sample", "ddim_step"}


def plain_functions(adapter):
    """{name: function}: the public methods of the class `adapter` in the form that the laws need.

    An object of the class is built from the array β_1…β_T once and kept for the next calls.
    """
    built = functools.lru_cache(maxsize=64)(lambda key: adapter(np.frombuffer(key).copy()))

    def plain(name):
        method = getattr(adapter, name)
        signature = inspect.signature(method)

        @functools.wraps(method)
        def function(*arguments, **options):
            values = signature.bind(*arguments, **options).arguments
            if "self" in values:
                values["self"] = built(np.asarray(values["self"], float).tobytes())
            shapes = [np.shape(values[key]) for key in values if key in LIKE_X]
            law_shape = np.broadcast_shapes(*shapes)
            shape = law_shape
            if getattr(adapter, "IMAGES", False) and len(law_shape) not in (0, 4):
                shape = law_shape[0], 1, 1, int(np.prod(law_shape[1:]))
            for key, value in values.items():
                values[key] = _as_torch(adapter, name, key, value, law_shape, shape)
            source = values.get("z", values.get("rng", 0.0))
            with drawing(source):
                return _as_numpy(method(**values), law_shape, shape)
        return function

    names = [name for name in vars(adapter) if name[0] != "_" and callable(getattr(adapter, name))]
    functions = {name: plain(name) for name in names}
    if "q_sample" in functions:
        functions.setdefault("q_marginal", functools.partial(_marginal, functions["q_sample"]))
    return functions


def _marginal(q_sample, beta, x_0, t):
    zero = np.zeros_like(x_0)
    return q_sample(beta, x_0, t, zero), q_sample(beta, zero, t, zero + 1) ** 2


def _as_torch(adapter, function, key, value, law_shape, shape):
    """The argument `key` of `function`, as a method of `adapter` gets it."""
    dtype = getattr(adapter, "DTYPE", torch.float64)
    shift = getattr(adapter, "FIRST_TIME", 0) - 1
    if key in LIKE_X:
        return tensor(np.broadcast_to(value, law_shape)).to(dtype).reshape(shape)
    if key in ("t", "times", "s"):
        offers(key == "s" or np.all(np.asarray(value) > 0), "t = 0")
        if key == "times":
            return [int(t) + shift for t in value]
        if key == "s" or function in ONE_T:
            return int(value) + shift
        times = np.broadcast_to(value, law_shape[:1] or np.shape(value))
        return torch.as_tensor(times + shift)
    if key == "variance" and hasattr(adapter, "VARIANCES"):
        offers(value in adapter.VARIANCES, f'variance "{value}"')
        return adapter.VARIANCES[value]
    if key in ("denoiser", "network"):
        def network(x, t, *_, **__):
            law_t = torch.as_tensor(t).numpy() - shift
            law_x = x.detach().numpy().copy().reshape(len(x), *law_shape[1:])
            output = value(law_x, law_t if law_t.ndim else int(law_t))
            return torch.as_tensor(np.asarray(output), dtype=x.dtype).reshape(x.shape)
        return network
    return value


def _as_numpy(result, law_shape, shape):
    """A result of a method, in the shape that the law expects."""
    if isinstance(result, tuple):
        return tuple(_as_numpy(part, law_shape, shape) for part in result)
    if isinstance(result, torch.Tensor):
        result = result.detach().numpy()
    if shape != law_shape and np.shape(result) == shape:
        return result.reshape(law_shape)
    if shape != law_shape and np.shape(result)[1:] == (1, 1, 1):
        return result.reshape(-1, *(1,) * (len(law_shape) - 1))
    return result


def tensor(x):
    """A float64 tensor with memory of its own."""
    return torch.as_tensor(np.array(x, float))


def offers(condition, what):
    """Unless `condition`, raise NotImplementedError: the code on trial does not take `what`."""
    if not condition:
        raise NotImplementedError(what)


def one_t(method):
    """A method of code that takes one t for the whole batch: it gets t as an int.

    Where t differs from item to item, the method is called for each item alone.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def each(*arguments, **options):
        values = signature.bind(*arguments, **options).arguments
        t = values["t"]
        if isinstance(t, int):
            return method(*arguments, **options)
        if len(set(t.tolist())) == 1:
            return method(**{**values, "t": int(t[0])})
        rows = []
        for i in range(len(t)):
            row = {key: value[i:i + 1] if isinstance(value, torch.Tensor) else value
                   for key, value in values.items()}
            rows.append(method(**{**row, "t": int(t[i])}))
        if isinstance(rows[0], tuple):
            return tuple(torch.cat(parts) for parts in zip(*rows))
        return torch.cat(rows)
    return each


@contextlib.contextmanager
def drawing(*sources):
    """Within the `with` statement, torch.randn and torch.randn_like return `sources`, one a call.

    A source is a tensor; a number; or a NumPy Generator, which draws N(0, 1) of the shape that is
    asked for and seeds the generators of PyTorch and np.random.  The last source serves all later
    calls, too.
    """
    waiting = list(sources)

    def draw(*size, dtype=None, **_):
        source = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(source, torch.Tensor):
            return source.clone()
        like = size[0]
        if isinstance(like, torch.Tensor):
            size, dtype = like.shape, dtype or like.dtype
        elif not isinstance(like, int):
            size = like
        if isinstance(source, np.random.Generator):
            return tensor(source.standard_normal(tuple(size))).to(dtype or torch.float64)
        return torch.full(tuple(size), source, dtype=dtype or torch.float64)

    for source in sources:
        if isinstance(source, np.random.Generator):
            seed = int(source.integers(2 ** 31))
            torch.default_generator.manual_seed(seed)
            np.random.seed(seed)
    with mock.patch.multiple(torch, randn=draw, randn_like=draw):
        yield


def always(output):
    """A network that returns `output`, whatever it is asked."""
    return lambda *_, **__: output


def from_zero(first, table):
    """The table of t = 0…T: `first`, then T values of the code on trial."""
    return np.append(first, np.asarray(table, float))


def per_item(values):
    """The sum over all axes but the first: (B, …) → (B,)."""
    return values.flatten(1).sum(1)


def without(*names):
    """Put empty modules in the place of these, where they are not installed.

    So a library can be imported that needs them for pictures or scores only.
    """
    for name in names:
        if name in sys.modules:
            continue
        if name.rpartition(".")[0] in sys.modules or importlib.util.find_spec(name) is None:
            sys.modules[name] = mock.MagicMock(__path__=[], __spec__=ModuleSpec(name, None))
