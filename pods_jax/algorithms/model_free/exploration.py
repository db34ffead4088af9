"""What PPO and SAC share: a random policy around the network of all other algorithms, and what it experiences.

The actions are those of Brax's tanh-normal distribution: a = limit * tanh(x), x normal. Its location is the output of
the policy network before the tanh, so the policy that is evaluated, a = limit * tanh(location), is the same function
of the same initial weights as in every other algorithm; its scale comes from a second network of the same form.

An episode is rolled out as a whole, from an initial state drawn for it alone. (Brax's own wrapper would lead each
environment back to its first state for ever.) The time limit is a truncation: the policy does not see the time, so
the value of the last observation stands for what would come after it. Since no reset has taken the place of that
observation, Brax's losses need not leave the last step out; their `truncation` is 0 throughout.

No target ever corrects the critic at that last observation, since no step begins there: with a discount too near to
one it may grow without bound (`docs/architecture.md` has the figures).
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax import checks
from pods_jax.envs.environment import Environment
from pods_jax.policies.encoders import make_encoder
from pods_jax.policies.network import PolicyNetwork, scaling
from pods_jax.rollouts import step_starts
from pods_jax.types import Key, Policy

try:
    from brax.training import distribution
    from brax.training.acme import running_statistics
    from brax.training.types import Transition
except ImportError as error:
    raise checks.missing("the algorithms ppo and sac", "brax", "baselines") from error


@dataclass(frozen=True, eq=False)
class Explorer:
    """An environment, and a random policy for it."""

    env: Environment
    network: PolicyNetwork
    standardize: bool  # whether observations are scaled by their spread so far
    reward_scale: float

    @property
    def distribution(self) -> distribution.NormalTanhDistribution:
        """Of actions relative to their limits."""
        return distribution.NormalTanhDistribution(event_size=self.env.action_size)

    def init(self, key_location: Key, key_scale: Key) -> dict[str, Any]:
        """The parameters of both networks; those of the location are the ones with which PODS starts from the key."""
        limit = self.env.action_limit
        observation = jnp.zeros(self.env.observation_size, limit.dtype)
        keys = {"location": key_location, "scale": key_scale}
        return {name: self.network.init(key, observation, limit)["params"] for name, key in keys.items()}

    def init_normalizer(self) -> Any:
        """Statistics of no observation: mean 0, deviation 1."""
        zero = jnp.zeros(self.env.observation_size, self.env.action_limit.dtype)
        return jax.tree.map(jnp.asarray, running_statistics.init_state(zero))

    def update_normalizer(self, normalizer: Any, observation: jax.Array) -> Any:
        """The statistics with further observations (..., O)."""
        return running_statistics.update(normalizer, observation) if self.standardize else normalizer

    def normalize(self, observation: jax.Array, normalizer: Any) -> jax.Array:
        """(..., O) as the networks of the critic see it."""
        mean, deviation = (jnp.broadcast_to(leaf, observation.shape) for leaf in self._scaling(normalizer).values())
        return (observation - mean) / deviation

    def logits(self, normalizer: Any, params: dict[str, Any], observation: jax.Array) -> jax.Array:
        """(..., 2 A) the parameters of the distribution of actions, in the form that Brax's losses ask for."""
        scale = self._scaling(normalizer)
        outputs: list[Any] = [
            self.network.apply({"params": params[name], "scaling": scale}, observation, method="location")
            for name in ("location", "scale")
        ]
        return jnp.concatenate(outputs, axis=-1)

    def policy(self, normalizer: Any, params: dict[str, Any]) -> Policy:
        """The policy without noise, a pytree."""
        variables = {"params": params["location"], "scaling": self._scaling(normalizer)}
        return jax.tree_util.Partial(self._act, variables)

    def explore(
        self, normalizer: Any, params: dict[str, Any], key: Key, count: int
    ) -> tuple[Transition, jax.Array, jax.Array]:
        """`count` episodes of the random policy; the key is consumed.

        Returns their transitions, leaves (count, T, ...), whether each was healthy, (count,), and its return,
        (count,). The place of one with an unsolved or non-finite step is taken by a healthy one.
        """
        key_states, key_actions = jax.random.split(key)
        states = jax.vmap(self.env.reset)(jax.random.split(key_states, count))
        keys = jax.random.split(key_actions, count)
        transitions, healthy = jax.vmap(lambda state, key: self._episode(normalizer, params, state, key))(
            states, keys
        )
        returns = jnp.sum(transitions.reward, axis=1) / self.reward_scale
        order = jnp.argsort(~healthy, stable=True)
        chosen = order[jnp.arange(count) % jnp.maximum(jnp.sum(healthy), 1)]
        return jax.tree.map(lambda leaf: leaf[chosen], transitions), healthy, returns

    def summary(self, returns: jax.Array, healthy: jax.Array) -> dict[str, jax.Array]:
        """The metrics of what was experienced, from the results of `explore`."""
        total = jnp.sum(jnp.where(healthy, returns, 0.0))
        return {
            "value": total / jnp.maximum(jnp.sum(healthy), 1),
            "environment_steps": jnp.asarray(healthy.size * self.env.horizon),
            "unhealthy_rollouts": jnp.sum(~healthy),
        }

    def _episode(self, normalizer: Any, params: dict[str, Any], state: Any, key: Key) -> tuple[Transition, jax.Array]:
        env, act = self.env, self.distribution
        dtype = env.action_limit.dtype

        def advance(state, index):
            observation = env.observe(state)
            logits = self.logits(normalizer, params, observation)
            raw = act.sample_no_postprocessing(logits, jax.random.fold_in(key, index)).astype(dtype)
            relative = act.postprocess(raw)
            action = env.action_limit * relative
            after = env.step(state, action)
            notes = {"log_prob": act.log_prob(logits, raw), "raw_action": raw, "distribution_params": logits}
            transition = Transition(
                observation=observation,
                action=relative,
                reward=self.reward_scale * env.reward(after, action),
                discount=jnp.ones((), dtype),
                next_observation=env.observe(after),
                extras={"policy_extras": notes, "state_extras": {"truncation": jnp.zeros((), dtype)}},
            )
            return after, (transition, after, action)

        _, (transitions, states, actions) = jax.lax.scan(advance, state, jnp.arange(env.horizon))
        errors = jax.vmap(env.step_error)(step_starts(state, states), actions, states)
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(transitions)]
        return transitions, jnp.all(errors <= 1) & jnp.all(jnp.asarray(finite))

    def _act(self, variables: dict[str, Any], observation: jax.Array) -> jax.Array:
        action: Any = self.network.apply(variables, observation, self.env.action_limit)
        return action

    def _scaling(self, normalizer: Any) -> dict[str, jax.Array]:
        dtype = self.env.action_limit.dtype
        return scaling(normalizer.mean.astype(dtype), normalizer.std.astype(dtype))


def make_explorer(name: str, env: Environment, config: Any) -> Explorer:
    """The Explorer of an algorithm with its settings. Raises InputError where only the last reward counts."""
    if env.terminal_only:
        raise checks.InputError(
            "env.terminal_only",
            True,
            f"{name} learns the value of an observation, which does not tell how many steps are left until the only "
            "reward; must be False (pods takes it)",
        )
    network = PolicyNetwork(config.hidden_sizes, env.action_size, make_encoder(config.network, env))
    return Explorer(env, network, config.standardize, config.loss.reward_scale)
