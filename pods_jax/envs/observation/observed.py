"""An environment of which a policy sees what sensors read: late, noisy, and not all of the state.

What is observed is an Environment again, so that everything takes it. Its state is that of the simulator and what
observations need of the past: earlier states, rather than readings of them, since pictures are large. Trajectories
are improved in the simulator itself (`Environment.core`), by its full state; no derivative goes through a camera, a
delay or noise. The regression of the policy needs observations as inputs only.

The observation in step t, of sensors o with a history of H readings and a delay of d steps, is

    (o(s_{t-d}), o(s_{t-d-1}), ..., o(s_{t-d-H+1})) for each sensor, then (a_{t-1}, ..., a_{t-d}),

newest first, in one vector; `envs.split` and `Environment.observation_layout` say what is where.
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
from pods_jax.envs.description import Block, Drawing, Energy
from pods_jax.envs.environment import Environment, Functions, State
from pods_jax.envs.observation.noise import Noise, as_noise
from pods_jax.envs.observation.sensors import Sensor, as_sensor
from pods_jax.trajopt import LinearModel, flatten
from pods_jax.types import Key

ACTIONS = "actions"
"""Name of the block of the last actions, where there is a delay."""


@struct.dataclass
class Observed:
    """The parameters of an observed environment."""

    env: Environment  # that is observed
    noise: tuple[Noise | None, ...]  # of each sensor
    names: tuple[str, ...] = struct.field(pytree_node=False)
    sensors: tuple[Sensor, ...] = struct.field(pytree_node=False)
    history: int = struct.field(pytree_node=False)  # H, readings of each sensor
    delay: int = struct.field(pytree_node=False)  # d, steps that a reading is late
    warm_up: int = struct.field(pytree_node=False)  # see `observed`

    @property
    def num_past(self) -> int:
        """How many earlier states an observation needs."""
        needs_more = any(noise is not None and noise.can_drop for noise in self.noise)
        return self.history - 1 + self.delay + needs_more


@struct.dataclass
class ObservedState:
    """The state of the environment that is observed, and what observations need of the past."""

    inner: State
    past: jax.Array  # (num_past, n) the states before it as vectors, newest first
    actions: jax.Array  # (d, A) the last actions, newest first
    key: Key  # of the noise of this episode
    time: jax.Array  # () int32, number of the reading of `inner`


def observed(
    env: Environment,
    sensors: Mapping[str, Sensor | Callable[[State], jax.Array]],
    *,
    history: int = 1,
    delay: int = 0,
    noise: Mapping[str, float | Noise] | None = None,
    warm_up: int = 0,
) -> Environment:
    """An environment of which a policy sees what sensors read; see the module.

    sensors: by name, those of `pods_jax.sensors` or functions of the simulator's state that return arrays. history:
    number H of readings of each, the newest first. delay: steps d that readings are late; the actions since are
    observed too. noise: of some sensors by name, a standard deviation in the unit of the sensor or a `sensors.noise`.
    warm_up: 0, and at the start of an episode the past is the initial state, all the time; otherwise the action zero
    is taken before it, for as many steps as observations need and a random number more, at most so many, so that
    the past says how the system moves, and the time since it started is not known. Raises InputError on an unknown
    sensor or block, with the closest name, and on values that are not allowed.
    """
    checks.instance("env", env, Environment, "envs.make(...)")
    if not isinstance(sensors, Mapping) or not sensors or not all(isinstance(name, str) for name in sensors):
        raise InputError("sensors", sensors, 'must name at least one sensor: {"position": sensors.positions()}')
    if ACTIONS in sensors:
        raise InputError(f"sensors[{ACTIONS!r}]: is the name of the last actions, choose another one")
    found = {name: as_sensor(name, given, env) for name, given in sensors.items()}
    for sensor in found.values():
        sensor.describe(env)
    parameters = Observed(
        env=env,
        noise=_noises(found, {} if noise is None else noise),
        names=tuple(found),
        sensors=tuple(found.values()),
        history=checks.integer("history", history, at_least=1, at_most=env.horizon),
        delay=checks.integer("delay", delay, at_least=0, at_most=env.horizon - 1),
        warm_up=checks.integer("warm_up", warm_up, at_least=0),
    )
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


def split(env: Environment, observation: jax.Array) -> dict[str, jax.Array]:
    """The parts of observations (..., O) by name, (..., *shape) with the shapes of `Environment.observation_layout`.

    Readings of an observed environment are (..., H, *shape of one), newest first. Raises InputError on another size.
    """
    checks.instance("env", env, Environment, "envs.make(...)")
    observation = checks.reals("observation", observation, None, env.action_limit.dtype)
    layout = env.observation_layout
    size = sum(block.size for block in layout)
    if observation.shape[-1:] != (size,):
        raise InputError(f"observation has shape {observation.shape}: must have {size} numbers in its last axis")
    ends = np.cumsum([block.size for block in layout])
    return {
        block.name: observation[..., end - block.size : end].reshape(*observation.shape[:-1], *block.shape)
        for block, end in zip(layout, ends, strict=True)
    }


def _noises(sensors: Mapping[str, Sensor], given: Any) -> tuple[Noise | None, ...]:
    if not isinstance(given, Mapping):
        raise InputError("noise", given, "must be a mapping from names of sensors to noise")
    for name in given:
        checks.choice("noise", name, tuple(sensors))
    return tuple(as_noise(name, given[name]) if name in given else None for name in sensors)


def _functions(inner: Functions) -> Functions:
    """What an observed environment does, as far as the one that is observed does it."""
    return dataclasses.replace(
        FUNCTIONS,
        reward=reward if inner.reward is not None else None,
        energy=energy if inner.energy is not None else None,
        draw=draw if inner.draw is not None else None,
    )


def reset(parameters: Observed, key: Key) -> ObservedState:
    """A state of the environment, what came before it, and a key for its noise."""
    env, num_past = parameters.env, parameters.num_past
    key_inner, key_noise, key_steps = jax.random.split(key, 3)
    inner = env.reset(key_inner)
    vector, _ = flatten(inner)
    past = jnp.broadcast_to(vector, (num_past, vector.size))
    still = jnp.zeros_like(env.action_limit)
    if parameters.warm_up:

        def advance(_: Any, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, past = carry
            return env.step(state, still), _pushed(past, flatten(state)[0])

        more = jax.random.randint(key_steps, (), 0, parameters.warm_up + 1)
        inner, past = jax.lax.fori_loop(0, num_past + more, advance, (inner, past))
    actions = jnp.zeros((parameters.delay, env.action_size), still.dtype)
    return ObservedState(inner, past, actions, key_noise, jnp.asarray(num_past, jnp.int32))


def _pushed(past: jax.Array, newest: jax.Array) -> jax.Array:
    """The rows with another one before them, and without the last."""
    return jnp.concatenate([newest[None], past])[: past.shape[0]]


def step(parameters: Observed, state: ObservedState, action: jax.Array) -> ObservedState:
    """One step of the environment that is observed."""
    return ObservedState(
        inner=parameters.env.step(state.inner, action),
        past=_pushed(state.past, flatten(state.inner)[0]),
        actions=_pushed(state.actions, action),
        key=state.key,
        time=state.time + 1,
    )


def observe(parameters: Observed, state: ObservedState) -> jax.Array:
    """(O,) the readings of each sensor, newest first, and the last actions."""
    env, history, delay = parameters.env, parameters.history, parameters.delay
    newest, unflatten = flatten(state.inner)
    rows = jnp.concatenate([newest[None], state.past])
    times = state.time - delay - jnp.arange(history, dtype=jnp.int32)
    parts = []
    for index, (sensor, noise) in enumerate(zip(parameters.sensors, parameters.noise, strict=True)):
        count = history + (noise is not None and noise.can_drop)
        seen = jax.vmap(lambda row, sensor=sensor: sensor.read(env, unflatten(row)))(rows[delay : delay + count])
        if noise is not None:
            seen = noise.seen(seen, jax.random.fold_in(state.key, index), times)
        parts.append(jnp.ravel(seen).astype(newest.dtype))
    return jnp.concatenate([*parts, jnp.ravel(state.actions).astype(newest.dtype)])


def observation_layout(parameters: Observed) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    env = parameters.env
    state = jax.eval_shape(env.reset, jax.random.key(0))
    blocks = []
    for name, sensor in zip(parameters.names, parameters.sensors, strict=True):
        shape = (parameters.history, *jax.eval_shape(lambda state, read=sensor.read: read(env, state), state).shape)
        unit, meaning = sensor.describe(env)
        blocks.append(Block(name, unit, int(np.prod(shape)), f"{meaning}; newest first", shape))
    if parameters.delay:
        shape = (parameters.delay, env.action_size)
        blocks.append(Block(ACTIONS, env.action_unit, int(np.prod(shape)), "the last ones, newest first", shape))
    return blocks


def core(parameters: Observed, state: ObservedState) -> tuple[Environment, State]:
    """See `Environment.core`."""
    return parameters.env.core(state.inner)


def with_noise(parameters: Observed, state: ObservedState, key: Key) -> ObservedState:
    """The state with other noise in its readings."""
    key_inner, key_noise = jax.random.split(key)
    return dataclasses.replace(state, inner=parameters.env.with_noise(state.inner, key_inner), key=key_noise)


def residual(parameters: Observed, state: ObservedState, action: jax.Array) -> jax.Array:
    """That of the environment that is observed."""
    return parameters.env.residual(state.inner, action)


def reward(parameters: Observed, state: ObservedState, action: jax.Array) -> jax.Array:
    """That of the environment that is observed."""
    return parameters.env.reward(state.inner, action)


def step_error(parameters: Observed, state: ObservedState, action: jax.Array, next_state: ObservedState) -> jax.Array:
    """That of the environment that is observed."""
    return parameters.env.step_error(state.inner, action, next_state.inner)


def measure(parameters: Observed, state: ObservedState) -> dict[str, jax.Array]:
    """What the environment that is observed measures."""
    return parameters.env.measure(state.inner)


def energy(parameters: Observed, state: ObservedState) -> Energy:
    """That of the environment that is observed."""
    return parameters.env.energy(state.inner)


def draw(parameters: Observed, state: ObservedState) -> Drawing:
    """What the environment that is observed draws."""
    return parameters.env.draw(state.inner)


def linearize(
    parameters: Observed, state: ObservedState, action: jax.Array, next_state: ObservedState
) -> "ShiftedModel":
    """The derivative of one step."""
    model = parameters.env.linearize(state.inner, action, next_state.inner)
    return ShiftedModel(model, flatten(state.inner)[0].size, parameters.num_past, parameters.delay)


@struct.dataclass
class ShiftedModel:
    """The derivative of one step of an observed environment; vectors are those of `ObservedState`, by `flatten`.

    That of the inner state is as it is without observation, what is past moves on, and the rest has none.
    """

    inner: LinearModel
    size: int = struct.field(pytree_node=False)  # n of the inner state
    num_past: int = struct.field(pytree_node=False)
    delay: int = struct.field(pytree_node=False)

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """See LinearModel."""
        n, num_actions = self.size, by_action.shape[0]
        pasts = by_state[: n * self.num_past]  # the state, and all but the oldest of the past
        actions = jnp.concatenate([by_action, by_state[n * (1 + self.num_past) :]])[: num_actions * self.delay]
        moved = jnp.concatenate([self.inner.product(by_state[:n], by_action), pasts, actions])
        return jnp.zeros_like(by_state).at[: moved.shape[0]].set(moved)

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See LinearModel."""
        n, num_past = self.size, self.size * (1 + self.num_past)
        by_inner, by_action = self.inner.transpose_product(by_next[:n])
        num_actions = by_action.shape[0]
        actions = by_next[num_past:][: num_actions * self.delay]
        by_state = jnp.zeros_like(by_next).at[:n].set(by_inner).at[: num_past - n].add(by_next[n:num_past])
        if self.delay:
            older = actions[num_actions:]
            by_state = by_state.at[num_past : num_past + older.shape[0]].set(older)
            by_action = by_action + actions[:num_actions]
        return by_state, by_action


FUNCTIONS = Functions(
    reset,
    step,
    observe,
    residual,
    step_error,
    measure,
    linearize=linearize,
    observation_layout=observation_layout,
    core=core,
    with_noise=with_noise,
)
