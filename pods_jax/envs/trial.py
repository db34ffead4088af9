"""What an environment is tried on before anything is trained with it: a few whole rollouts, and their derivatives.

Derivatives that cannot be used must be named before a training, not read as optima after it. One unlucky state says
little, so that what is not finite is refused where all tries of a kind meet it: random actions from random states,
the action zero, from which searches start, from random states and from the goal. What only some meet is counted
while training, see `Improvement.nonfinite_derivatives`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment, State
from pods_jax.trajopt import flatten, is_floating
from pods_jax.types import Key

NUM_RANDOM, NUM_STILL = 4, 4
"""How many tries there are with random actions, and with the action zero."""

WILD_STEPS, CALM = 3, 0.1
"""A step is tried under actions of the full range for so many steps, and then of this share of it, since a whole
episode of the former says little of what a policy does."""

EDGE = 0.999
"""Of the limits: the largest action that is tried, so that what begins just before a limit is seen."""

QUICKLY = {"xla_backend_optimization_level": 0}
"""How the program is compiled: it runs once, and simulators of others are long."""

STEP_CURE = "look for a square root or a norm at zero, or for a time step that is too long"
OBJECTIVE_CURE = (
    "look for a square root, a norm or a quotient at zero, and give it a derivative there, as "
    "jnp.sqrt(jnp.sum(x**2) + 1e-6) has, or leave the square root away"
)
CURES = {
    **dict.fromkeys(("state", "the derivative of state"), STEP_CURE),
    **dict.fromkeys(("residual", "the derivative of residual"), OBJECTIVE_CURE),
    **dict.fromkeys(("reward", "the gradient of reward", "the Hessian of reward"), OBJECTIVE_CURE),
}
"""What is looked at, causes first, and what to do where it is not finite."""


def check_derivatives(env: Environment) -> None:
    """Differentiates whole rollouts in random directions, with their objective; raises InputError where that fails.

    It fails where a number is not finite in all tries of a kind, and where no action has an effect in any.
    """
    _check_traceable(env)
    if isinstance(jnp.zeros(()) + 1, jax.core.Tracer):
        return  # made inside of a function that is being compiled, where nothing can be run yet
    found = _try_rollouts(env, jax.random.key(1))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(found)):
        return  # made inside of a function that is being differentiated or batched, of numbers that nobody knows yet
    kinds = {
        "a random state": slice(0, NUM_RANDOM),
        "a random state under the action zero": slice(NUM_RANDOM, NUM_RANDOM + NUM_STILL),
    }
    if env.goal is not None:
        kinds["the goal under the action zero"] = slice(-1, None)
    for start, tries in kinds.items():
        _check_finite(env, jax.tree.map(lambda leaf, tries=tries: leaf[tries], found), start)
    if not any(np.any(leaf) for leaf in jax.tree.leaves(found["the derivative of state"])):
        raise InputError(
            f"the derivative of step by the action is zero in all of {env.horizon} steps from several states, "
            "with actions over all of their range, so that nothing can be learned: look for a rounding, an integer, "
            "a stop_gradient or a contact that is not closed"
        )


def check_reward(env: Environment) -> None:
    """`check_derivatives`, where `Environment.with_reward` put a reward in the place of the own objective."""
    if env.functions.reward is not None:
        check_derivatives(env)


def check_reverse_mode(env: Environment, who: str) -> None:
    """Raises InputError, naming who asks, where a step has no derivative by reverse mode; only traces it."""

    def gradient(state: State, action: jax.Array) -> Any:
        vector, unflatten = flatten(state)
        return jax.grad(lambda *at: jnp.sum(flatten(env.step(unflatten(at[0]), at[1]))[0]), (0, 1))(vector, action)

    try:
        jax.eval_shape(gradient, jax.eval_shape(env.reset, jax.random.key(0)), env.action_limit)
    except InputError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:  # each library refuses in its own way
        raise InputError(
            f"{who} needs derivatives of a step by reverse mode, and the step of {env.name!r} has none "
            f"({str(error).splitlines()[0]}): use the algorithm pods, gps, ppo or sac, and to improve trajectories "
            'the method "riccati", "gauss_newton" or "conjugate_gradient"'
        ) from error


def check_reports(env: Environment) -> None:
    """Traces what an environment tells of a state; raises InputError where evaluations or pictures would fail."""
    state = jax.eval_shape(env.reset, jax.random.key(0))
    if env.functions.draw is not None:
        jax.eval_shape(env.draw, state)
    numbers = jax.eval_shape(env.measure, state)
    if not isinstance(numbers, dict) or not all(isinstance(name, str) for name in numbers):
        raise InputError(
            f"measure returns {jax.tree.map(np.shape, numbers)}: must return a dictionary of named numbers, such as "
            '{"distance": jnp.linalg.norm(state)}'
        )
    for name, number in numbers.items():
        if getattr(number, "shape", None) != () or jnp.issubdtype(number.dtype, jnp.complexfloating):
            found = jax.tree.map(lambda leaf: f"{leaf.dtype} of shape {leaf.shape}", number)
            raise InputError(f"measure returns {name!r} as {found}: must be one real number, of shape ()")


def _check_traceable(env: Environment) -> None:
    """Raises InputError, with the reason that JAX or another library gives, where there is no derivative at all."""
    state, action = jax.eval_shape(env.reset, jax.random.key(0)), env.action_limit

    def step(state: State) -> Any:
        vector, unflatten = flatten(state)
        at = (vector, action)
        return jax.jvp(lambda vector, action: flatten(env.step(unflatten(vector), action))[0], at, at)

    functions = {
        "step has no derivative by forward mode": step,
        "the objective has no derivative": lambda state: _objective(env, state, action, action),
    }
    for what, function in functions.items():
        try:
            jax.eval_shape(function, state)
        except InputError:
            raise
        except (TypeError, ValueError, NotImplementedError) as error:  # each library refuses in its own way
            raise InputError(f"{what}: {str(error).splitlines()[0]}") from error


def _check_finite(env: Environment, found: dict[str, Any], start: str) -> None:
    """Raises InputError for what is not finite in each of the tries of one kind, leaves (tries, T, ...)."""
    bad = []
    for what in (name for name in CURES if name in found):
        for path, leaf in tree_leaves_with_path(found[what]):
            finite = np.isfinite(np.asarray(leaf)).reshape(*leaf.shape[:2], -1).all(axis=2)
            if not finite.all(axis=1).any():
                bad.append((int(np.min(np.argmin(finite, axis=1))) + 1, what, what + keystr(path)))
    if bad:
        number, what, name = min(bad, key=lambda each: each[0])
        raise InputError(f"{name} is not finite after step {number} of {env.horizon} from {start}: {CURES[what]}")


@partial(jax.jit, compiler_options=QUICKLY)
def _try_rollouts(env: Environment, key: Key) -> dict[str, Any]:
    """Rollouts and how they change with the actions, by what it is, leaves (tries, T, ...), in one program."""
    key_reset, key_actions, key_tangents = jax.random.split(key, 3)
    starts = jax.vmap(env.reset)(jax.random.split(key_reset, NUM_RANDOM + NUM_STILL))
    actions = jnp.concatenate([_actions(env, key_actions), jnp.zeros((NUM_STILL, env.horizon, env.action_size))])
    if env.goal is not None:
        starts = jax.tree.map(lambda leaf, goal: jnp.concatenate([leaf, goal[None]]), starts, env.goal)
        actions = jnp.concatenate([actions, jnp.zeros_like(actions[:1])])
    keys = jax.random.split(key_tangents, actions.shape[0])
    inputs = (starts, actions.astype(env.action_limit.dtype), keys)
    return jax.lax.map(lambda one: _try_rollout(env, *one), inputs)  # one at a time compiles sooner than a batch


def _actions(env: Environment, key: Key) -> jax.Array:
    """(NUM_RANDOM, T, A) random actions; the first lie evenly over the range of each component, from end to end."""
    key_order, key_calm = jax.random.split(key)
    limit, size = env.action_limit, env.action_size
    calm = CALM * jax.random.uniform(key_calm, (NUM_RANDOM, env.horizon, size), limit.dtype, -1.0, 1.0)
    ends, shares = np.linspace(-EDGE, EDGE, NUM_RANDOM), 1 - np.arange(WILD_STEPS) / WILD_STEPS
    grid = jnp.asarray(ends[:, None] * shares[None], limit.dtype)
    orders = jax.random.split(key_order, size)
    wild = jax.vmap(lambda key: jax.random.permutation(key, grid), out_axes=2)(orders)[:, : env.horizon]
    return limit[None, None] * calm.at[:, :WILD_STEPS].set(wild)


def _try_rollout(env: Environment, start: State, actions: jax.Array, key: Key) -> dict[str, Any]:
    """What one rollout leads to, and its derivatives in random directions, leaves (T, ...).

    The change of a state is scaled down to length one wherever it is longer before it goes into the next step: what
    is looked at are derivatives of single steps, not their product, which may be large in any unstable system.
    """
    changes = env.action_limit[None] * jax.random.uniform(key, actions.shape, actions.dtype, -1.0, 1.0)

    def advance(carry: tuple[State, jax.Array], given: tuple[jax.Array, jax.Array]) -> Any:
        (state, before), (action, change) = carry, given
        vector, unflatten = flatten(state)

        def step(vector: jax.Array, action: jax.Array) -> tuple[jax.Array, State]:
            after = env.step(unflatten(vector), action)
            return flatten(after)[0], after

        _, changed, after = jax.jvp(step, (vector, action), (before, change), has_aux=True)
        found = {"state": _floating(after), "the derivative of state": _floating(unflatten(changed))}
        found |= _objective(env, after, action, change)
        return (after, changed / jnp.max(jnp.abs(changed), initial=1.0)), found

    still = jnp.zeros_like(flatten(start)[0])
    found: dict[str, Any] = jax.lax.scan(advance, (start, still), (actions, changes))[1]
    return found


def _floating(state: State) -> State:
    """The state without what carries no derivative."""
    return jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, state)


def _objective(env: Environment, state: State, action: jax.Array, change: jax.Array) -> dict[str, Any]:
    """The objective of arriving in a state by an action, and what second-order methods differentiate of it."""
    vector, unflatten = flatten(state)
    at, along = (vector, action), (jnp.ones_like(vector), change)
    if env.functions.reward is None:
        value, changed = jax.jvp(lambda vector, action: env.residual(unflatten(vector), action), at, along)
        return {"residual": value, "the derivative of residual": changed}
    gradient = jax.grad(lambda vector, action: env.reward(unflatten(vector), action), argnums=(0, 1))
    slope, changed = jax.jvp(gradient, at, along)
    return {"reward": env.reward(state, action), "the gradient of reward": slope, "the Hessian of reward": changed}
