"""What the adapters of PyTorch libraries share.  Their time 0 is our t = 1."""
import functools
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from unittest import mock

import numpy as np
import torch


def without(*names):
    """Put empty modules in the place of these, where they are not installed.

    So a library can be imported that needs them for pictures or scores only.
    """
    for name in names:
        if name in sys.modules:
            continue
        if name.rpartition(".")[0] in sys.modules or importlib.util.find_spec(name) is None:
            sys.modules[name] = mock.MagicMock(__path__=[], __spec__=ModuleSpec(name, None))


def tensor(x):
    return torch.as_tensor(np.array(x, float))


def their_times(t, x):
    """Our t, an int or (B,), as B of theirs."""
    return torch.as_tensor(np.broadcast_to(np.asarray(t) - 1, len(x)).copy())


def item_by_item(function):
    """function(beta, x_t, ..., t, ...), which takes one t for the batch, item by item."""
    @functools.wraps(function)
    def each(beta, x_t, *arguments, **options):
        arrays = [np.broadcast_to(a, np.shape(x_t)) if np.ndim(a) > 1 else a for a in arguments]
        if not any(np.ndim(a) == 1 for a in arrays):
            return function(beta, x_t, *arguments, **options)
        rows = []
        for i in range(len(x_t)):
            own = []  # the arguments of item i alone
            for a in arrays:
                if np.ndim(a) > 1:
                    own.append(a[i:i + 1])
                else:
                    own.append(int(a[i]) if np.ndim(a) else a)
            rows.append(function(beta, x_t[i:i + 1], *own, **options))
        if isinstance(rows[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*rows))
        return np.concatenate(rows)
    return each


def noise_of(rng):
    """f(shape or x, …) → tensor: noise from a numpy Generator, in the place of PyTorch's own."""
    return lambda shape, *_, **__: tensor(rng.standard_normal(getattr(shape, "shape", shape)))
