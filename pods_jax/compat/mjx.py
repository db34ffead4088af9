"""MJX models as environments: the state is (qpos, qvel), and (act) where actuators have a state of their own.

    env = compat.from_mjx(mujoco.MjModel.from_xml_path("arm.xml"), horizon=100, residual=residual)

MJX differentiates its step by forward mode, contacts and limits included; whether that helps is another question. A
contact that is not closed has the derivative zero, one that closes changes it at once, and the solver's tolerance
adds noise: improvements then tend to be found near the trajectory only, or not at all. Joints, tendons, springs and
motors are smooth, and learned like our own systems.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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

NUM_DRAWN, QUATERNION_TOLERANCE = 16, 1e-3
"""Initial states that are looked at, and by how much the length of a quaternion may differ from one."""

RANGE_TOLERANCE = 1e-6
"""Relative, of limits: by how much they may exceed a control range, through rounding."""


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
    of the simulation between two actions. Raises InputError where a limit is missing or beyond its control range, for
    what MJX cannot simulate, for a `reset` whose states are not those of the model, and as `envs.from_step`.
    """
    if not isinstance(model, mujoco.MjModel):
        raise InputError(f"model is a {type(model).__name__}: must be a mujoco.MjModel")
    num_substeps = checks.integer("num_substeps", num_substeps, at_least=1)
    reset_noise = checks.number("reset_noise", reset_noise, at_least=0.0)
    limit, middle = control_range(model, action_limit)
    with _named_features():
        program = mjx.put_model(model)
        data = mjx.make_data(program)
    names = ("qpos", "qvel", "act") if model.na else ("qpos", "qvel")
    dtype = data.qpos.dtype
    if reset is not None:
        check_reset(model, reset, {name: getattr(data, name) for name in names})

    @jax.jit  # traced once, for all that is asked of it
    def step(state: State, action: jax.Array) -> State:
        start = data.replace(ctrl=(middle + action).astype(dtype), **state)
        end = jax.lax.scan(lambda data, _: (mjx.step(program, data), None), start, length=num_substeps)[0]
        return {name: getattr(end, name).astype(dtype) for name in names}

    rest = {name: jnp.asarray(getattr(data, name)) for name in names} | {"qpos": jnp.asarray(model.qpos0, dtype)}
    with _named_features():
        return from_step(
            promoting(step),
            reset or partial(near, rest, reset_noise, quaternions(model)),
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


def near(rest: State, noise: float, unit: Sequence[int], key: Key) -> State:
    """The state with each number changed by up to `noise`; quaternions, which begin at `unit`, have length one."""
    keys = jax.random.split(key, len(rest))
    noisy = {
        name: value + jax.random.uniform(each, value.shape, value.dtype, -noise, noise)
        for each, (name, value) in zip(keys, rest.items(), strict=True)
    }
    for first in unit:
        quaternion = noisy["qpos"][first : first + 4]
        noisy["qpos"] = noisy["qpos"].at[first : first + 4].set(quaternion / jnp.linalg.norm(quaternion))
    return noisy


@contextmanager
def _named_features() -> Iterator[None]:
    """Turns what MJX has not implemented into an InputError."""
    try:
        yield
    except NotImplementedError as error:
        raise InputError(
            f"MJX cannot simulate this model ({str(error).strip()}): change the model, for example its integrator to "
            "Euler, its solver to Newton, or the shapes that touch"
        ) from error


def quaternions(model: Any) -> list[int]:
    """Where in qpos the quaternions of free and ball joints begin."""
    offsets = {int(mujoco.mjtJoint.mjJNT_FREE): 3, int(mujoco.mjtJoint.mjJNT_BALL): 0}
    kinds = zip(model.jnt_type, model.jnt_qposadr, strict=True)
    return [int(address) + offsets[int(kind)] for kind, address in kinds if int(kind) in offsets]


def check_reset(model: Any, reset: Callable[[Key], State], expected: State) -> None:
    """Raises InputError unless states have the form of `expected`, and quaternions of length one."""
    got = jax.eval_shape(reset, jax.random.key(0))
    shapes, allowed = (jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (got, expected))
    if shapes != allowed:
        raise InputError(f"reset returns arrays of the shapes {shapes}: must return {allowed}, as the model has them")
    drawn = np.asarray(jax.vmap(reset)(jax.random.split(jax.random.key(0), NUM_DRAWN))["qpos"], dtype=float)
    for first in quaternions(model):
        lengths = np.linalg.norm(drawn[:, first : first + 4], axis=1)
        if np.any(np.abs(lengths - 1) > QUATERNION_TOLERANCE):
            worst = lengths[np.argmax(np.abs(lengths - 1))]
            raise InputError(
                f"reset returns qpos[{first}:{first + 4}], a quaternion, of length {worst:.3g}: must have length 1; "
                "divide it by its norm"
            )


def control_range(model: Any, action_limit: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Half of the range of each control, or the given limits, and its middle; raises InputError if there is none."""
    low, high = np.asarray(model.actuator_ctrlrange, dtype=float).T
    limited = np.asarray(model.actuator_ctrllimited, dtype=bool)
    middle = np.where(limited, (low + high) / 2, 0.0)
    if action_limit is not None:
        limit = checks.array("action_limit", action_limit, (model.nu,), above=0.0)
        beyond = limited & (limit > (high - low) / 2 * (1 + RANGE_TOLERANCE))
        if np.any(beyond):
            index = int(np.argmax(beyond))
            raise InputError(
                f"action_limit[{index}]",
                float(limit[index]),
                f"must be at most {(high - low)[index] / 2:g}, half of the ctrlrange of actuator {index}, beyond "
                "which controls change nothing",
            )
        return limit, middle
    if not model.nu:
        raise InputError("the model has no actuator: there is nothing to learn")
    if not np.all(limited):
        raise InputError(f"actuator {np.argmin(limited)} has no ctrlrange: give action_limit ({model.nu},)")
    return (high - low) / 2, middle
