"""Any pure, differentiable JAX step function as an Environment.

    env = from_step(step, reset, observe, residual=residual, action_limit=[1.0], horizon=50)

Derivatives are those of the step itself, by forward mode. What PODS cannot do without is tried once, before anything
is trained: that the functions are pure, that the step returns what it was given, that step and objective can be
differentiated, through whole episodes from several states, and that actions have an effect; see `trial`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import trial
from pods_jax.envs.description import Block, Drawing, Energy
from pods_jax.envs.environment import Environment, Functions, State, finite_step_error
from pods_jax.trajopt import is_floating
from pods_jax.types import Key


def from_step(
    step: Callable[[State, jax.Array], State],
    reset: Callable[[Key], State],
    observe: Callable[[State], jax.Array],
    *,
    residual: Callable[[State, jax.Array], jax.Array] | None = None,
    reward: Callable[[State, jax.Array], jax.Array] | None = None,
    measure: Callable[[State], dict[str, jax.Array]] | None = None,
    energy: Callable[[State], Energy] | None = None,
    draw: Callable[[State], Drawing] | None = None,
    observation_layout: Sequence[Block] = (),
    goal: State | None = None,
    action_limit: ArrayLike,
    action_unit: str = "",
    horizon: int,
    time_step: float = 1.0,
    name: str = "own",
    task: str = "own",
) -> Environment:
    """An Environment of functions of one state, a pytree of real numbers of one type.

    What carries no derivative, such as counters, flags and random keys, may be in it too and is carried untouched.

    step: (state, action (A,)) -> the state one time step later, of the same shapes. reset: a random initial state
    from a key. observe: (O,) what the policy sees. residual: (R,) of arriving in a state by an action, the reward
    being -|residual|^2; with it second-order steps take the Gauss-Newton model. reward: () instead of the residual,
    twice differentiable, see `Environment.with_reward`. measure: numbers of the last state that `evaluate` reports.
    energy: of a state, for the doctor. draw: what pictures show of a state, by `envs.make_drawing`.
    observation_layout: what the components of an observation are, for policy files. goal: the state to reach and to
    hold with the action zero, see `Environment.goal`; give it where the system is unstable there. action_limit: (A,)
    |action| <= action_limit. action_unit: of actions and their limits, such as "N m". time_step [s]: between two
    actions. Raises InputError that names what is wrong, down to the leaf of the state: a function that is not pure,
    other shapes or types than it should return, a derivative that is missing or not finite, actions without effect.
    """
    if (residual is None) == (reward is None):
        raise InputError("give either residual, for the reward -|residual|^2, or reward")
    _check_functions(step=step, reset=reset, observe=observe)
    optional = {"residual": residual, "reward": reward, "measure": measure, "energy": energy, "draw": draw}
    _check_functions(**{field: function for field, function in optional.items() if function is not None})
    limit = checks.array("action_limit", action_limit, (max(np.size(action_limit), 1),), above=0.0)
    state, observation = _check_shapes(step, reset, observe, residual, limit.shape)
    check_layout(observation_layout, observation.size)
    goal = None if goal is None else goal_like(goal, state)
    env = Environment(
        name=checks.text("name", name),
        task=checks.text("task", task),
        horizon=checks.integer("horizon", horizon, at_least=1),
        time_step=checks.number("time_step", time_step, above=0.0),
        functions=Functions(
            reset=lambda _, key: reset(key),
            step=lambda _, state, action: step(state, action),
            observe=lambda _, state: observe(state),
            residual=lambda _, state, action: _given(residual)(state, action),
            step_error=finite_step_error,
            measure=lambda _, state: measure(state) if measure else {},
            observation_layout=(lambda _: observation_layout) if observation_layout else None,
            goal=(lambda _: goal) if goal is not None else None,
            energy=(lambda _, state: energy(state)) if energy else None,
            draw=(lambda _, state: draw(state)) if draw else None,
        ),
        parameters=(),
        action_limit=jnp.asarray(limit, dtype_of(state)),
        action_unit=checks.text("action_unit", action_unit),
    )
    env = env if reward is None else env.with_reward(reward)
    for field, shown in (("draw", draw), ("measure", measure)):
        if shown is not None:
            traced(field, shown, state)
    trial.check_reports(env)
    trial.check_derivatives(env)
    return env


def _check_functions(**named: Any) -> None:
    """Raises InputError for the first that is no function."""
    for field, function in named.items():
        checks.function(field, function)


def _check_shapes(
    step: Callable[[State, jax.Array], State],
    reset: Callable[[Key], State],
    observe: Callable[[State], jax.Array],
    residual: Callable[[State, jax.Array], jax.Array] | None,
    action_shape: tuple[int, ...],
) -> tuple[State, jax.ShapeDtypeStruct]:
    """The shapes of a state and of an observation; raises InputError for a function that returns others."""
    state = traced("reset", reset, jax.random.key(0))
    dtype = dtype_of(state)
    action = jax.ShapeDtypeStruct(action_shape, dtype)
    check_same("step", traced("step", step, state, action), state)
    observation: jax.ShapeDtypeStruct = traced("observe", observe, state)
    check_vector("observe", observation, dtype)
    if residual is not None:
        check_vector("residual", traced("residual", residual, state, action), dtype)
    return state, observation


def _given(residual: Callable[[State, jax.Array], jax.Array] | None) -> Callable[[State, jax.Array], jax.Array]:
    if residual is None:
        raise InputError("this environment has a reward and no residual")
    return residual


def traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The shapes that a function returns; raises InputError unless it is pure: twice the same program, no effects."""
    try:
        # JAX remembers what it traced by the function: a new object each time is traced anew.
        first, second = (
            jax.make_jaxpr(partial(lambda *given: function(*given)), return_shape=True)(*arguments) for _ in range(2)
        )
    except (TypeError, jax.errors.JAXIndexError, jax.errors.UnexpectedTracerError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name} cannot be traced by JAX: {reason}") from error
    if first[0].effects:
        effects = ", ".join(sorted(str(effect) for effect in first[0].effects))
        raise InputError(f"{name} is not pure, it has an effect outside of its result ({effects}); remove it")
    if str(first[0].jaxpr) != str(second[0].jaxpr) or not _equal(first[0].consts, second[0].consts):
        raise InputError(
            f"{name} is not pure: called twice, it is two different programs; it must not depend on anything but its "
            "arguments (a counter, numpy.random, the time ...)"
        )
    return first[1]


def _equal(first: list[Any], second: list[Any]) -> bool:
    """Whether the constants of two programs are the same numbers, NaN among them, or the same traced values."""
    if any(isinstance(constant, jax.core.Tracer) for constant in (*first, *second)):
        return len(first) == len(second)
    one, other = (
        [np.asarray(jax.random.key_data(c) if checks.is_key(c) else c) for c in constants]
        for constants in (first, second)
    )
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


def dtype_of(state: State) -> jnp.dtype:
    """The type of all floating-point leaves of a state; raises InputError naming one that differs, or without any."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    if not leaves:
        raise InputError("reset returns a state without any array")
    for path, leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise InputError(f"state{jax.tree_util.keystr(path)} is {leaf.dtype}: must be real")
    floating = [(path, leaf) for path, leaf in leaves if is_floating(leaf)]
    if not floating:
        kinds = ", ".join(sorted({str(leaf.dtype) for _, leaf in leaves}))
        raise InputError(f"state is of {kinds}: some of it must be floating-point numbers, which have derivatives")
    dtype = floating[0][1].dtype
    for path, leaf in floating:
        if leaf.dtype != dtype:
            where = f"state{jax.tree_util.keystr(path)}"
            raise InputError(f"{where} is {leaf.dtype}: must be {dtype}, as the first leaf")
    return dtype


def check_same(name: str, got: State, expected: State) -> None:
    """Raises InputError naming the first leaf in which two states differ."""
    if jax.tree.structure(got) != jax.tree.structure(expected):  # type: ignore[operator]
        raise InputError(
            f"{name} returns {jax.tree.structure(got)}: must return {jax.tree.structure(expected)}, as reset does"
        )
    for (path, leaf), model in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        if leaf.shape != model.shape or leaf.dtype != model.dtype:
            raise InputError(
                f"{name} returns state{jax.tree_util.keystr(path)} as {leaf.dtype} of shape {leaf.shape}: must be "
                f"{model.dtype} of shape {model.shape}, as reset returns it"
            )


def goal_like(goal: State, state: State) -> State:
    """The goal as arrays of the type of states; raises InputError unless it has the form of one."""
    return jax.tree.map(jnp.asarray, checks.like("goal", checks.leaves("goal", goal), state))


def check_vector(name: str, got: Any, dtype: jnp.dtype) -> None:
    """Raises InputError unless a function returns one vector of the given type."""
    shapes = jax.tree.map(lambda leaf: (str(leaf.dtype), leaf.shape), got)
    if not (hasattr(got, "shape") and len(got.shape) == 1 and got.dtype == dtype):
        raise InputError(f"{name} returns {shapes}: must return one vector of {dtype}")


def check_layout(layout: Sequence[Block], size: int) -> None:
    """Raises InputError unless the blocks, if there are any, have as many components as an observation."""
    blocks = layout if isinstance(layout, Sequence) else [layout]
    for index, block in enumerate(blocks):
        checks.instance(f"observation_layout[{index}]", block, Block, 'envs.Block("velocity", "m/s", 2, "x, z")')
    told = sum(block.size for block in blocks)
    if layout and told != size:
        raise InputError(f"observation_layout has {told} components: must have {size}, as observe returns")
