"""Our environments for Brax's trainers, and Brax's environments for our algorithms.

    trained = brax.training.agents.ppo.train.train(compat.to_brax(env), episode_length=env.horizon, ...)

Ours takes actions in [-1, 1], relative to their limits, and rewards the action itself. The number of steps taken
belongs to the pipeline state, where Brax's reset puts it back to zero. An episode never ends by itself: `done` is 0,
and Brax's EpisodeWrapper marks the time limit as a truncation.

Brax's own are differentiable where nothing touches: joints, springs and motors are smooth, while a contact that is
not closed has the derivative zero and one that closes changes it at once, so that improvements are found near the
trajectory only, or not at all. What happens at `done` is not simulated: episodes have the length that is asked for.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.compat.carried import as_before, carried, from_carried, promoting
from pods_jax.envs import Drawing, Environment
from pods_jax.rollouts import check_environment
from pods_jax.types import Key

try:
    from brax.envs import base
except ImportError as error:
    raise checks.missing("compat.brax", "brax", "baselines") from error


@struct.dataclass
class PipelineState:
    """What Brax carries from step to step and restores at a reset."""

    state: Any  # of our environment
    num_steps: jax.Array  # () int32, taken since the reset


class BraxEnvironment(base.Env):
    """One of our environments with Brax's interface."""

    def __init__(self, env: Environment) -> None:
        """`env`: any environment; with `terminal_only` all rewards but that of step `horizon` are 0."""
        check_environment(env)
        self.env = env

    def reset(self, rng: jax.Array) -> base.State:
        """An initial state; rng: a key of either kind."""
        state = self.env.reset(rng)
        zero = jnp.zeros((), self.env.action_limit.dtype)
        pipeline_state = PipelineState(state, jnp.zeros((), jnp.int32))
        return base.State(pipeline_state, self.env.observe(state), reward=zero, done=zero)

    def step(self, state: base.State, action: jax.Array) -> base.State:
        """One time step under the action (A,), relative to the limits; what is beyond [-1, 1] counts as the limit.

        Raises InputError on another shape. With NaN in the action, reward and observation are NaN from then on.
        """
        before: Any = state.pipeline_state
        absolute = self.env.action_limit * jnp.clip(self.env.as_action(action), -1.0, 1.0)
        after = self.env.step(before.state, absolute)
        count = before.num_steps + 1
        reward = self.env.reward(after, absolute)
        if self.env.terminal_only:
            reward = jnp.where(count == self.env.horizon, reward, 0.0)
        return state.replace(pipeline_state=PipelineState(after, count), obs=self.env.observe(after), reward=reward)

    @property
    def observation_size(self) -> int:
        """Number of observed components O."""
        return self.env.observation_size

    @property
    def action_size(self) -> int:
        """Number of action components A."""
        return self.env.action_size

    @property
    def backend(self) -> str:
        """Where the physics comes from."""
        return "pods_jax"


def from_environment(
    env: Any,
    *,
    horizon: int,
    residual: Callable[[Any, jax.Array], jax.Array] | None = None,
    reward: Callable[[Any, jax.Array], jax.Array] | None = None,
    measure: Callable[[Any], dict[str, jax.Array]] | None = None,
    draw: Callable[[Any], Drawing] | None = None,
    task: str = "own",
    action_unit: str = "",
) -> Environment:
    """An Environment of a `brax.envs.PipelineEnv`: its state is {"physics", "observation", "reward", "info"}.

    The physics are {"q", "qd"}: the rest of Brax's pipeline state is computed from them at each step. The info is
    carried untouched, random keys and counters included. residual, reward, measure, draw, action_unit: as for
    `envs.from_step`; with neither of the first two, Brax's own reward, which only "first_order" steps can climb
    without `damping`. Actions are in [-1, 1], as Brax has them. Raises InputError for a wrapped environment or one
    that observes several things, and as `envs.from_step`.
    """
    if not hasattr(env, "pipeline_init"):
        raise InputError(f"env is a {type(env).__name__}: must be a brax.envs.PipelineEnv without wrappers")
    like = env.reset(jax.random.PRNGKey(0))
    if not hasattr(like.obs, "shape"):
        raise InputError(f"{type(env).__name__} observes {', '.join(like.obs)}: must observe one vector")

    def look(state: Any) -> Any:
        physics = {"q": state.pipeline_state.q, "qd": state.pipeline_state.qd}
        return carried(physics, state.obs, state.reward) | {"info": state.info}

    def step(state: Any, action: jax.Array) -> Any:
        physics = env.pipeline_init(state["physics"]["q"], state["physics"]["qd"])
        before = like.replace(pipeline_state=physics, obs=state["observation"], info=state["info"])
        return as_before(look(env.step(before, action)), kinds)

    def reset(key: Key) -> Any:
        return look(env.reset(jax.random.key_data(key)))

    kinds = jax.eval_shape(promoting(reset), jax.random.key(0))
    return from_carried(
        step,
        reset,
        residual=residual,
        reward=reward,
        measure=measure,
        draw=draw,
        action_limit=np.ones(env.action_size),
        horizon=horizon,
        time_step=float(env.dt),
        name=type(env).__name__,
        task=task,
        action_unit=action_unit,
    )
