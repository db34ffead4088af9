"""Sensors: what can be read of an environment, to be given to `envs.observed`.

    envs.observed(env, {"place": sensors.positions(), "picture": sensors.camera(size=32)}, history=2)

A sensor is a frozen dataclass with a function `read(env, state)`, or simply a function of the simulator's state.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.description import Block
from pods_jax.envs.environment import Environment, State
from pods_jax.envs.observation.camera import Camera, camera
from pods_jax.envs.observation.noise import Noise, noise
from pods_jax.envs.observation.randomized import Randomized


class Sensor(Protocol):
    """Something that can be read; hashable, since it is a part of compiled programs."""

    def read(self, env: Environment, state: State) -> jax.Array:
        """The reading of one state of `env`, an array of any shape."""

    def describe(self, env: Environment) -> tuple[str, str]:
        """The unit of the reading, and one phrase on its meaning. Raises InputError where it cannot be read."""


@dataclass(frozen=True)
class Part:
    """A block of what the environment observes by itself, by its name in `Environment.observation_layout`."""

    name: str

    def read(self, env: Environment, state: State) -> jax.Array:
        """The components (n,) of this block."""
        first, block = self._find(env)
        return env.observe(state)[first : first + block.size]

    def describe(self, env: Environment) -> tuple[str, str]:
        """Unit and meaning of the block; raises InputError, with the closest name, where there is none."""
        block = self._find(env)[1]
        return block.unit, block.meaning

    def _find(self, env: Environment) -> tuple[int, Block]:
        first = 0
        for block in env.observation_layout:
            if block.name == self.name:
                return first, block
            first += block.size
        names = [block.name for block in env.observation_layout]
        close = difflib.get_close_matches(self.name, names, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(
            f"{env.name} observes nothing called {self.name!r}: {hint}there are {', '.join(names)}; for anything "
            "else give a function of the state"
        )


@dataclass(frozen=True)
class Factors:
    """The factors of randomised parameters in this episode, in the order in which they were named."""

    def read(self, env: Environment, state: State) -> jax.Array:
        """(p,) the factors; of what a function builds, its arguments."""
        while not isinstance(env.parameters, Randomized):
            env, state = env.parameters.env, state.inner
        return state.factors

    def describe(self, env: Environment) -> tuple[str, str]:
        """Their names. Raises InputError where no parameter is random."""
        while not isinstance(env.parameters, Randomized):
            if env.functions.core is None:
                raise InputError(f"the parameters of {env.name} are not random: `envs.randomized` makes them so")
            env = env.parameters.env
        return "", f"factors of {', '.join(env.parameters.names)}"


@dataclass(frozen=True)
class Function:
    """A function of the simulator's state that returns an array."""

    function: Callable[[State], jax.Array]

    def read(self, env: Environment, state: State) -> jax.Array:
        """What the function returns."""
        return jnp.asarray(self.function(env.core(state)[1]))

    def describe(self, env: Environment) -> tuple[str, str]:
        """Nothing is known of it. Raises InputError where it cannot be traced."""
        try:
            jax.eval_shape(lambda key: self.read(env, env.reset(key)), jax.random.key(0))
        except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"a sensor cannot be read of a state of {env.name}: {reason}") from error
        return "unknown", "unknown"


def part(name: str) -> Part:
    """What the environment observes under a name of its `Environment.observation_layout`, such as "velocity"."""
    return Part(checks.text("name", name))


def positions() -> Part:
    """The positions of all points, relative to the handles [m]."""
    return Part("position")


def velocities() -> Part:
    """The velocities of all points [m/s]."""
    return Part("velocity")


def handle() -> Part:
    """The coordinates of the handles [m]."""
    return Part("handle")


def factors() -> Factors:
    """The factors of randomised parameters, see `envs.randomized`."""
    return Factors()


def as_sensor(name: str, given: Any, env: Environment) -> Sensor:
    """A sensor of what was given for one; raises InputError for anything but a sensor or a function of a state."""
    if isinstance(given, Camera):
        return given.fitted(env)
    if hasattr(given, "read") and hasattr(given, "describe"):
        sensor: Sensor = given
        return sensor
    if callable(given):
        return Function(given)
    raise InputError(
        f"sensors[{name!r}]", given, "must be a sensor, such as sensors.positions(), or a function of the state"
    )


__all__ = [
    "Camera",
    "Factors",
    "Function",
    "Noise",
    "Part",
    "Sensor",
    "camera",
    "factors",
    "handle",
    "noise",
    "part",
    "positions",
    "velocities",
]
