"""Polishing: the policy descends the mean cost of its own rollouts (Eq. 3), from where the regression has brought it.

Improved trajectories are optima of their own, each for one initial state. Where cables go slack or bodies meet, such
optima are many, most of them poor ones: nothing can be gained from a slack cable, to first order, by keeping it taut.
A regression can only average over them, and loses some of what they gain. The gradient of the *mean* cost by the
parameters has neither fault: a policy that is smooth meets slack and taut cables side by side, and what is gained is
gained by the policy itself. From an untrained policy it leads nowhere, through rollouts that diverge (BPTT, Fig. 3);
from one that improved trajectories have taught, it does.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from pods_jax import parallel
from pods_jax.algorithms.common import Actor, sample_states
from pods_jax.fitting import Learner, descend
from pods_jax.improvement import Improvement
from pods_jax.types import Key, Trajectory

LARGEST_NORM = 1.0
"""Of the gradient; a longer one is clipped."""


def polish(
    actor: Actor,
    optimizer: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    learner: Learner,
    key: Key,
    num_steps: int,
    num_rollouts: int,
) -> tuple[Learner, jax.Array]:
    """Takes `num_steps` gradient steps, each on `num_rollouts` new rollouts; the key is consumed.

    Returns the learner and the mean cost before each step (num_steps,). A gradient that is not finite
    changes nothing.
    """
    clip = optax.clip_by_global_norm(LARGEST_NORM)

    def advance(learner, key):
        starts = parallel.spread(sample_states(actor.env, key, num_rollouts))
        (loss, _), gradient = jax.value_and_grad(actor.loss, has_aux=True)(learner.params, starts)
        finite = jnp.isfinite(optax.tree.norm(gradient))
        clipped, _ = clip.update(gradient, clip.init(gradient))
        moved = descend(optimizer, learning_rate, learner, clipped)
        kept = dataclasses.replace(learner, num_steps=moved.num_steps)
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, kept), loss

    return jax.lax.scan(advance, learner, jax.random.split(key, num_steps))


def unimproved(visited: Trajectory) -> Improvement:
    """Trajectories, leaves (k, T, ...), as improvements by nothing, without feedback."""
    returns = jnp.sum(visited.reward, axis=1)
    nothing: Any = jnp.zeros_like(returns)
    return Improvement(
        actions=visited.action,
        state=visited.state,
        value=returns,
        value_before=returns,
        step_size=nothing,
        gains=(),  # type: ignore[arg-type]
        curvature=(),  # type: ignore[arg-type]
        slope=nothing,
        num_trials=jnp.zeros(returns.shape, jnp.int32),
        method="none",
    )
