"""The registry of environments: what `make` can be told."""

import dataclasses
from typing import Any

from pods_jax import checks
from pods_jax.envs import (
    acrobot,
    cartpole,
    cloth_3d,
    double_pendulum,
    double_pendulum_3d,
    hopper_slip,
    payload_2d,
    pendubot,
    pendulum_2d,
    pendulum_3d,
    quadrotor,
    quadrotor_payload,
    rope_3d,
)
from pods_jax.envs.environment import Environment
from pods_jax.settings import changed

_MODULES = {
    "pendulum_2d": pendulum_2d,
    "pendulum_3d": pendulum_3d,
    "double_pendulum_3d": double_pendulum_3d,
    "payload_2d": payload_2d,
    "rope_3d": rope_3d,
    "cloth_3d": cloth_3d,
    "cartpole": cartpole,
    "acrobot": acrobot,
    "pendubot": pendubot,
    "double_pendulum": double_pendulum,
    "quadrotor": quadrotor,
    "quadrotor_payload": quadrotor_payload,
    "hopper_slip": hopper_slip,
}


def names() -> tuple[str, ...]:
    """The names that `make` accepts."""
    return tuple(_MODULES)


def tasks(name: str) -> tuple[str, ...]:
    """The tasks that the environment `name` offers."""
    return _MODULES[checks.choice("env.name", name, _MODULES)].TASKS


def settings(name: str) -> dict[str, Any]:
    """The settings of the environment `name` that `make` can override, with their defaults."""
    return {"terminal_only": False, **dataclasses.asdict(settings_of(name))}


def settings_of(name: str) -> Any:
    """The settings of the environment `name` as the dataclass that describes them; see `pods_jax.settings`."""
    return _MODULES[checks.choice("env.name", name, _MODULES)].SETTINGS


def make(name: str, task: str | None = None, *, terminal_only: bool = False, **changes: Any) -> Environment:
    """The environment `name` with a task and overridden settings, e.g. `make("pendulum_2d", horizon=100)`.

    task: one of `tasks(name)`, the first of them if not given. terminal_only: whether only the reward of the last
    step counts. Raises InputError for an unknown name, task or setting (with the closest valid one) and for a value
    that is not allowed. Physical parameters may be traced: `jax.vmap(lambda k: make("pendulum_2d", stiffness=k))`. Of
    those only shapes are checked.
    """
    module = _MODULES[checks.choice("env.name", name, _MODULES)]
    task = tasks(name)[0] if task is None else checks.choice("env.task", task, tasks(name))
    env = module.make(task, changed(module.SETTINGS, changes, "env", traced=True))
    return env.replace(terminal_only=checks.boolean("env.terminal_only", terminal_only))
