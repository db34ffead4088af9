"""Fine-tuning: the policy descends the mean cost of its own rollouts (Eq. 3), from where the regression left it.

Improved trajectories are local optima, each for one initial state, and a regression on them is an average. Where
cables go slack this ends badly: to first order nothing is gained by keeping a slack cable taut. Gradient steps of the
*mean* cost by the parameters then gain what further improvements do not; from first weights the same steps often
fail, as BPTT does. What was measured stands in `docs/architecture.md`.
"""

import jax
import optax

from pods_jax.devices import sharding
from pods_jax.policies.descent import if_finite
from pods_jax.policies.policy_model import PolicyModel
from pods_jax.policies.regression import GradientSteps, Learner, gradient_step
from pods_jax.rollouts import sample_states
from pods_jax.types import Key

MAX_GRADIENT_NORM = 1.0
"""A longer gradient is clipped to this norm."""


def descend_mean_cost(
    model: PolicyModel, learner: Learner, steps: GradientSteps, num_rollouts: int, key: Key
) -> tuple[Learner, jax.Array]:
    """Takes gradient steps of the mean cost, each on `num_rollouts` new rollouts; the key is consumed.

    Returns the learner and the mean cost before each step (num_steps,). A gradient that is not finite is ignored.
    """
    clip = optax.clip_by_global_norm(MAX_GRADIENT_NORM)

    def advance(learner, key):
        starts = sharding.constrain_sharded(sample_states(model.env, key, num_rollouts))
        (loss, _), gradient = jax.value_and_grad(model.loss, has_aux=True)(learner.params, starts)
        clipped, _ = clip.update(gradient, clip.init(gradient))
        moved = gradient_step(steps.optimizer, steps.learning_rate, learner, clipped)
        return if_finite(gradient, moved, learner), loss

    return jax.lax.scan(advance, learner, jax.random.split(key, steps.num_steps))
