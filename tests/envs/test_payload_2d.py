import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.checks import InputError


def test_it_hangs_level_in_the_middle_and_its_cables_carry_it():
    payload = envs.make("payload_2d").parameters
    position = np.asarray(payload.rest_position)
    np.testing.assert_allclose(position.mean(axis=0)[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(position[0, 1], position[1, 1], atol=1e-9)
    springs = payload.system.springs
    edge = np.asarray(payload.system.handle_origin) - position[:2]
    length = np.linalg.norm(edge, axis=1)
    tension = np.asarray(springs.stiffness)[:2] * (length - np.asarray(springs.rest_length)[:2] - 1e-3 / 2)
    np.testing.assert_allclose(tension @ (edge[:, 1] / length), 4 * 0.25 * 9.81, rtol=1e-6)


@pytest.mark.slow
def test_handles_moved_together_fast_leave_a_cable_slack():
    env = envs.make("payload_2d", initial_speed=0.0)
    trajectory = pods_jax.replay(env, env.reset(jax.random.key(0)), jnp.full((8, 2), 3.0))
    slack = np.asarray(jax.vmap(env.draw)(trajectory.state).slack)
    assert np.any(slack[:, :2])
    assert not np.any(slack[:, 2:])  # the box is made of springs


def test_reset_moves_both_handles_alike():
    env = envs.make("payload_2d", task="stop_at_origin")
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 20))
    np.testing.assert_allclose(states.handle[:, 0], states.handle[:, 1], atol=1e-12)
    assert np.std(states.handle[:, 0]) > 0.1
    spread = np.ptp(np.asarray(states.velocity[..., 0]), axis=1)
    np.testing.assert_allclose(spread, 0.0, atol=1e-12)  # the box starts without turning


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cable_length": 0.1}, "cable_length = 0.1: must be greater than"),
        ({"side": 0.0}, "side = 0.0: must be a finite number, greater than 0"),
        ({"handle_distance": -1.0}, "handle_distance = -1.0"),
        ({"weights": (1.0, 2.0, 3.0)}, "weights has shape"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        envs.make("payload_2d", **settings)
    assert message in str(caught.value)
