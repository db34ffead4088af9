import jax
import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError


@pytest.mark.slow
def test_it_hangs_straight_and_each_link_carries_what_is_below():
    env = envs.make("rope_3d", num_points=3, stiffness=100.0)
    below = np.array([3, 2, 1]) * 0.2 * 9.81
    expected = -np.cumsum(0.2 + below / 100.0)
    np.testing.assert_allclose(env.parameters.rest_position[:, 2], expected, rtol=1e-9)
    np.testing.assert_allclose(env.parameters.rest_position[:, :2], 0.0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 7])
def test_between_two_handles_it_sags_symmetrically(count):
    env = envs.make("rope_3d", num_points=count, second_handle=True)
    assert (env.action_size, env.observation_size) == (6, 6 + 6 * count)
    position = np.asarray(env.parameters.rest_position)
    np.testing.assert_allclose(position[:, 2], position[::-1, 2], atol=1e-7)
    assert np.all(position[:, 2] < 0)
    middle = np.mean(np.asarray(env.parameters.system.handle_origin)[:, 0])
    np.testing.assert_allclose(position[:, 0].mean(), middle, atol=1e-7)
    state = env.reset(jax.random.key(0))
    after = env.step(state.replace(velocity=0 * state.velocity), np.zeros(6))
    assert np.all(np.isfinite(after.position))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_points": 0}, "num_points = 0: must be a whole number, at least 1"),
        ({"second_handle": "yes"}, "second_handle = 'yes': must be True or False"),
        ({"link_length": 0.0}, "link_length = 0.0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        envs.make("rope_3d", **settings)
    assert message in str(caught.value)
