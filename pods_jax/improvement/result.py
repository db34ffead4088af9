"""What an improvement returns."""

from typing import TypeAlias

import jax
from flax import struct

from pods_jax.envs.environment import State
from pods_jax.improvement.problem import Unravel
from pods_jax.trajopt import Direction, LineSearchResult
from pods_jax.types import LocalFeedback

Searched: TypeAlias = tuple[Direction, LineSearchResult]
"""A direction, and where the line search along it ended."""


@struct.dataclass
class Improvement:
    """Better actions, the trajectory they give, and how to react near it."""

    actions: jax.Array  # (T, A) in action units, within the limits
    state: State  # every leaf has a leading T: where the actions lead
    value: jax.Array  # () return of the actions, never below `value_before`
    value_before: jax.Array  # () return of the given actions
    step_size: jax.Array  # () accepted by the line search, 0 if it found nothing better
    gains: jax.Array  # (T, A, n) reaction to deviations of the flattened state; zero for directions without feedback
    action_hessian: jax.Array  # (T, A, A) how much an error of one action costs; identity for these
    slope: jax.Array  # () derivative of the cost along the direction, 0 at an optimum
    nonfinite_derivatives: jax.Array  # () bool, whether the last direction is not finite, so that nothing was tried
    num_trials: jax.Array  # () int32, trajectories that the line searches simulated
    method: str = struct.field(pytree_node=False)  # what was taken, also where "auto" chose it

    @property
    def feedback(self) -> LocalFeedback:
        """How to react near the better trajectory."""
        return LocalFeedback(self.actions, self.state, self.gains, self.action_hessian)


def improvement_of(found: Searched, unravel: Unravel, value_before: jax.Array, method: str) -> Improvement:
    """What came of the last direction; value_before: () return of the actions that were given."""
    direction, after = found
    return Improvement(
        actions=after.actions,
        state=jax.vmap(unravel)(after.states),
        value=-after.cost,
        value_before=value_before,
        step_size=after.step_size,
        gains=direction.gains,
        action_hessian=direction.action_hessian,
        slope=direction.slope,
        nonfinite_derivatives=~direction.is_finite,
        num_trials=after.num_trials,
        method=method,
    )
