"""A primitive whose gradient uses again what its value has computed."""
from functools import wraps
from collections.abc import Callable
from typing import Any

from autograd.extend import defvjp_argnums, primitive
from autograd.tracer import getval
from numpy import ndarray as Array

ValueAndGradient = tuple[Array, Callable[[Array], tuple[Array, ...]]]


def with_gradient(forward: Callable[..., ValueAndGradient]) -> Callable[..., Array]:
    """An operation for autograd from a function that returns its value and its gradient.

    forward(*arguments) → (value, gradient); gradient(g) → (∂L/∂argument, …), with g = ∂L/∂value.
    The operation can be differentiated once.
    """
    @wraps(forward)
    def operation(*arguments: Any) -> Array:
        value, gradient = forward(*map(getval, arguments))
        return _record(value, gradient, *arguments)
    return operation


@primitive
def _record(value: Array, gradient: Callable, *arguments: Any) -> Array:
    """The value; autograd records that it depends on the arguments, by this gradient."""
    return value


def _vjp(argnums: tuple[int, ...], value: Array, recorded: tuple, options: dict) -> Callable:
    gradient = recorded[1]

    def vjp(g: Array) -> list[Array]:
        gradients = gradient(g)
        return [gradients[argnum - 2] for argnum in argnums]  # value and gradient stand before them
    return vjp


defvjp_argnums(_record, _vjp)
