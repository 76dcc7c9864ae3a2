"""What the adapters of PyTorch libraries share.  Their time 0 is our t = 1."""
import functools
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from unittest import mock

import numpy as np
import torch


def without(*names):
    """Lets a library be imported that imports these for pictures or scores only, where they are not installed."""
    for name in names:
        if name not in sys.modules and (name.rpartition(".")[0] in sys.modules or importlib.util.find_spec(name) is None):
            sys.modules[name] = mock.MagicMock(__path__=[], __spec__=ModuleSpec(name, None))


def tensor(x):
    return torch.as_tensor(np.array(x, float))


def their_times(t, x):
    """Our t, an int or (B,), as B of theirs."""
    return torch.as_tensor(np.broadcast_to(np.asarray(t) - 1, len(x)).copy())


def item_by_item(function):
    """function(beta, x_t, ..., t, ...) of one t for the batch, applied to each item with a t of its own."""
    @functools.wraps(function)
    def each(beta, x_t, *arguments, **options):
        arrays = [np.broadcast_to(a, np.shape(x_t)) if np.ndim(a) > 1 else a for a in arguments]
        if not any(np.ndim(a) == 1 for a in arrays):
            return function(beta, x_t, *arguments, **options)
        rows = [function(beta, x_t[i:i + 1], *(a[i:i + 1] if np.ndim(a) > 1 else int(a[i]) if np.ndim(a) else a for a in arrays),
                         **options) for i in range(len(x_t))]
        if isinstance(rows[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*rows))
        return np.concatenate(rows)
    return each


def noise_of(rng):
    """A source of noise in PyTorch's place, drawing from a numpy Generator: f(shape or x, …) → tensor."""
    return lambda shape, *_, **__: tensor(rng.standard_normal(getattr(shape, "shape", shape)))
