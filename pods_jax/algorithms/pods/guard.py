"""A safety net in policy space: a fitted policy that lowers the return does not replace the old one.

Improved trajectories do not guarantee an improved policy (the fit may generalise badly), so the fitted policy is
compared with the old one on initial states that stay the same from epoch to epoch. If the return fell, the old
policy stays for another epoch while the learner goes on; if the return is not finite, the learner starts again from
the old policy. In fine-tuning, where nothing else would lead it back, it does so if a tenth of the return is lost;
small losses are the noise of its steps, and restarts after these cost more than they save.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax.policies.regression import Learner, init_learner

RESTART_LOSS = 0.1
"""Of the return, relative to it: more than that is not the noise of gradient steps."""


@struct.dataclass
class Guarded:
    """The policy to go on with."""

    params: Any
    learner: Learner
    value: jax.Array  # () mean return of the policy on the guard's states; falls only where the guard is not strict
    acted: jax.Array  # () True if the old policy stayed


def guard(
    optimizer: optax.GradientTransformation,
    old: Any,
    old_value: jax.Array,
    fitted: Learner,
    value: jax.Array,
    strict: bool,
    restart: bool = False,
) -> Guarded:
    """The average policy of `fitted` if its mean return `value` is at least `old_value`, else the `old` parameters.

    strict: False takes every policy of finite return, as Algorithm 1 of the paper does. restart: whether the learner
    starts again from `old`, with a fresh optimizer, not only where `value` is not finite but also where too much is
    lost.
    """
    finite = jnp.isfinite(value)
    good = value >= old_value if strict else finite  # False for NaN
    lost = value < old_value - RESTART_LOSS * jnp.abs(old_value)
    usable = finite & (good | ~(restart & lost))
    fresh = init_learner(optimizer, old, fitted.num_steps)
    return Guarded(
        params=jax.tree.map(lambda new, kept: jnp.where(good, new, kept), fitted.average, old),
        learner=jax.tree.map(lambda new, again: jnp.where(usable, new, again), fitted, fresh),
        value=jnp.where(good, value, old_value),
        acted=~good,
    )
