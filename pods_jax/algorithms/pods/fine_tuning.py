"""Polishing: the policy descends the mean cost of its own rollouts (Eq. 3), from where the regression has brought it.

Improved trajectories are local optima, each for one initial state, and a regression on them is an average. Where
cables go slack this ends badly: to first order nothing is gained by keeping a slack cable taut. On payload_2d /
stop_at_origin a quarter of the cables are slack in the swings that PODS learns, a seventh in those of PPO, and the
optima near PPO's actions are better by 3 %. Fifty gradient steps of the *mean* cost by the parameters then gain what
further improvements do not. From first weights the same steps often fail: BPTT ends at -131 to -437 on that task,
where PODS ends at -33.1, and polished at -31.4.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from pods_jax.devices import sharding
from pods_jax.policies.policy_model import PolicyModel, sample_states
from pods_jax.policies.regression import Learner, gradient_step
from pods_jax.types import Key

LARGEST_NORM = 1.0
"""Of the gradient; a longer one is clipped."""


def fine_tune(
    actor: PolicyModel,
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
        starts = sharding.constrain_sharded(sample_states(actor.env, key, num_rollouts))
        (loss, _), gradient = jax.value_and_grad(actor.loss, has_aux=True)(learner.params, starts)
        finite = jnp.isfinite(optax.tree.norm(gradient))
        clipped, _ = clip.update(gradient, clip.init(gradient))
        moved = gradient_step(optimizer, learning_rate, learner, clipped)
        kept = dataclasses.replace(learner, num_steps=moved.num_steps)
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, kept), loss

    return jax.lax.scan(advance, learner, jax.random.split(key, num_steps))
