"""Our environments for Gymnasium: one by one, or many at once in one compiled program.

    env = compat.to_gymnasium(pods_jax.envs.make("pendulum_2d"))
    envs = compat.to_gymnasium_vector(pods_jax.envs.make("pendulum_2d"), num_envs=1024)

Actions are in [-1, 1], relative to their limits, as Gymnasium recommends; the reward is that of the action itself.
Nothing ends an episode but its time limit, which is a truncation and never a termination. The first seed makes a key,
which every reset divides: one half for the initial state, the other for the next reset. So member i of a vector
seeded with s does what a single environment seeded with s + i does, through all its episodes.

JAX has threads, which a forked process has not: `AsyncVectorEnv` needs context="spawn".
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks
from pods_jax.envs.environment import Environment
from pods_jax.rollouts import check_environment
from pods_jax.types import Key
from pods_jax.visual import animation

try:
    import gymnasium
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise checks.missing("compat.gymnasium", "gymnasium", "gym") from error


MAX_SEED = 2**64 - 1

IMPORTED_BY = os.getpid()
"""The process that imported this module; one that is forked from it inherits the number."""


@struct.dataclass
class Episode:
    """Where an episode is."""

    state: Any  # of our environment
    num_steps: jax.Array  # () int32, taken since the reset
    key: Key  # of the next reset


@struct.dataclass
class Outcome:
    """What a step or a reset is answered with."""

    observation: jax.Array  # (O,)
    reward: jax.Array  # ()
    truncated: jax.Array  # () bool, whether the time is up


class GymnasiumEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One of our environments with Gymnasium's interface."""

    def __init__(self, env: Environment, render_mode: str | None = None) -> None:
        """render_mode: None, or "rgb_array" for pictures of the episode so far.

        Raises InputError on another one, and for pictures of an environment that cannot be drawn.
        """
        check_environment(env)
        if render_mode is not None:
            checks.choice("render_mode", render_mode, ("rgb_array",))
            env.drawing_function()  # refuses
        self.env, self.render_mode = env, render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": frames_per_second(env)}
        self.observation_space, self.action_space = spaces(env)
        self._episode: Episode | None = None
        self._states: list[Any] = []  # of the episode, kept for pictures only

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """A new episode; see the module for seeds. Raises InputError on options, of which there are none.

        So it does for a seed that is no whole number >= 0, and in a forked process.
        """
        check_process()
        _check_options(options)
        seed = None if seed is None else checks.integer("seed", seed, at_least=0, at_most=MAX_SEED)
        super().reset(seed=seed)
        before = self._episode if seed is None else None
        self._episode, outcome = begin(self.env, before.key if before else first_key(self.np_random))
        self._states = [self._episode.state] if self.render_mode else []
        return np.array(outcome.observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One time step under the action (A,), relative to the limits; what is beyond [-1, 1] counts as the limit.

        Raises InputError on another shape, and on NaN.
        """
        shape = (self.env.action_size,)
        self._episode, outcome = advance(self.env, self._current(), as_actions(self.env, "action", action, shape))
        if self.render_mode:
            self._states.append(self._episode.state)
        return np.array(outcome.observation), float(outcome.reward), False, bool(outcome.truncated), {}

    def render(self) -> np.ndarray | None:
        """(height, width, 3) bytes, or None without a render mode."""
        self._current()
        if self.render_mode is None:
            return None
        return animation.picture(self.env, jax.tree.map(lambda *leaves: jnp.stack(leaves), *self._states))

    def _current(self) -> Episode:
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset before step and render")
        return self._episode


class GymnasiumVectorEnvironment(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many copies of one of our environments with Gymnasium's interface, stepped by one compiled program.

    What comes after a truncation is a reset: that step ignores the action and returns the first observation of the
    next episode with the reward 0 (`AutoresetMode.NEXT_STEP`).
    """

    def __init__(self, env: Environment, num_envs: int) -> None:
        """num_envs: at least 1. Raises InputError otherwise."""
        check_environment(env)
        self.env, self.num_envs = env, checks.integer("num_envs", num_envs, at_least=1)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}
        self.single_observation_space, self.single_action_space = spaces(env)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._episodes: Episode | None = None

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        """New episodes everywhere. seed: s for s, s + 1, ..., or one for each copy. Raises InputError on options."""
        check_process()
        _check_options(options)
        seeds = self._seeds(seed)
        super().reset(seed=seeds[0] if seeds else None)
        if seeds is None and self._episodes is not None:
            keys = self._episodes.key
        else:
            keys = jnp.stack([first_key(generator) for generator in self._generators(seeds)])
        self._episodes, outcome = _begin_all(self.env, keys)
        return np.array(outcome.observation), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One time step of all copies under the actions (num_envs, A), relative to the limits.

        Raises InputError on another shape, and on NaN.
        """
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        given = as_actions(self.env, "actions", actions, (self.num_envs, self.env.action_size))
        self._episodes, outcome = _advance_all(self.env, self._episodes, given)
        never = np.zeros(self.num_envs, dtype=bool)
        return np.array(outcome.observation), np.array(outcome.reward), never, np.array(outcome.truncated), {}

    def _generators(self, seeds: list[int | None] | None) -> list[np.random.Generator]:
        if seeds is None:
            return [self.np_random] * self.num_envs
        return [seeding.np_random(one)[0] for one in seeds]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None] | None:
        """A seed for each copy, or none."""
        if seed is None:
            return None
        if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
            first = checks.integer("seed", seed, at_least=0, at_most=MAX_SEED)
            return [first + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise checks.InputError(f"seed has {len(seed)} entries: must be one number, or {self.num_envs} of them")
        return [
            None if one is None else checks.integer(f"seed[{index}]", one, at_least=0, at_most=MAX_SEED)
            for index, one in enumerate(seed)
        ]


def check_process() -> None:
    """Raises InputError in a process that was forked from one that used JAX, where a program would wait for ever."""
    if os.getpid() != IMPORTED_BY:
        raise checks.InputError(
            "this process was forked from one that used JAX, without its threads, and would wait for ever: "
            'start it anew, with gymnasium.vector.AsyncVectorEnv(..., context="spawn"), or use '
            "compat.to_gymnasium_vector, which needs no processes"
        )


def as_actions(env: Environment, name: str, actions: Any, shape: tuple[int, ...]) -> jax.Array:
    """Actions relative to their limits, of exactly this shape; raises InputError for others, and for NaN."""
    given = checks.reals(name, actions, shape, env.action_limit.dtype)
    if np.any(np.isnan(given)):
        raise checks.InputError(name, actions, "must be numbers between -1 and 1, which NaN is not")
    return given


def spaces(env: Environment) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Of observations, which nothing bounds, and of actions, relative to their limits."""
    dtype: Any = env.action_limit.dtype
    return (
        gymnasium.spaces.Box(-np.inf, np.inf, (env.observation_size,), dtype),
        gymnasium.spaces.Box(-1.0, 1.0, (env.action_size,), dtype),
    )


def frames_per_second(env: Environment) -> float:
    """Of pictures in real time: a whole number where the time step makes it one, never 0."""
    rate = 1 / env.time_step
    return round(rate) if abs(rate - round(rate)) < 1e-9 * rate else rate


def first_key(generator: np.random.Generator) -> Key:
    """The key of the first episode after seeding."""
    return jax.random.key(generator.integers(2**32, dtype=np.uint32))


@jax.jit
def begin(env: Environment, key: Key) -> tuple[Episode, Outcome]:
    """An episode before its first step; the key is consumed."""
    own, following = jax.random.split(key)
    state = env.reset(own)
    reward = jnp.zeros((), env.action_limit.dtype)
    outcome = Outcome(env.observe(state), reward, jnp.asarray(False))
    return Episode(state, jnp.zeros((), jnp.int32), following), outcome


@jax.jit
def advance(env: Environment, episode: Episode, action: jax.Array) -> tuple[Episode, Outcome]:
    """One step under the action (A,), relative to the limits."""
    absolute = env.action_limit * jnp.clip(action, -1.0, 1.0).astype(env.action_limit.dtype)
    state, count = env.step(episode.state, absolute), episode.num_steps + 1
    truncated = count >= env.horizon
    reward = env.reward(state, absolute)
    if env.terminal_only:
        reward = jnp.where(truncated, reward, 0.0)
    return Episode(state, count, episode.key), Outcome(env.observe(state), reward, truncated)


@jax.jit
def _begin_all(env: Environment, keys: Key) -> tuple[Episode, Outcome]:
    return jax.vmap(begin, in_axes=(None, 0))(env, keys)


@jax.jit
def _advance_all(env: Environment, episodes: Episode, actions: jax.Array) -> tuple[Episode, Outcome]:
    def one(episode, action):
        over = episode.num_steps >= env.horizon
        choices = begin(env, episode.key), advance(env, episode, action)
        return jax.tree.map(lambda begun, advanced: jnp.where(over, begun, advanced), *choices)

    return jax.vmap(one)(episodes, actions)


def _check_options(options: dict[str, Any] | None) -> None:
    if options is not None and not (isinstance(options, Mapping) and not options):
        raise checks.InputError(f"options = {options!r}: must be empty, a reset has no options")
