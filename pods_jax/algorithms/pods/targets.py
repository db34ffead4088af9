"""What the policy is asked to imitate: the two regressions of PODS.

On the "improved" states, Algorithm 1 as printed: pi(s) -> a-bar_t on the states s(a-bar) of the improved rollouts.

On the "visited" states s_t, those of the *policy*, the target is what local feedback around the
improved trajectory would do there, and an error costs what the action Hessian says,

    target_t = clip(a-bar_t + K_t (s_t - s-bar_t)),    weight_t = Q_aa,t = R + B' V_ss B.

Derivation. Let pi* be the local feedback policy, V* its cost-to-go, and Q*_t(s, a) = c(s', a) + V*_{t+1}(s'). For
any policy pi, the performance-difference lemma (Kakade & Langford 2002), undiscounted over T steps, reads

    C(pi) - C(pi*) = sum_t [ Q*_t(s_t, pi(s_t)) - V*_t(s_t) ],    s_t the states that *pi* visits:

insert V*_t(s_t) for each t and the sum telescopes. In the quadratic model V*_t(s) = min_a Q*_t(s, a) is attained at
pi*_t(s), so the gradient of Q* in a vanishes there and, to second order, with e_t = pi(s_t) - pi*_t(s_t),

    C(pi) - C(pi*) = sum_t 1/2 e_t' Q_aa,t e_t.

The weighted regression on visited states therefore *is* the loss of return. The same error measured on improved
states, or unweighted, is not: monotone improvement of trajectories then need not reach the policy. A share of
improved states is mixed in, because that is where the policy is about to go.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from pods_jax import checks, linalg
from pods_jax.envs.environment import Environment, State
from pods_jax.policies.regression import Samples
from pods_jax.rollouts import core_trajectory, flatten_states, observations, step_starts
from pods_jax.types import LocalFeedback, Trajectory

STATES = ("visited", "improved")

IMPROVED_SHARE = 0.5
"""Of the weight of PODS' regression, what goes to the improved states."""


def regression_targets(
    env: Environment,
    initial_state: State,
    visited: Trajectory,
    feedback: LocalFeedback,
    states: str,
    improved_share: float | jax.Array = IMPROVED_SHARE,
) -> Samples:
    """The samples of one rollout: T on the "improved" states, 2 T on the "visited" states and these.

    visited: what the policy did from `initial_state`. feedback: the improved trajectory and how to react near it, in
    states of `Environment.core`.
    states: on which the policy is to imitate it. improved_share: in [0, 1], what share of the weight goes to the
    improved states, beside the visited ones. Raises InputError on other words for `states`.
    """
    checks.choice("states", states, STATES)
    identity = jnp.eye(env.action_size, dtype=feedback.actions.dtype)
    imitate = Samples(
        observation=observations(env, initial_state, feedback.actions, feedback.states),
        target=feedback.actions,
        weight=jnp.broadcast_to(identity, feedback.action_hessian.shape),
    )
    if states == "improved":
        return imitate
    react = reaction_targets(env, initial_state, visited, feedback)
    shares = 2 * (1 - improved_share), 2 * improved_share
    react, imitate = (
        dataclasses.replace(samples, weight=share * feedback.action_hessian)
        for samples, share in zip((react, imitate), shares, strict=True)
    )
    return jax.tree.map(lambda first, second: jnp.concatenate([first, second]), react, imitate)


def reaction_targets(
    env: Environment, initial_state: State, visited: Trajectory, feedback: LocalFeedback, reach: float = math.inf
) -> Samples:
    """The T samples of what local feedback would do in the states that a trajectory visits, weighted by its Hessian.

    reach: they weigh nothing from the first step on in which the feedback asks for more than so many times the action
    limit, since what it says there means nothing.
    """
    _, start, states = core_trajectory(env, initial_state, visited.state)
    starts, taught = (flatten_states(step_starts(start, states)) for states in (states, feedback.states))
    reaction = jnp.einsum("tan,tn->ta", feedback.gains, starts - taught, precision="highest")
    wanted, limit = feedback.actions + reaction, env.action_limit[None]
    weight = feedback.action_hessian
    if reach < math.inf:
        is_lost = jnp.cumsum(jnp.any(jnp.abs(wanted) > reach * limit, axis=1)) > 0
        weight = jnp.where(is_lost[:, None, None], 0.0, weight)
    return Samples(visited.observation, jnp.clip(wanted, -limit, limit), weight)


def is_healthy(
    env: Environment, initial_state: State, visited: Trajectory, feedback: LocalFeedback, value: jax.Array
) -> jax.Array:
    """() True if a rollout and its improvement, of return `value` (), are solved in every step and finite."""
    finite = linalg.is_finite((visited.reward, feedback.actions, value, feedback.gains, feedback.action_hessian))
    visited_solved = is_solved(env, initial_state, visited.action, visited.state)
    return finite & visited_solved & is_solved(*env.core(initial_state), feedback.actions, feedback.states)


def is_solved(env: Environment, initial_state: State, actions: jax.Array, states: State) -> jax.Array:
    """() True if every step of a trajectory, by actions (T, A) to states (T, ...), was solved."""
    errors = jax.vmap(env.step_error)(step_starts(initial_state, states), actions, states)
    return jnp.all(errors <= 1)  # False for NaN


def flatten_samples(samples: Samples, healthy: jax.Array) -> Samples:
    """All samples (k, T, ...) as one list; those of unhealthy rollouts weigh nothing, the others 1 on average."""

    def keep(leaf):
        mask = healthy.reshape(healthy.shape + (1,) * (leaf.ndim - 1))
        return jnp.where(mask, leaf, 0.0).reshape((-1, *leaf.shape[2:]))

    kept = jax.tree.map(keep, samples)
    share = jnp.mean(healthy.astype(kept.weight.dtype))
    mean_weight = jnp.mean(jnp.trace(kept.weight, axis1=-2, axis2=-1)) / kept.target.shape[-1]
    scale = share / jnp.maximum(mean_weight, jnp.finfo(mean_weight.dtype).tiny)
    return dataclasses.replace(kept, weight=kept.weight * scale)
