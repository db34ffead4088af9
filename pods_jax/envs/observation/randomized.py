"""An environment whose physical parameters are drawn anew in each episode, and not told to the policy.

    env = envs.randomized(env, {"mass": 0.3, "gravity": (0.9, 1.1)})
    env = envs.randomized(lambda mass: envs.from_step(...), {"mass": (0.7, 1.3)})

Each named parameter is multiplied by a factor of its own, and what follows from it, such as where a load hangs, is
computed anew; of a function that builds the environment, its arguments are drawn. One compiled program serves all
draws: the drawn parameters are a part of the state. Trajectories are improved with those of their episode
(`Environment.core`).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import parameters as named
from pods_jax.envs.description import Block, Drawing, Energy
from pods_jax.envs.environment import Environment, Functions, State
from pods_jax.trajopt import LinearModel, flatten
from pods_jax.types import Key

Build = Callable[..., Environment]
"""Makes an environment of named numbers."""


@struct.dataclass
class Randomized:
    """The parameters of a randomised environment."""

    env: Environment  # with nominal parameters
    low: jax.Array  # (p,) the smallest factor of each named parameter, or the smallest value for `build`
    high: jax.Array  # (p,) the largest
    names: tuple[str, ...] = struct.field(pytree_node=False)  # p of them, as they were given
    parameters: tuple[named.Parameters, ...] = struct.field(pytree_node=False)  # what each stands for
    changed: tuple[int, ...] = struct.field(pytree_node=False)  # which arrays of `env.parameters` are not nominal
    build: Build | None = struct.field(pytree_node=False)  # what makes an environment of values, if not a change

    def drawn(self, factors: jax.Array) -> Environment:
        """The environment whose named parameters are multiplied by factors (p,), or that is built of them."""
        if self.build is not None:
            return self.build(**dict(zip(self.names, factors, strict=True)))
        leaves = jax.tree.leaves(self.env.parameters)
        places, values = [], []
        for factor, found in zip(factors, self.parameters, strict=True):
            for place in found.places:
                leaf = jnp.asarray(leaves[place.leaf])
                nominal = jnp.ravel(leaf)[0] if place.index is None else leaf[place.index]
                places.append(place)
                values.append(factor.astype(leaf.dtype) * nominal)
        together = named.Parameters(tuple(place.name for place in places), tuple(places))
        return together.environment(self.env, jnp.stack(values))

    def of_episode(self, state: "RandomizedState") -> Environment:
        """The environment with the parameters of a state."""
        if self.build is not None:
            return self.drawn(state.factors)
        leaves, structure = jax.tree.flatten(self.env.parameters)
        for index, value in zip(self.changed, state.values, strict=True):
            leaves[index] = value
        parameters = jax.tree.unflatten(structure, leaves)
        env: Environment = self.env.replace(parameters=parameters)  # type: ignore[attr-defined]
        return env


@struct.dataclass
class RandomizedState:
    """The state of the environment, and the parameters of this episode."""

    inner: State
    factors: jax.Array  # (p,) by which named parameters are multiplied, or the values of what is built
    values: tuple[jax.Array, ...]  # the arrays of the parameters that are not nominal


def randomized(env: Environment | Build, ranges: Mapping[str, float | tuple[float, float]]) -> Environment:
    """An environment whose parameters are drawn anew in each episode, evenly from ranges; see the module.

    ranges: by the name of a parameter (`envs.values` knows them), a share r for factors from 1 - r to 1 + r, or the
    smallest and the largest factor. All numbers that one name stands for have the same factor. env: or a function of
    numbers that builds one; ranges are then the smallest and the largest value of each of its arguments. A policy
    sees nothing of them, unless a sensor tells: `sensors.factors()`. Raises InputError for an unknown name, with the
    closest one, for a range that is none, and for one that allows what physics does not, such as a negative mass.
    """
    if not checks.mapping("ranges", ranges):
        raise InputError("ranges", ranges, 'must name at least one parameter: {"mass": 0.3}')
    if isinstance(env, Environment):
        return _wrapped(_changing(env, ranges))
    build = checks.function("env", env)
    bounds = np.asarray([_range(name, given, is_factor=False) for name, given in ranges.items()])
    nominal = build(**dict(zip(ranges, bounds.mean(axis=1).tolist(), strict=True)))
    checks.instance("env", nominal, Environment, 'envs.make("pendulum_2d"), or a function that builds one')
    low, high = jnp.asarray(bounds.T, nominal.action_limit.dtype)
    return _wrapped(Randomized(nominal, low, high, tuple(ranges), (), (), build))


def _changing(env: Environment, ranges: Mapping[str, Any]) -> Randomized:
    """The parameters of an environment of which named ones are multiplied by factors."""
    bounds = np.asarray([_range(name, given, is_factor=True) for name, given in ranges.items()])
    named.find(env, list(ranges))  # raises where two of them are the same number
    found = tuple(named.find(env, [name]) for name in ranges)
    low, high = jnp.asarray(bounds.T, env.action_limit.dtype)
    given = Randomized(env, low, high, tuple(ranges), found, (), None)
    check_ranges(given)
    return dataclasses.replace(given, changed=_changed(given))


def _wrapped(parameters: Randomized) -> Environment:
    """The environment of these parameters. Raises InputError around one that wraps another one."""
    env = parameters.env
    if env.functions.core is not None:
        raise InputError(f"{env.name} wraps another environment: randomise that one first, and observe the result")
    return Environment(
        name=env.name,
        task=env.task,
        horizon=env.horizon,
        time_step=env.time_step,
        functions=_functions(env.functions),
        parameters=parameters,
        action_limit=env.action_limit,
        action_unit=env.action_unit,
        terminal_only=env.terminal_only,
    )


def _range(name: str, given: Any, is_factor: bool) -> tuple[float, float]:
    """The smallest and the largest factor, or value."""
    where = f"ranges[{name!r}]"
    if isinstance(given, tuple | list):
        low, high = checks.array(where, given, (2,)).tolist()
        if low > high:
            raise InputError(where, given, "must be the smallest one and the largest one, in this order")
        return low, high
    if not is_factor:
        raise InputError(where, given, "must be the smallest and the largest value, (0.7, 1.3)")
    share = checks.number(where, given, at_least=0.0)
    return 1 - share, 1 + share


def check_ranges(given: Randomized) -> None:
    """Raises InputError where a factor makes a parameter what it must not be; of what is built, nobody knows."""
    env = given.env
    for low, high, name, parameters in zip(
        given.low.tolist(), given.high.tolist(), given.names, given.parameters, strict=bool(given.parameters)
    ):
        lowest, highest = named.bounds_of(env, parameters.names[0])
        is_strict = named.must_be_positive(env, parameters.names[0])
        ends = np.outer((low, high), parameters.values(env))
        if np.min(ends) < lowest or np.max(ends) > highest or (is_strict and np.min(ends) <= 0):
            allowed = "greater than 0" if is_strict else f"at least {lowest:g}"
            upper = f" and at most {highest:g}" if np.isfinite(highest) else ""
            raise InputError(
                f"ranges[{name!r}]",
                (low, high),
                f"makes {name} {np.min(ends):g} to {np.max(ends):g}: must be {allowed}{upper}",
            )


def _changed(parameters: Randomized) -> tuple[int, ...]:
    """Which arrays of the parameters a draw changes, by their order."""
    nominal = jax.tree.leaves(parameters.env.parameters)
    between = parameters.low + 0.7 * (parameters.high - parameters.low)
    tried = [jax.tree.leaves(parameters.drawn(f).parameters) for f in (parameters.low, between, parameters.high)]
    return tuple(
        index
        for index, leaf in enumerate(nominal)
        if any(not np.array_equal(np.asarray(leaves[index]), np.asarray(leaf)) for leaves in tried)
    )


def _functions(inner: Functions) -> Functions:
    """What a randomised environment does, as far as the one with nominal parameters does it."""
    return dataclasses.replace(
        FUNCTIONS,
        reward=reward if inner.reward is not None else None,
        energy=energy if inner.energy is not None else None,
        draw=draw if inner.draw is not None else None,
        completed=completed if inner.completed is not None else None,
        observation_layout=observation_layout,
    )


def reset(parameters: Randomized, key: Key) -> RandomizedState:
    """Parameters, and an initial state of the environment that has them."""
    key_draw, key_inner = jax.random.split(key)
    low, high = parameters.low, parameters.high
    factors = low + (high - low) * jax.random.uniform(key_draw, low.shape, low.dtype)
    env = parameters.drawn(factors)
    leaves = jax.tree.leaves(env.parameters)
    return RandomizedState(env.reset(key_inner), factors, tuple(leaves[index] for index in parameters.changed))


def core(parameters: Randomized, state: RandomizedState) -> tuple[Environment, State]:
    """See `Environment.core`."""
    return parameters.of_episode(state), state.inner


def step(parameters: Randomized, state: RandomizedState, action: jax.Array) -> RandomizedState:
    """One step with the parameters of the episode."""
    env, inner = core(parameters, state)
    return dataclasses.replace(state, inner=env.step(inner, action))


def observe(parameters: Randomized, state: RandomizedState) -> jax.Array:
    """(O,) what the environment observes; nothing of its parameters."""
    env, inner = core(parameters, state)
    return env.observe(inner)


def observation_layout(parameters: Randomized) -> tuple[Block, ...]:
    """That of the environment."""
    return parameters.env.observation_layout


def residual(parameters: Randomized, state: RandomizedState, action: jax.Array) -> jax.Array:
    """That of the environment with the parameters of the episode."""
    env, inner = core(parameters, state)
    return env.residual(inner, action)


def reward(parameters: Randomized, state: RandomizedState, action: jax.Array) -> jax.Array:
    """That of the environment with the parameters of the episode."""
    env, inner = core(parameters, state)
    return env.reward(inner, action)


def step_error(
    parameters: Randomized, state: RandomizedState, action: jax.Array, next_state: RandomizedState
) -> jax.Array:
    """That of the environment with the parameters of the episode."""
    env, inner = core(parameters, state)
    return env.step_error(inner, action, next_state.inner)


def measure(parameters: Randomized, state: RandomizedState) -> dict[str, jax.Array]:
    """What the environment with the parameters of the episode measures."""
    env, inner = core(parameters, state)
    return env.measure(inner)


def energy(parameters: Randomized, state: RandomizedState) -> Energy:
    """That of the environment with the parameters of the episode."""
    env, inner = core(parameters, state)
    return env.energy(inner)


def draw(parameters: Randomized, state: RandomizedState) -> Drawing:
    """What the environment with the parameters of the episode draws."""
    env, inner = core(parameters, state)
    return env.draw(inner)


def completed(parameters: Randomized, state: RandomizedState) -> RandomizedState:
    """That of the environment with the parameters of the episode."""
    env, inner = core(parameters, state)
    return dataclasses.replace(state, inner=env.completed(inner))


def linearize(
    parameters: Randomized, state: RandomizedState, action: jax.Array, next_state: RandomizedState
) -> "ConstantModel":
    """The derivative of one step by the state and the action; parameters are constants."""
    env, inner = core(parameters, state)
    return ConstantModel(env.linearize(inner, action, next_state.inner), flatten(inner)[0].size)


@struct.dataclass
class ConstantModel:
    """The derivative of one step, for vectors whose last numbers are constants."""

    inner: LinearModel
    size: int = struct.field(pytree_node=False)  # n of the inner state

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """See LinearModel."""
        moved = self.inner.product(by_state[: self.size], by_action)
        return jnp.concatenate([moved, by_state[self.size :]])

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See LinearModel."""
        by_inner, by_action = self.inner.transpose_product(by_next[: self.size])
        return jnp.concatenate([by_inner, by_next[self.size :]]), by_action


FUNCTIONS = Functions(reset, step, observe, residual, step_error, measure, linearize=linearize, core=core)
