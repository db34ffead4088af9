"""The Gauss-Newton Hessian of the cost by all actions: its products with vectors, without matrices, and itself.

Actions may be those of a policy that reacts to what they do, da_t = u_t + D_t ds_t; derivatives are then by the u_t.

A product with a step da of the actions takes one pass forwards and one backwards over the trajectory,

    ds_{t+1} = A_t ds_t + B_t da_t,     l_t = c_ss ds_{t+1} + c_sa da_t + A_{t+1}' l_{t+1} + D_{t+1}' (H u)_{t+1},
    (H u)_t = c_as ds_{t+1} + c_aa da_t + B_t' l_t,

and the gradient is what the way back makes of c_s and c_a. All actions of a trajectory are one vector (T A,).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pods_jax.trajopt.linearize import LinearModel
from pods_jax.trajopt.objective import Quadratic


def hessian_products(
    model: LinearModel, cost: Quadratic, damping: float | jax.Array = 0.0, gains: jax.Array | None = None
) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """The map from steps (T A, c) to H steps (T A, c), and the gradient (T A,); leaves of the models are (T, ...).

    gains: (T, A, n) how the actions react to the state in which a step begins, D; not at all if not given.
    """
    horizon, num_actions = cost.a.shape

    def back(by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """(T A, c) derivatives by actions from those by states (T, n, c) and directly by actions (T, A, c)."""

        def advance(later, inputs):
            model, gains, by_state, by_action = inputs
            before, through = model.transpose_product(by_state + later)
            by_action += through
            return before if gains is None else before + gains.T @ by_action, by_action

        inputs = (model, gains, by_state, by_action)
        found = jax.lax.scan(advance, jnp.zeros_like(by_state[0]), inputs, reverse=True)[1]
        return found.reshape(horizon * num_actions, -1)

    def product(steps: jax.Array) -> jax.Array:
        def advance(state, inputs):
            model, cost, gains, step = inputs
            step = step if gains is None else step + gains @ state
            state = model.product(state, step)
            return state, (cost.ss @ state + cost.as_.T @ step, cost.as_ @ state + cost.aa @ step)

        start = jnp.zeros((cost.s.shape[1], steps.shape[1]), steps.dtype)
        inputs = (model, cost, gains, steps.reshape(horizon, num_actions, -1))
        return back(*jax.lax.scan(advance, start, inputs)[1]) + damping * steps

    return product, back(cost.s[:, :, None], cost.a[:, :, None])[:, 0]


def dense_hessian(model: LinearModel, cost: Quadratic) -> tuple[jax.Array, jax.Array]:
    """The Hessian (T A, T A) and the gradient (T A,); leaves of the models are (T, ...).

    The sensitivities ds_t/da are carried forward from step to step (Eq. 5) and never stored all at once.
    """
    (horizon, num_actions), num_states = cost.a.shape, cost.s.shape[1]
    size = horizon * num_actions
    own_actions = jnp.eye(size, dtype=cost.a.dtype).reshape(horizon, num_actions, size)

    def advance(carry, inputs):
        by_actions, hessian, gradient = carry
        model, cost, own = inputs
        by_actions = model.product(by_actions, own)
        hessian += by_actions.T @ (cost.ss @ by_actions + cost.as_.T @ own)
        hessian += own.T @ (cost.as_ @ by_actions + cost.aa @ own)
        gradient += cost.s @ by_actions + cost.a @ own
        return (by_actions, hessian, gradient), None

    shapes = ((num_states, size), (size, size), (size,))
    start = tuple(jnp.zeros(shape, cost.a.dtype) for shape in shapes)
    _, hessian, gradient = jax.lax.scan(advance, start, (model, cost, own_actions))[0]
    return hessian, gradient
