"""Environments with gymnax's interface, `reset_env(key, params)` and `step_env(key, state, action, params)`.

Nothing of gymnax itself is needed. Its states may hold counters, flags and random keys too, which stay what they are.
Episodes have the length that is asked for; `done` is not looked at. A step that draws
random numbers draws the same ones each time.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.checks import InputError
from pods_jax.compat.carried import as_before, carried, from_carried
from pods_jax.envs import Drawing, Environment
from pods_jax.types import Key


def from_environment(
    env: Any,
    params: Any = None,
    *,
    horizon: int,
    residual: Callable[[Any, jax.Array], jax.Array] | None = None,
    reward: Callable[[Any, jax.Array], jax.Array] | None = None,
    measure: Callable[[Any], dict[str, jax.Array]] | None = None,
    draw: Callable[[Any], Drawing] | None = None,
    task: str = "own",
    action_unit: str = "",
) -> Environment:
    """An Environment whose state is {"physics": the state of gymnax, "observation", "reward"}.

    params: `env.default_params` if not given. residual, reward, measure, draw, action_unit: as for `envs.from_step`;
    with neither of the first two, the environment's own reward, which only "first_order" steps can climb without
    `damping`. An action is the deviation from the middle of the action space. Raises InputError if that is not a
    bounded box, and as `envs.from_step`.
    """
    for needed in ("reset_env", "step_env", "action_space"):
        if not callable(getattr(env, needed, None)):
            raise InputError("env", env, f"must have the interface of gymnax, and has no function {needed}")
    params = getattr(env, "default_params", None) if params is None else params
    space = env.action_space(params)
    low, high = (np.atleast_1d(np.asarray(getattr(space, name, np.nan), float)) for name in ("low", "high"))
    shape = tuple(getattr(space, "shape", ()))
    if not np.all(np.isfinite(high - low)):
        raise InputError(f"the action space is {type(space).__name__}: must be a box with finite low and high")
    low, high = (np.broadcast_to(bound, shape or (1,)).ravel() for bound in (low, high))
    middle = (low + high) / 2
    kinds = jax.eval_shape(lambda: env.reset_env(jax.random.key(0), params))[1]

    def reset(key: Key) -> Any:
        observation, state = env.reset_env(key, params)
        return carried(state, observation, 0.0)

    def step(state: Any, action: jax.Array) -> Any:
        before = as_before(state["physics"], kinds)
        control = (middle.astype(action.dtype) + action).reshape(shape)
        observation, after, gained, *_ = env.step_env(jax.random.key(0), before, control, params)
        return carried(as_before(after, kinds), observation, jnp.reshape(gained, ()))

    return from_carried(
        step,
        reset,
        residual=residual,
        reward=reward,
        measure=measure,
        draw=draw,
        action_limit=(high - low) / 2,
        horizon=horizon,
        name=str(getattr(env, "name", type(env).__name__)),
        task=task,
        action_unit=action_unit,
    )
