"""Brax's inverted pendulum as one of our environments."""

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from pods_jax import InputError, algorithms, compat, evaluate, replay, train
from pods_jax.evaluation import make_heldout_set


def residual(state, action):
    """Upright in the middle."""
    physics = state["physics"]
    return jnp.concatenate([jnp.array([1.0, 3.0]) * physics["q"], 0.1 * physics["qd"], 0.1 * action])


def make_original():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brax asks to use something else
        from brax import envs

        return envs.get_environment("inverted_pendulum", backend="generalized")


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_it_steps_as_the_original():
    original = make_original()
    env = compat.from_brax(original, horizon=50, residual=residual)
    key = jax.random.key(0)
    state = env.reset(key)
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 1)).astype(state["observation"].dtype)
    trajectory = replay(env, state, actions)
    assert env.time_step == pytest.approx(0.04)
    with jax.numpy_rank_promotion("allow"):
        inner, step = original.reset(jax.random.key_data(key)), jax.jit(original.step)
        for index, action in enumerate(actions):
            np.testing.assert_allclose(trajectory.observation[index], inner.obs, rtol=1e-3, atol=1e-4)
            inner = step(inner, action)
            assert trajectory.state["reward"][index] == inner.reward == 1.0


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_a_policy_learns_to_hold_the_pole():
    """In single precision, which is what Brax is made for."""
    with jax.enable_x64(False):
        env = compat.from_brax(make_original(), horizon=50, residual=residual)
        algorithm = algorithms.make("pods", env, batch_size=64, guard={"size": 32})
        state, history = train(algorithm, jax.random.key(0), 40, epochs_per_chunk=20)
        heldout = make_heldout_set(env, 64, search=False)
        returned = evaluate(env, algorithm.policy(state), heldout=heldout)["return_mean"]
    assert history[0]["guard_value"] < -50  # it fell
    assert returned > -5.0
    assert all(row["unhealthy_rollouts"] == 0 for row in history)


def test_what_is_no_such_environment_is_refused():
    with pytest.raises(InputError, match="env is a SimpleNamespace: must be a brax"):
        compat.from_brax(SimpleNamespace(), horizon=5)
    several = SimpleNamespace(pipeline_init=None, reset=lambda key: SimpleNamespace(obs={"eye": 1, "ear": 2}))
    with pytest.raises(InputError, match="SimpleNamespace observes eye, ear: must observe one vector"):
        compat.from_brax(several, horizon=5)


@struct.dataclass
class Line:
    q: jax.Array
    qd: jax.Array


class Noisy:
    """A point on a line, pushed by noise from a key that Brax's `info` carries beside a counter."""

    action_size, dt = 1, 0.1

    def pipeline_init(self, q, qd):
        return Line(q, qd)

    def reset(self, rng):
        info = {"rng": rng, "count": jnp.asarray(4_000_000_001, jnp.uint32)}
        return self.seen(Line(jnp.zeros(1), jnp.zeros(1)), info)

    def step(self, state, action):
        rng, own = jax.random.split(state.info["rng"])
        q = state.pipeline_state.q + action + jax.random.normal(own, (1,))
        return self.seen(Line(q, action), {"rng": rng, "count": state.info["count"] + 1})

    def seen(self, physics, info):
        from brax.envs.base import State

        return State(physics, physics.q, -jnp.sum(physics.q**2), jnp.zeros(()), info=info)


@pytest.mark.slow
def test_what_brax_carries_beside_its_physics_is_carried():
    pytest.importorskip("brax")
    env, original = compat.from_brax(Noisy(), horizon=3), Noisy()
    trajectory = replay(env, env.reset(jax.random.key(5)), jnp.ones((3, 1)))
    inner = original.reset(jax.random.PRNGKey(5))
    for index in range(3):
        inner = original.step(inner, jnp.ones(1))
        np.testing.assert_allclose(trajectory.state["physics"]["q"][index], inner.pipeline_state.q, rtol=1e-12)
        np.testing.assert_array_equal(trajectory.state["info"]["rng"][index], inner.info["rng"])
        assert int(trajectory.state["info"]["count"][index]) == int(inner.info["count"]) == 4_000_000_002 + index
