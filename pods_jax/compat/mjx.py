"""MJX models as environments: the state is (qpos, qvel), and (act) where actuators have a state of their own.

    env = compat.from_mjx(mujoco.MjModel.from_xml_path("arm.xml"), horizon=100, residual=residual)

MJX differentiates its step by forward mode, contacts and limits included; whether that helps is another question. A
contact that is not closed has the derivative zero, one that closes changes it at once, and the solver's tolerance
adds noise: improvements then tend to be found near the trajectory only, or not at all. Joints, tendons, springs and
motors are smooth, and learned like our own systems.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.compat.carried import promoting
from pods_jax.envs import Drawing, Environment, from_step
from pods_jax.types import Key

try:
    import mujoco
    from mujoco import mjx
except ImportError as error:
    raise checks.missing("compat.from_mjx", "mujoco-mjx", "mjx") from error

State = dict[str, jax.Array]


def from_model(
    model: Any,
    *,
    horizon: int,
    residual: Callable[[State, jax.Array], jax.Array] | None = None,
    reward: Callable[[State, jax.Array], jax.Array] | None = None,
    observe: Callable[[State], jax.Array] | None = None,
    reset: Callable[[Key], State] | None = None,
    reset_noise: float = 0.1,
    measure: Callable[[State], dict[str, jax.Array]] | None = None,
    action_limit: ArrayLike | None = None,
    num_substeps: int = 1,
    name: str = "mjx",
    draw: Callable[[State], Drawing] | None = None,
    task: str = "own",
    action_unit: str = "",
) -> Environment:
    """An Environment of a `mujoco.MjModel`; its state is {"qpos", "qvel"}, and "act" if the model has activations.

    residual, reward, measure, draw, action_unit: as for `envs.from_step`. observe: all of the state, if not given.
    reset: if not given, qpos0 at rest, each number changed by up to `reset_noise`. action_limit: (A,) if not given,
    half of each control range; an action is the control's deviation from the middle of its range. num_substeps: steps
    of the simulation between two actions. Raises InputError where a limit is missing, and as `envs.from_step`.
    """
    if not isinstance(model, mujoco.MjModel):
        raise InputError(f"model is a {type(model).__name__}: must be a mujoco.MjModel")
    checks.integer("num_substeps", num_substeps, at_least=1)
    limit, middle = control_range(model, action_limit)
    program = mjx.put_model(model)
    data = mjx.make_data(program)
    names = ("qpos", "qvel", "act") if model.na else ("qpos", "qvel")
    dtype = data.qpos.dtype

    def step(state: State, action: jax.Array) -> State:
        start = data.replace(ctrl=(middle + action).astype(dtype), **state)
        end = jax.lax.scan(lambda data, _: (mjx.step(program, data), None), start, length=num_substeps)[0]
        return {name: getattr(end, name).astype(dtype) for name in names}

    def reset_near_rest(key: Key) -> State:
        rest = {name: jnp.asarray(getattr(data, name)) for name in names} | {"qpos": jnp.asarray(model.qpos0, dtype)}
        keys = jax.random.split(key, len(names))
        return {
            name: value + jax.random.uniform(each, value.shape, dtype, -reset_noise, reset_noise)
            for each, (name, value) in zip(keys, rest.items(), strict=True)
        }

    return from_step(
        promoting(step),
        reset or reset_near_rest,
        observe or (lambda state: jnp.concatenate([state[name] for name in names])),
        residual=residual,
        reward=reward,
        measure=measure,
        draw=draw,
        action_limit=limit,
        horizon=horizon,
        time_step=float(model.opt.timestep) * num_substeps,
        name=name,
        task=task,
        action_unit=action_unit,
    )


def control_range(model: Any, action_limit: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Half of the range of each control, or the given limits, and its middle; raises InputError if there is none."""
    low, high = np.asarray(model.actuator_ctrlrange, dtype=float).T
    limited = np.asarray(model.actuator_ctrllimited, dtype=bool)
    middle = np.where(limited, (low + high) / 2, 0.0)
    if action_limit is not None:
        return checks.array("action_limit", action_limit, (model.nu,), above=0.0), middle
    if not model.nu:
        raise InputError("the model has no actuator: there is nothing to learn")
    if not np.all(limited):
        raise InputError(f"actuator {np.argmin(limited)} has no ctrlrange: give action_limit ({model.nu},)")
    return (high - low) / 2, middle
