"""How a policy does where noise is stronger, or parameters are further off, than it was trained for.

    curves = robustness.curves(env, policy)
    visual.robustness.figure(curves)

One thing at a time is changed: the noise of one sensor, or the range of one parameter, from nothing to twice what the
environment has. All are measured from the same held-out states, as far as parameters do not change these.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.envs.observation.observed import Observed
from pods_jax.envs.observation.randomized import Randomized, check_ranges
from pods_jax.evaluation import evaluate, make_heldout_set
from pods_jax.rollouts import check_environment
from pods_jax.types import Policy

SCALES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""By what noise and ranges are multiplied."""


@dataclass(frozen=True)
class Curve:
    """What the policy does as one thing is scaled."""

    what: str  # such as "noise of position" or "range of mass"
    scale: tuple[float, ...]  # 1: as the environment has it
    return_mean: tuple[float, ...]
    optimality_gap: tuple[float, ...]  # to the best actions for each state, which know everything


def curves(
    env: Environment, policy: Policy, scales: Sequence[float] = SCALES, num_rollouts: int = 200, seed: int = 0
) -> list[Curve]:
    """One curve for each sensor with noise and for each random parameter of an environment.

    scales: by what noise, or a range around its middle, is multiplied; those that physics does not allow, such as a
    range that makes a mass negative, are left out. num_rollouts, seed: as for `evaluate`. Raises InputError for an
    environment with neither.
    """
    check_environment(env)
    wanted = [checks.number(f"scales[{i}]", scale, at_least=0.0) for i, scale in enumerate(scales)]
    changes = _changes(env)
    if not changes:
        raise InputError(
            f"{env.name} has neither noise nor random parameters: `envs.observed` and `envs.randomized` give it some"
        )
    nominal = make_heldout_set(env, num_rollouts, seed)
    found = []
    for what, (change, moves_states) in changes.items():
        rows = []
        for scale in wanted:
            try:
                changed = change(scale)
            except InputError:
                continue
            heldout = make_heldout_set(changed, num_rollouts, seed) if moves_states else nominal
            numbers = evaluate(changed, policy, num_rollouts, seed, heldout=heldout)
            rows.append((scale, numbers["return_mean"], numbers["optimality_gap"]))
        found.append(Curve(what, *(tuple(column) for column in zip(*rows, strict=True))))
    return found


Change = Callable[[float], Environment]


def _changes(env: Environment) -> dict[str, tuple[Change, bool]]:
    """What can be scaled, by its name: the environment for a scale, and whether its initial states are others."""
    if env.functions.core is None:
        return {}
    parameters = env.parameters

    def around(change: Change) -> Change:
        return lambda scale: _with(env, dataclasses.replace(parameters, env=change(scale)))

    found = {name: (around(change), moves) for name, (change, moves) in _changes(parameters.env).items()}
    if isinstance(parameters, Observed):
        for index, (name, noise) in enumerate(zip(parameters.names, parameters.noise, strict=True)):
            if noise is not None:
                found[f"noise of {name}"] = (partial(_with_noise, env, index), False)
    if isinstance(parameters, Randomized):
        for index, name in enumerate(parameters.names):
            found[f"range of {name}"] = (partial(_with_range, env, index), True)
    return found


def _with(env: Environment, parameters: object) -> Environment:
    changed: Environment = env.replace(parameters=parameters)  # type: ignore[attr-defined]
    return changed


def _with_noise(env: Environment, index: int, scale: float) -> Environment:
    """The environment with so many times the noise of one sensor; no more readings than all are dropped."""
    noises = list(env.parameters.noise)
    noise = noises[index]
    noises[index] = dataclasses.replace(
        noise,
        deviation=scale * noise.deviation,
        bias=scale * noise.bias,
        dropped=jnp.minimum(scale * noise.dropped, 1.0),
    )
    return _with(env, dataclasses.replace(env.parameters, noise=tuple(noises)))


def _with_range(env: Environment, index: int, scale: float) -> Environment:
    """The environment with so many times the range of one parameter, around the same middle."""
    given: Randomized = env.parameters
    middle, half = (given.high + given.low) / 2, (given.high - given.low) / 2
    half = half.at[index].multiply(scale)
    changed = dataclasses.replace(given, low=middle - half, high=middle + half)
    check_ranges(changed)
    return _with(env, changed)
