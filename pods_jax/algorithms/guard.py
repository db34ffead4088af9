"""A safety net in policy space: a fitted policy that lowers the return is not kept.

Improved trajectories do not guarantee an improved policy (the fit may generalise badly), so the fitted policy is
compared with the old one on a fixed batch of initial states. If the return fell, or is not finite, the learner
goes back to the old policy, with fresh moments of Adam: the old ones describe a path that was left.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.fitting import Learner


@struct.dataclass
class Guarded:
    """The learner to go on with."""

    learner: Learner
    value: jax.Array  # () mean return on the guard batch, never below the old one
    acted: jax.Array  # () True if the fitted policy was not kept


def guard(
    value_of: Callable[[Any], jax.Array], old: Learner, fitted: Learner, fresh_moments: Any, old_value: jax.Array
) -> Guarded:
    """Keeps `fitted` if the return of its average policy is at least `old_value`, else goes back to `old`."""
    value = value_of(fitted.average)
    good = value >= old_value  # False for NaN
    back = Learner(old.average, old.average, fresh_moments, fitted.num_steps)
    learner = jax.tree.map(lambda new, kept: jnp.where(good, new, kept), fitted, back)
    return Guarded(learner, jnp.where(good, value, old_value), ~good)
