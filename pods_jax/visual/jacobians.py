"""What an improvement is made of, written down whole, to be looked at; nothing is computed this way elsewhere."""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.envs import Environment
from pods_jax.envs.environment import State
from pods_jax.rollouts import flatten_states, replay


@struct.dataclass
class Jacobians:
    """Of T actions (A,) and the states (n,) that they lead to."""

    jacobian: jax.Array  # (T n, T A) of all states by all actions; zero where an action comes after a state
    gauss_newton: jax.Array  # (T A, T A) 2 J'J with the Jacobian J of the residuals: never indefinite
    hessian: jax.Array  # (T A, T A) of the cost, minus the return


@jax.jit
def jacobians(env: Environment, state: State, actions: jax.Array) -> Jacobians:
    """The Jacobian of a rollout (appendix A.4 of the paper) and the two Hessians of its cost, for actions (T, A).

    Raises InputError where the reward is not minus a squared residual.
    """
    size = actions.size
    shape = actions.shape

    def states(vector):
        return flatten_states(replay(env, state, vector.reshape(shape)).state).ravel()

    def residuals(vector):
        played = replay(env, state, vector.reshape(shape))
        weights = env.reward_weights(shape[0])
        return (jnp.sqrt(weights)[:, None] * jax.vmap(env.residual)(played.state, played.action)).ravel()

    def cost(vector):
        return -jnp.sum(replay(env, state, vector.reshape(shape)).reward)

    vector = actions.reshape(size)
    jacobian = jax.jacfwd(residuals)(vector)
    with jax.default_matmul_precision("highest"):
        # Twice forwards: forwards over backwards, the usual way, keeps no digit of long rollouts in single precision.
        hessian = jax.jacfwd(jax.jacfwd(cost))(vector)
        return Jacobians(jax.jacfwd(states)(vector), 2 * jacobian.T @ jacobian, hessian)
