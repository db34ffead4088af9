"""Time-varying LQR with limits on the actions: one Gauss-Newton step in O(T), and local feedback.

Given ds_{t+1} = A ds_t + B da_t and a quadratic cost of arriving, c_t(ds_{t+1}, da_t), the cost to go
is v_t(ds) = p'ds + 1/2 ds'P ds with, at each step backwards, M = P_{t+1} + c_ss, m = p_{t+1} + c_s,

    Q_aa = c_aa + B'MB + c_as B + (c_as B)'      Q_as = (B'M + c_as) A      Q_ss = A'MA
    Q_a  = c_a + B'm                             Q_s  = A'm.

Where the states of the trajectory are a guess, ds_{t+1} = A ds_t + B da_t + f_t with the gap f_t, and m grows by
M f_t, c_a by c_as f_t.

The step k minimises 1/2 k'Q_aa k + Q_a'k within the limits; the gains K solve
Q_aa K = -Q_as on the actions that no limit holds and vanish on the others (Tassa, Mansard & Todorov, 2014).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import linalg
from pods_jax.trajopt.box_qp import DenseHessian, solve_box_qp
from pods_jax.trajopt.linearize import LinearModel
from pods_jax.trajopt.objective import Quadratic


@struct.dataclass
class Feedback:
    """A step of the actions and the reaction to deviations: da_t = step_t + gains_t ds_t."""

    step: jax.Array  # (T, A)
    gains: jax.Array  # (T, A, n)
    action_hessian: jax.Array  # (T, A, A), Q_aa
    slope: jax.Array  # () derivative of the cost along the step, at most 0 without gaps
    costate: jax.Array | None = (
        None  # (T, n) m, what a change of the state that a step leads to costs; only with gaps
    )


def solve_lqr(
    model: LinearModel,
    stages: Any,
    lower: jax.Array,
    upper: jax.Array,
    damping: float | jax.Array = 0.0,
    quadratize: Callable[[Any], Quadratic] = lambda cost: cost,
    gaps: jax.Array | None = None,
) -> Feedback:
    """The backward pass; leaves of `model` and `stages` have a leading T, lower and upper (T, A) bound the step.

    damping: () or (A,), added to the diagonal of Q_aa. quadratize: the cost of a time step, from what `stages` says
    of it. (n, n) numbers for each are better not kept. gaps: (T, n) of states that are a guess.
    """
    num_actions = lower.shape[1]
    damping_matrix = jnp.diag(jnp.broadcast_to(jnp.asarray(damping, lower.dtype), num_actions))

    def backward(carry, inputs):
        P, p = carry
        model, stage, lower, upper, gap = inputs
        cost = quadratize(stage)
        M, m = P + cost.ss, p + cost.s
        if gap is not None:
            m = m + M @ gap
            cost = dataclasses.replace(cost, a=cost.a + cost.as_ @ gap)
        Q_ss, Q_as, Q_aa, Q_s, Q_a = _backwards_through(model, cost, M, m)
        damped = DenseHessian(Q_aa + damping_matrix)
        solution = solve_box_qp(damped, Q_a, lower, upper)
        step = solution.x
        gains = -jax.vmap(damped.solve, in_axes=(1, None), out_axes=1)(Q_as, solution.free)
        P = Q_ss + linalg.product(gains.T, Q_aa @ gains + 2 * Q_as)  # its symmetric part is what counts
        p = Q_s + gains.T @ (Q_aa @ step + Q_a) + Q_as.T @ step
        return ((P + P.T) / 2, p), Feedback(step, gains, Q_aa, Q_a @ step, None if gap is None else m)

    gradient = jax.eval_shape(lambda stages: jax.vmap(quadratize)(stages).s, stages)
    size = gradient.shape[1]
    start = (jnp.zeros((size, size), gradient.dtype), jnp.zeros(size, gradient.dtype))
    feedback = jax.lax.scan(backward, start, (model, stages, lower, upper, gaps), reverse=True)[1]
    return feedback.replace(slope=jnp.sum(feedback.slope))


def _backwards_through(model: LinearModel, cost: Quadratic, M: jax.Array, m: jax.Array) -> tuple[jax.Array, ...]:
    """(Q_ss, Q_as, Q_aa, Q_s, Q_a) of one step from the cost to go (M, m) in its next state."""
    num_actions = cost.aa.shape[0]
    AM, BM = model.transpose_product(M)  # A'M and B'M, whose transposes are MA and MB
    Q_ss, _ = model.transpose_product(AM.T)
    by_state, by_action = model.transpose_product(jnp.concatenate([BM.T, cost.as_.T, m[:, None]], axis=1))
    AMB, coupling_s, Q_s = jnp.split(by_state, [num_actions, 2 * num_actions], axis=1)
    BMB, coupling_a, Bm = jnp.split(by_action, [num_actions, 2 * num_actions], axis=1)
    Q_aa = cost.aa + BMB + coupling_a + coupling_a.T
    return Q_ss, (AMB + coupling_s).T, Q_aa, Q_s[:, 0], cost.a + Bm[:, 0]
