"""A safety net in policy space: a fitted policy is kept only as far as it does not lower the return.

Improved trajectories do not guarantee an improved policy (the fit may generalise badly), so the fitted
parameters are compared with the old ones on a fixed batch of initial states. If the return fell, the step
in parameter space is halved a few times, and finally not taken.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

MAX_HALVINGS = 3


@struct.dataclass
class Guarded:
    """The parameters to go on with."""

    params: Any
    value: jax.Array  # () mean return on the guard batch, never below the old one
    kept: jax.Array  # () share of the parameter step that was kept: 1 if the guard did not act, 0 if none


def guard(value_of: Callable[[Any], jax.Array], old: Any, fitted: Any, old_value: jax.Array) -> Guarded:
    """The first of old + {1, 1/2, 1/4, 1/8} (fitted - old) whose return is not below `old_value`, else old."""

    def unfinished(carry):
        best, trial = carry
        return (best.kept == 0) & (trial >= 0.5**MAX_HALVINGS)

    def halve(carry):
        best, share = carry
        params = jax.tree.map(lambda a, b: a + share * (b - a), old, fitted)
        trial = Guarded(params, value_of(params), share)
        good = trial.value >= old_value  # False for NaN
        return jax.tree.map(lambda new, kept: jnp.where(good, new, kept), trial, best), share / 2

    nothing = Guarded(old, old_value, jnp.zeros_like(old_value))
    return jax.lax.while_loop(unfinished, halve, (nothing, jnp.ones_like(old_value)))[0]
