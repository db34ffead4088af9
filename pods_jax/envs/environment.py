"""An environment is a value: parameters, functions of them, action limits and a horizon.

No class hierarchy, no `done`, no reset inside a step: an episode is exactly `horizon` steps. The
functions are static, the parameters a pytree, so an Environment passes through `jit`, `vmap` and `grad`
as an argument, and its methods are compiled once for all environments of one kind.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks, linalg
from pods_jax.envs.description import Block, Drawing, Energy
from pods_jax.trajopt import LinearModel, flatten, is_floating, linearize
from pods_jax.types import Key

State = Any
Parameters = Any
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Functions:
    """What an environment does, each for one state; `residual` is the only definition of the objective.

    What has a default may be left out. reward: another objective than -|residual|^2. linearize: the derivative of a
    step, a `trajopt.LinearModel` of states as vectors (`trajopt.flatten`), where it is to be had for less than
    `jacfwd` asks. observation_layout: what the components of `observe` mean, in order. goal: the state to be in and
    to stay in. energy: the mechanical energy. draw: what pictures show of a state. completed: what cannot be measured
    of a state, such as the history of a method, from what can. derived: the parameters with those that follow from
    others, such as where a load hangs, computed anew; for whoever puts other values in their place. core: the
    simulator and its full state, of an environment that wraps another one, its `parameters.env`; see
    `Environment.core`. with_noise: the state with other noise in its observations, by a key.
    """

    reset: Callable[[Parameters, Key], State]
    step: Callable[[Parameters, State, jax.Array], State]
    observe: Callable[[Parameters, State], jax.Array]
    residual: Callable[[Parameters, State, jax.Array], jax.Array]
    step_error: Callable[[Parameters, State, jax.Array, State], jax.Array]
    measure: Callable[[Parameters, State], dict[str, jax.Array]]
    reward: Callable[[Parameters, State, jax.Array], jax.Array] | None = None
    linearize: Callable[[Parameters, State, jax.Array, State], LinearModel] | None = None
    observation_layout: Callable[[Parameters], Sequence[Block]] | None = None
    goal: Callable[[Parameters], State] | None = None
    energy: Callable[[Parameters, State], Energy] | None = None
    draw: Callable[[Parameters, State], Drawing] | None = None
    completed: Callable[[Parameters, State], State] | None = None
    derived: Callable[[Parameters], Parameters] | None = None
    core: Callable[[Parameters, State], tuple["Environment", State]] | None = None
    with_noise: Callable[[Parameters, State, Key], State] | None = None


def finite_step_error(parameters: Parameters, state: State, action: jax.Array, next_state: State) -> jax.Array:
    """() the `step_error` of a step of which only the result is known: 0, or NaN where that is not finite."""
    return jnp.where(linalg.is_finite(next_state), 0.0, jnp.nan)


def compiled(method: Method) -> Method:
    """A method that is compiled; what no program takes is refused before, by the name of the argument.

    Lists go into the program as they are, where `Environment.as_action` makes arrays of them.
    """
    program, signature = jax.jit(method), inspect.signature(method)

    @wraps(method)
    def call(*given: Any, **named: Any) -> Any:
        (_, env), *rest = signature.bind(*given, **named).arguments.items()
        return program(env, *(checks.leaves(name, value) for name, value in rest))

    return cast(Method, call)


@struct.dataclass
class Environment:
    """A system, a task, a sampler of initial states and a horizon."""

    name: str = struct.field(pytree_node=False)
    task: str = struct.field(pytree_node=False)
    horizon: int = struct.field(pytree_node=False)  # number of steps T of an episode
    time_step: float = struct.field(pytree_node=False)  # [s]
    functions: Functions = struct.field(pytree_node=False)
    parameters: Parameters
    action_limit: jax.Array  # (A,) in action units, |action| <= action_limit
    action_unit: str = struct.field(pytree_node=False, default="")  # such as "m/s"; "" where it is not known
    terminal_only: bool = struct.field(pytree_node=False, default=False)  # whether only the last reward counts

    @property
    def action_size(self) -> int:
        """Number of action components A."""
        return self.action_limit.shape[0]

    @property
    def observation_size(self) -> int:
        """Number of observed components O."""
        return jax.eval_shape(lambda key: self.observe(self.reset(key)), jax.random.key(0)).shape[0]

    @property
    def state_size(self) -> int:
        """How many numbers n a state has as a vector, see `trajopt.flatten`."""
        return jax.eval_shape(lambda key: flatten(self.reset(key))[0], jax.random.key(0)).size

    @property
    def observation_layout(self) -> tuple[Block, ...]:
        """What the components of an observation mean, in order; one block of unknown meaning where nobody said."""
        if self.functions.observation_layout is None:
            return (Block("observation", "unknown", self.observation_size, ""),)
        return tuple(self.functions.observation_layout(self.parameters))

    @property
    def goal(self) -> State | None:
        """The state that the task is to reach and to hold with the action zero; None where nobody named one.

        Searches also start from the guess that the trajectory is there already, which unstable systems need.
        """
        return None if self.functions.goal is None else self.functions.goal(self.parameters)

    @property
    def simulator(self) -> "Environment":
        """What simulates, with its nominal parameters: the innermost of environments that wrap each other."""
        return self if self.functions.core is None else cast(Environment, self.parameters.env.simulator)

    def core(self, state: State) -> tuple["Environment", State]:
        """The environment in which trajectories are improved, with the parameters of this episode, and its state.

        Both are its own, unless it wraps another one: what a policy does not see, past readings and the way to an
        observation, is then left out.
        """
        state = self.as_state(state)
        return (self, state) if self.functions.core is None else self.functions.core(self.parameters, state)

    def with_noise(self, state: State, key: Key) -> State:
        """The same state with other noise in what is observed, where there is any; the key is consumed."""
        state, key = self.as_state(state), checks.key("key", key)
        return state if self.functions.with_noise is None else self.functions.with_noise(self.parameters, state, key)

    @property
    def space_dimension(self) -> int | None:
        """Number of dimensions d of the space that it is drawn in, 2 or 3; None where it cannot be drawn."""
        if self.functions.draw is None:
            return None
        return jax.eval_shape(lambda key: self.draw(self.reset(key)), jax.random.key(0)).points.shape[1]

    def reset(self, key: Key) -> State:
        """A random initial state; the key, of any kind, is consumed. Raises InputError for what is no key."""
        return _reset(self, checks.key("key", key))

    @compiled
    def step(self, state: State, action: jax.Array) -> State:
        """The state one time step later, under the action (A,). Raises InputError on other shapes."""
        return self._own(self.functions.step(self.parameters, self.as_state(state), self.as_action(action)))

    @compiled
    def observe(self, state: State) -> jax.Array:
        """(O,) what the policy sees. Raises InputError if the state is not one of this environment."""
        observation: jax.Array = self._own(self.functions.observe(self.parameters, self.as_state(state)))
        return observation

    @compiled
    def residual(self, state: State, action: jax.Array) -> jax.Array:
        """(R,) of arriving in `state` by `action`; the cost is its squared norm, unless `with_reward` replaced it."""
        state, action = self.as_state(state), self.as_action(action)
        residual: jax.Array = self._own(self.functions.residual(self.parameters, state, action))
        return residual

    @compiled
    def reward(self, state: State, action: jax.Array) -> jax.Array:
        """() of arriving in `state` by `action`: -|residual|^2 (Eq. 15), or what `with_reward` put in its place.

        NaN wherever there is a NaN in the state or the action, also where the objective does not look at it.
        """
        state, action = self.as_state(state), self.as_action(action)
        if self.functions.reward is None:
            reward = -jnp.sum(self.residual(state, action) ** 2)
        else:
            reward = jnp.asarray(self.functions.reward(self.parameters, state, action)).astype(action.dtype)
        numbers = [leaf for leaf in jax.tree.leaves((state, action)) if is_floating(leaf)]
        return jnp.where(jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in numbers])), jnp.nan, reward)

    def reward_weights(self, num_steps: int) -> jax.Array:
        """(num_steps,) how much the reward of each step counts: 1, or with `terminal_only` 0 but for the last."""
        weights = jnp.ones(checks.integer("num_steps", num_steps, at_least=1), self.action_limit.dtype)
        return weights.at[:-1].set(0.0) if self.terminal_only else weights

    def with_reward(self, reward: Callable[[State, jax.Array], jax.Array]) -> "Environment":
        """The same environment with another reward () of arriving in a state by an action.

        It must be twice differentiable, and may couple state and action. Second-order methods use its quadratic
        model at each step with the positive semidefinite part of the Hessian of the cost; where actions may cost
        nothing in that model, they need `damping`. Raises InputError unless it returns one number; a
        whole one, or True or False, becomes a floating-point number. An environment that wraps another one takes
        none: give it to that one.
        """
        checks.function("reward", reward)
        if self.functions.core is not None:
            raise checks.InputError(
                f"{self.name} wraps another environment: give the reward to that one, before it is wrapped"
            )
        try:
            returned = jax.eval_shape(reward, jax.eval_shape(_reset, self, jax.random.key(0)), self.action_limit)
        except TypeError as error:
            raise checks.InputError(f"reward cannot be traced by JAX: {str(error).splitlines()[0]}") from error
        shape = jax.tree.map(jnp.shape, returned)
        if shape != () or jnp.issubdtype(returned.dtype, np.complexfloating):
            what = returned.dtype if shape == () else shape
            raise checks.InputError(f"reward returns {what}: must return one number, of shape ()")
        functions = dataclasses.replace(self.functions, reward=lambda _, state, action: reward(state, action))
        return self.replace(functions=functions)  # type: ignore[attr-defined]

    @compiled
    def linearize(self, state: State, action: jax.Array, next_state: State) -> LinearModel:
        """The derivative of the step from `state` to `next_state`, for states as vectors (`trajopt.flatten`)."""
        state, action = self.as_state(state), self.as_action(action)
        with jax.default_matmul_precision("highest"):
            if self.functions.linearize is not None:
                next_state = self.as_state(next_state, "next_state")
                return self.functions.linearize(self.parameters, state, action, next_state)
            start, unflatten = flatten(state)
            return linearize(lambda vector, action: flatten(self.step(unflatten(vector), action))[0], start, action)

    @compiled
    def step_error(self, state: State, action: jax.Array, next_state: State) -> jax.Array:
        """() solver health: at most 1 if `next_state` solves the step, NaN if it is not finite."""
        state, action, next_state = (
            self.as_state(state),
            self.as_action(action),
            self.as_state(next_state, "next_state"),
        )
        return self.functions.step_error(self.parameters, state, action, next_state)

    @compiled
    def measure(self, state: State) -> dict[str, jax.Array]:
        """Named quantities of one state that `evaluate` reports at the end of an episode."""
        return self.functions.measure(self.parameters, self.as_state(state))

    @compiled
    def energy(self, state: State) -> Energy:
        """The kinetic and the potential energy of a state. Raises InputError where the environment gives none."""
        if self.functions.energy is None:
            raise checks.InputError(
                f"{self.name} gives no energy: give `energy`, a function of a state that returns an `envs.Energy`"
            )
        return self.functions.energy(self.parameters, self.as_state(state))

    @compiled
    def draw(self, state: State) -> Drawing:
        """What pictures show of a state. Raises InputError where the environment cannot be drawn."""
        drawing = self.drawing_function()(self.parameters, self.as_state(state))
        if not isinstance(drawing, Drawing):
            shapes = jax.tree.map(np.shape, drawing)
            raise checks.InputError(
                f"draw returns {shapes}: must return an `envs.Drawing`, which `envs.make_drawing` builds"
            )
        return drawing

    def completed(self, state: State) -> State:
        """The state with what nobody can measure made to fit the rest, such as the history of a method.

        It is the state itself where all of it can be measured.
        """
        state, function = self.as_state(state), self.functions.completed
        return state if function is None else function(self.parameters, state)

    def drawing_function(self) -> Callable[[Parameters, State], Drawing]:
        """`functions.draw`. Raises InputError, with the cure, where there is none."""
        if self.functions.draw is None:
            raise checks.InputError(
                f"{self.name} cannot be drawn: give `draw=`, a function of a state that returns "
                "`envs.make_drawing(points, segments)`"
            )
        return self.functions.draw

    def as_state(self, state: State, name: str = "state", leading: tuple[str, ...] = ()) -> State:
        """The state in the types that `reset` returns. Raises InputError, by its name, unless it looks like one.

        leading: names of the axes of several, such as ("T",) for a trajectory. It costs nothing once compiled.
        """
        return checks.like(name, state, jax.eval_shape(_reset, self, jax.random.key(0)), leading)

    def as_action(self, action: Any) -> jax.Array:
        """(A,) the action in the type of the environment. Raises InputError unless it consists of A real numbers."""
        return checks.reals("action", action, (self.action_size,), self.action_limit.dtype)

    def as_actions(self, actions: Any) -> jax.Array:
        """(T, A) the actions of one trajectory, as `as_action` has one."""
        return checks.reals("actions", actions, ("T", self.action_size), self.action_limit.dtype)

    def _own(self, tree: Any) -> Any:
        """The same with all floating-point numbers in the type of the environment, whichever jax prefers by now."""
        dtype = self.action_limit.dtype
        return jax.tree.map(
            lambda leaf: jnp.asarray(leaf).astype(dtype) if is_floating(leaf) else jnp.asarray(leaf), tree
        )


@jax.jit
def _reset(env: Environment, key: Key) -> State:
    return env._own(env.functions.reset(env.parameters, key))
