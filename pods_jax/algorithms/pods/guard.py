"""A safety net in policy space: a fitted policy that lowers the return does not replace the old one.

Improved trajectories do not guarantee an improved policy (the fit may generalise badly), so the fitted policy is
compared with the old one on initial states that stay the same from epoch to epoch. If the return fell, the old
policy stays for another epoch while the learner goes on; if the return is not finite, the learner starts again from
the old policy. While polishing, where nothing else would lead it back, it does so if a tenth of the return is lost;
small losses are the noise of its steps, and restarts after these cost more than they save.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.policies.regression import Learner

LOST = 0.1
"""Of the return, relative to it: more than that is not the noise of gradient steps."""


@struct.dataclass
class Guarded:
    """The policy to go on with."""

    params: Any
    learner: Learner
    value: jax.Array  # () mean return of the policy on the guard batch; falls only where that is allowed
    acted: jax.Array  # () True if the old policy stayed


def guard(
    old: Any,
    old_value: jax.Array,
    fitted: Learner,
    value: jax.Array,
    fresh: Learner,
    *,
    allow_worse: bool = False,
    restart: jax.Array | bool = False,
) -> Guarded:
    """Takes the average policy of `fitted` if its mean return `value` is at least `old_value`, else keeps `old`.

    old: parameters. fresh: a learner that starts from them, for the case that the fitted one is not finite, or that
    `restart` is true and the policy has lost too much. allow_worse: takes every policy of finite return, as
    Algorithm 1 of the paper does.
    """
    good = jnp.isfinite(value) if allow_worse else value >= old_value  # False for NaN
    lost = value < old_value - LOST * jnp.abs(old_value)
    usable = jnp.isfinite(value) & (good | ~(restart & lost))
    return Guarded(
        params=jax.tree.map(lambda new, kept: jnp.where(good, new, kept), fitted.average, old),
        learner=jax.tree.map(lambda new, again: jnp.where(usable, new, again), fitted, fresh),
        value=jnp.where(good, value, old_value),
        acted=~good,
    )
