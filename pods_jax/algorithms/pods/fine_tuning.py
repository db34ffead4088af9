"""Fine-tuning: the policy descends the mean cost of its own rollouts (Eq. 3), from where the regression left it.

Improved trajectories are local optima, each for one initial state, and a regression on them is an average. Where
cables go slack this ends badly: to first order nothing is gained by keeping a slack cable taut. Gradient steps of the
*mean* cost by the parameters then gain what further improvements do not; from first weights the same steps often
fail, as BPTT does. What was measured stands in `docs/architecture.md`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from pods_jax import trajopt
from pods_jax.devices import sharding
from pods_jax.envs.environment import Environment, State
from pods_jax.improvement import trajectory_problem
from pods_jax.policies.descent import if_finite, is_usable
from pods_jax.policies.policy_model import PolicyModel
from pods_jax.policies.regression import GradientSteps, Learner, gradient_step
from pods_jax.rollouts import rollout_batch, sample_states
from pods_jax.types import Key, Policy, Trajectory

MAX_GRADIENT_NORM = 1.0
"""A longer gradient is clipped to this norm."""


def descend_mean_cost(
    model: PolicyModel, learner: Learner, steps: GradientSteps, num_rollouts: int, key: Key
) -> tuple[Learner, jax.Array, jax.Array]:
    """Takes gradient steps of the mean cost, each on `num_rollouts` new rollouts; the key is consumed.

    Returns the learner, the mean cost before each step (num_steps,), and () how many gradients were not finite: these
    are ignored.
    """
    clip = optax.clip_by_global_norm(MAX_GRADIENT_NORM)

    def advance(learner, key):
        starts = sample_states(model.env, key, num_rollouts)
        loss, gradient = mean_cost_gradient(model, learner.params, starts)
        clipped, _ = clip.update(gradient, clip.init(gradient))
        moved = gradient_step(steps.optimizer, steps.learning_rate, learner, clipped)
        return if_finite(gradient, moved, learner), (loss, ~is_usable(gradient))

    learner, (losses, failed) = jax.lax.scan(advance, learner, jax.random.split(key, steps.num_steps))
    return learner, losses, jnp.sum(failed)


def mean_cost_gradient(model: PolicyModel, params: Any, starts: State) -> tuple[jax.Array, Any]:
    """() the mean cost of rollouts from initial states, leaves (k, ...), and its gradient by the parameters (Eq. 3).

    A shift of one action changes the cost as the way back through the linear models of the steps says, in which the
    policy reacts to what the shift did; the network then turns shifts of actions into those of parameters. No reverse
    mode goes through a step of the simulator: that takes half the time to run and to compile, and some have none.
    """
    visited = rollout_batch(model.env, model.policy(params), starts)

    def by_actions(shared, rollouts):
        env, params = shared
        return jax.vmap(partial(_cost_by_actions, env, model.policy(params)))(*rollouts)

    shifts = sharding.shard_map_rollouts(by_actions)((model.env, params), (starts, visited))
    num_rollouts = visited.reward.shape[0]
    gradient = jax.vjp(lambda params: model.apply(params, visited.observation), params)[1](shifts / num_rollouts)[0]
    return -jnp.sum(visited.reward) / num_rollouts, gradient


def _cost_by_actions(env: Environment, policy: Policy, start: State, visited: Trajectory) -> jax.Array:
    """(T, A) how a shift of each action that a policy takes changes the cost of the rest of its rollout."""
    problem, unravel = trajectory_problem(env, start, visited)
    gains = jax.vmap(jax.jacrev(lambda vector: policy(env.observe(unravel(vector)))))(problem.step_starts)
    with jax.default_matmul_precision("highest"):
        _, gradient = trajopt.hessian_products(*trajopt.models(problem), gains=gains)
    return gradient.reshape(visited.action.shape)
