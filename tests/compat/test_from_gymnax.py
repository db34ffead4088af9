"""An environment with gymnax's interface: a pendulum with a counter, a flag and a discontinuous `done`."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from pods_jax import InputError, compat, improve, replay

HORIZON = 15


@struct.dataclass
class PendulumState:
    angle: jax.Array
    velocity: jax.Array
    time: int
    far: bool


@struct.dataclass
class PendulumParams:
    gravity: float = 9.81
    largest: float = 3.0
    time_step: float = 0.05


class Pendulum:
    """Swing up: what gymnax asks of an environment, and no more."""

    name = "Swing-v0"
    default_params = PendulumParams()

    def __init__(self, space=None):
        self.space = space

    def action_space(self, params):
        return self.space or SimpleNamespace(low=-1.0, high=params.largest, shape=())

    def reset_env(self, key, params):
        angle = jax.random.uniform(key, (), minval=-0.5, maxval=0.5)
        state = PendulumState(angle, jnp.zeros_like(angle), 0, False)
        return self.observe(state), state

    def step_env(self, key, state, action, params):
        velocity = state.velocity + params.time_step * (action - params.gravity * jnp.sin(state.angle))
        angle = state.angle + params.time_step * velocity
        after = PendulumState(angle, velocity, state.time + 1, jnp.abs(angle) > 1.0)
        reward = -(angle**2) - 0.01 * action**2
        return self.observe(after), after, reward, after.time >= 200, {}

    def observe(self, state):
        return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.velocity])


def residual(state, action):
    physics = state["physics"]
    return jnp.concatenate([jnp.stack([physics.angle - 0.5, 0.1 * physics.velocity]), 0.01 * action])


@pytest.mark.slow
def test_it_steps_as_the_original():
    original, env = Pendulum(), compat.from_gymnax(Pendulum(), horizon=HORIZON, residual=residual)
    assert (env.name, env.horizon) == ("Swing-v0", HORIZON)
    np.testing.assert_array_equal(env.action_limit, [2.0])  # -1 .. 3 is 1 +- 2
    state = env.reset(jax.random.key(3))
    actions = np.random.default_rng(0).uniform(-2, 2, (HORIZON, 1))
    trajectory = replay(env, state, actions)
    observation, inner = original.reset_env(jax.random.key(3), original.default_params)
    for index, action in enumerate(actions[:, 0]):
        np.testing.assert_allclose(trajectory.observation[index], observation, rtol=1e-12)
        observation, inner, reward, *_ = original.step_env(None, inner, 1.0 + action, original.default_params)
        np.testing.assert_allclose(trajectory.state["reward"][index], reward, rtol=1e-12)
        assert trajectory.state["physics"].time[index] == inner.time
        assert trajectory.state["physics"].far[index] == inner.far


@pytest.mark.slow
@pytest.mark.parametrize("method", ["riccati", "first_order"])
def test_trajectories_improve(method):
    env = compat.from_gymnax(Pendulum(), horizon=HORIZON, residual=residual)
    start = env.reset(jax.random.key(0))
    better = improve(env, start, jnp.zeros((HORIZON, 1)), method=method, num_steps=5)
    share = 0.7 if method == "riccati" else 0.9
    assert float(better.value) > share * float(better.value_before)  # both are negative


@pytest.mark.slow
def test_without_an_objective_its_own_reward_counts():
    env = compat.from_gymnax(Pendulum(), horizon=HORIZON)
    start, actions = env.reset(jax.random.key(0)), jnp.ones((HORIZON, 1))
    played = replay(env, start, actions)
    np.testing.assert_array_equal(played.reward, played.state["reward"])
    better = improve(env, start, actions, method="first_order")
    assert float(better.value) > float(better.value_before)


def test_a_choice_among_actions_is_refused():
    discrete = SimpleNamespace(n=3, shape=())
    with pytest.raises(InputError, match="the action space is SimpleNamespace: must be a box with finite"):
        compat.from_gymnax(Pendulum(discrete), horizon=HORIZON)


class KeyedWalk:
    """Draws noise from a key in its state, and counts beyond what single precision can."""

    default_params = None

    def action_space(self, params):
        return SimpleNamespace(low=-1.0, high=1.0, shape=(1,))

    def reset_env(self, key, params):
        return jnp.zeros(1), {"x": jnp.zeros(1), "key": key, "count": jnp.asarray(4_000_000_001, jnp.uint32)}

    def step_env(self, key, state, action, params):
        key, own = jax.random.split(state["key"])
        x = state["x"] + action + 0.1 * jax.random.normal(own, (1,))
        return x, {"x": x, "key": key, "count": state["count"] + 1}, -jnp.sum(x**2), False, {}


@pytest.mark.slow
@pytest.mark.parametrize("double", [False, True])
def test_keys_and_large_numbers_are_carried_untouched(double):
    with jax.enable_x64(double):
        env, original = compat.from_gymnax(KeyedWalk(), horizon=3), KeyedWalk()
        trajectory = replay(env, env.reset(jax.random.key(5)), jnp.ones((3, 1)))
        _, inner = original.reset_env(jax.random.key(5), None)
        for index in range(3):
            _, inner, *_ = original.step_env(None, inner, jnp.ones(1), None)
            physics = jax.tree.map(lambda leaf, index=index: leaf[index], trajectory.state["physics"])
            assert physics["count"].dtype == jnp.uint32
            assert int(physics["count"]) == int(inner["count"]) == 4_000_000_002 + index
            np.testing.assert_array_equal(jax.random.key_data(physics["key"]), jax.random.key_data(inner["key"]))
            np.testing.assert_allclose(physics["x"], inner["x"], rtol=1e-6)


def test_what_has_another_interface_is_refused():
    with pytest.raises(InputError, match=r"env = .*: must have the interface of gymnax, and has no function reset"):
        compat.from_gymnax(object(), horizon=3)
