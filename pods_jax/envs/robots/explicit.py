"""What all robots share: settings as arrays, random boxes, explicit integration."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from pods_jax import checks, linalg
from pods_jax.envs.environment import Environment, Functions
from pods_jax.settings import setting
from pods_jax.types import Key

State = TypeVar("State")
Parameters = TypeVar("Parameters")


@dataclass(frozen=True)
class RobotSettings:
    """How long an episode is, and how finely it is simulated."""

    horizon: int = setting(100, "time steps of an episode", unit="steps", at_least=1)
    time_step: float = setting(0.05, "time between two actions", unit="s", above=0.0)
    substeps: int = setting(10, "steps of the integrator in one time step", at_least=1)


def parameters_of(kind: type[Parameters], settings: RobotSettings, **others: Any) -> Parameters:
    """The parameters of a robot, a dataclass of arrays: what settings of the same names say, and `others` beside.

    substep [s] is the time step of the integrator, weights the square roots of those of the settings, since they are
    factors of residuals. Static fields and parameters of parts are taken as they are.
    """
    known = dataclasses.asdict(settings)
    known["substep"] = settings.time_step / settings.substeps
    module = linalg.module_of(known["weights"])
    known["weights"] = module.sqrt(module.asarray(known["weights"]))
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    values = {field.name: (known | others)[field.name] for field in fields}
    as_given = {field.name for field in fields if not field.metadata.get("pytree_node", True)}
    as_given |= {name for name, value in values.items() if dataclasses.is_dataclass(value)}
    return kind(**{name: value if name in as_given else jnp.asarray(value, float) for name, value in values.items()})


def make_robot(
    name: str,
    task: str,
    functions: Functions,
    settings: RobotSettings,
    parameters: Any,
    action_limit: Sequence[float],
    action_unit: str,
) -> Environment:
    """The Environment of a robot. Raises InputError for a task limit that is not above zero."""
    limit = checks.scalars("action_limit", action_limit, (len(action_limit),), above=0.0)
    return Environment(
        name=name,
        task=task,
        horizon=checks.integer("horizon", settings.horizon, at_least=1),
        time_step=checks.number("env.time_step", settings.time_step, above=0.0),
        functions=functions,
        parameters=parameters,
        action_limit=jnp.asarray(limit, float),
        action_unit=action_unit,
    )


def uniform(key: Key, half_width: jax.Array, size: int = 1) -> jax.Array:
    """(size,) uniform in the box [-half_width, half_width], for half_width () or (size,); the key is consumed."""
    return half_width * jax.random.uniform(key, (size,), half_width.dtype, -1.0, 1.0)


def repeat(advance: Callable[[State], State], state: State, count: int) -> State:
    """The state after `count` equal steps of the integrator."""
    return jax.lax.scan(lambda state, _: (advance(state), None), state, length=count)[0]


def runge_kutta(derivative: Callable[[State], State], state: State, time_step: jax.Array) -> State:
    """The state one step [s] of the classical Runge-Kutta method of order four later.

    derivative: the time derivative of a state, in the form of a state (Hairer, Norsett & Wanner 1993, II.1).
    """

    def ahead(slope: State, time: jax.Array) -> State:
        return jax.tree.map(lambda value, rate: value + time * rate, state, slope)

    first = derivative(state)
    second = derivative(ahead(first, time_step / 2))
    third = derivative(ahead(second, time_step / 2))
    fourth = derivative(ahead(third, time_step))
    mean = jax.tree.map(lambda a, b, c, d: (a + 2 * (b + c) + d) / 6, first, second, third, fourth)
    return ahead(mean, time_step)
