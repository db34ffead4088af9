"""Observed and randomised environments as settings: what configurations and command lines can say of them.

envs.make("pendulum_2d", randomized={"mass": 0.3}, observed={"sensors": ("position", "camera"), "history": 2})
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pods_jax import checks, settings
from pods_jax.checks import InputError
from pods_jax.envs import registry
from pods_jax.envs.environment import Environment
from pods_jax.envs.observation import sensors
from pods_jax.envs.observation.observed import observed as what_is_seen
from pods_jax.envs.observation.randomized import randomized as parameters_drawn
from pods_jax.settings import group, setting


@dataclass(frozen=True)
class CameraSettings:
    """The sensor "camera"; see `sensors.camera`."""

    size: int = setting(32, "pixels of a row and of a column", at_least=2)
    follow: str = setting("handle", "what stays in the middle", choices=("handle", "origin"))
    half_width: float = setting(0.0, "to each side; 0: 1.3 times what initial states need", unit="m", at_least=0.0)
    view: str = setting("front", "from where", choices=("front", "side", "top"))
    spot: float = setting(1.0, "standard deviation of a point", unit="pixels", above=0.0)


@dataclass(frozen=True)
class ObservedSettings:
    """What a policy sees; see `envs.observed`."""

    sensors: tuple[str, ...] = setting(
        (), 'parts of what the environment observes by itself, such as "position"; "camera", "factors"'
    )
    history: int = setting(1, "readings of each sensor, the newest first", at_least=1)
    delay: int = setting(0, "steps that readings are late", at_least=0)
    warm_up: int = setting(
        0, "at most so many steps more than needed, before an episode, without action; 0: none", at_least=0
    )
    noise: Any = setting(None, "standard deviation of readings, by the name of the sensor")
    camera: CameraSettings = group(CameraSettings, "the sensor camera")


def make(
    name: str,
    task: str | None = None,
    *,
    terminal_only: bool = False,
    randomized: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Environment:
    """The environment `name` with a task and overridden settings, e.g. `make("pendulum_2d", horizon=100)`.

    task: one of `tasks(name)`, the first of them if not given. terminal_only: whether only the reward of the last
    step counts. randomized: as `envs.randomized` takes it. observed: what `envs.observed` takes, sensors by name:
    `observed={"sensors": ("position", "camera"), "history": 2}`. Raises InputError for an unknown name, task or
    setting (with the closest valid one) and for a value that is not allowed. Physical parameters may be traced:
    `jax.vmap(lambda k: make("pendulum_2d", stiffness=k))`. Of those only shapes are checked.
    """
    env = registry.make(name, task, terminal_only=terminal_only, **changes)
    if randomized:
        env = parameters_drawn(env, checks.mapping("env.randomized", randomized))
    return _observed(env, checks.mapping("env.observed", observed)) if observed else env


def _observed(env: Environment, seen: Mapping[str, Any]) -> Environment:
    given = settings.changed(ObservedSettings(), dict(seen), "env.observed")
    names = [given.sensors] if isinstance(given.sensors, str) else given.sensors
    if not isinstance(names, tuple | list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError("env.observed.sensors", given.sensors, 'must be names, such as ("position", "handle")')
    found = {name: _sensor(name, given.camera) for name in names}
    return what_is_seen(
        env,
        found,
        history=given.history,
        delay=given.delay,
        noise=checks.mapping("env.observed.noise", given.noise or {}),
        warm_up=given.warm_up,
    )


def _sensor(name: str, camera: CameraSettings) -> sensors.Sensor:
    if name == "camera":
        return sensors.camera(**dataclasses.asdict(camera))
    return sensors.factors() if name == "factors" else sensors.part(name)
