"""What the public functions of `sim` take: a system, states of it, and arrays whose shapes follow from it."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.sim.bdf2 import State
from pods_jax.sim.system import System

Function = TypeVar("Function", bound=Callable[..., Any])

SHAPES = {
    "handle": "A",
    "action": "A",
    "position": "Pd",
    "velocity": "Pd",
    "guess": "Pd",
    "previous_position": "Pd",
    "previous_velocity": "Pd",
    "handle_position": "Hd",
    "handle_velocity": "Hd",
}
"""The shapes of arguments and of the fields of a state: A actions, P points, H handles, d dimensions."""


def checked(function: Function) -> Function:
    """The function with its arguments looked at by their names; raises InputError naming the one that is wrong."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        arguments = signature.bind(*given, **named).arguments
        system = checks.instance("system", arguments["system"], System, "sim.make_system(...)")
        for name, value in arguments.items():
            if name in SHAPES:
                arguments[name] = _array(system, name, name, value)
            elif name != "system":
                state = checks.instance(name, value, State, "sim.initial_state(...)")
                fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(State)}
                arguments[name] = State(**{key: _array(system, f"{name}.{key}", key, v) for key, v in fields.items()})
        return function(**arguments)

    return cast(Function, call)


def _array(system: System, name: str, kind: str, value: Any) -> jax.Array:
    """Real numbers of the shape that belongs to a kind; whole ones become those of the system's type."""
    sizes = {"A": system.action_size, "P": system.num_points, "H": system.num_handles, "d": system.dimension}
    own = getattr(value, "dtype", None)
    dtype = own if own is not None and jnp.issubdtype(own, np.floating) else system.mass.dtype
    return checks.reals(name, value, tuple(sizes[letter] for letter in SHAPES[kind]), dtype)
