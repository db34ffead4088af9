import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs, sim
from pods_jax.checks import InputError
from pods_jax.visual import animation


def states_of(env, num_steps=3):
    state = env.reset(jax.random.key(0))
    return pods_jax.replay(env, state, jnp.zeros((num_steps, env.action_size))).state


@pytest.mark.parametrize("name", ["payload_2d", "cloth_3d"])
def test_every_frame_shows_points_and_handles_where_they_are(name):
    env = envs.make(name)
    states = states_of(env)
    moving = animation.animate(env, states, title=name)
    artists = moving._func(2)
    springs, (free, handles, trail) = artists[:-3], artists[-3:]
    points = animation.all_points(env, states)
    num_handles = env.parameters.system.num_handles

    def drawn(line):
        return np.stack(line.get_data_3d() if points.shape[-1] == 3 else line.get_data(), axis=-1)

    np.testing.assert_allclose(drawn(free), states.position[2])
    handle = sim.handle_position(env.parameters.system, states.handle[2])
    np.testing.assert_allclose(drawn(handles), handle)
    assert points.shape[1] == num_handles + env.parameters.system.num_points
    assert len(drawn(trail)) == 3
    assert len(springs) == len(env.parameters.system.springs.ends)
    first, second = env.parameters.system.springs.ends[-1]
    np.testing.assert_allclose(drawn(springs[-1]), points[2, [first, second]])
    animation._draw_was_started = True  # it was never shown, and matplotlib would warn of that


def test_slack_cables_are_told_from_taut_ones():
    env = envs.make("payload_2d")
    system = env.parameters.system
    points = np.concatenate([np.asarray(system.handle_origin), np.asarray(env.parameters.rest_position)])[None]
    lifted = points.copy()
    lifted[:, 2:, 1] += 0.1
    ends = system.springs.ends
    np.testing.assert_array_equal(animation.slack_springs(env, points), [[False] * len(ends)])
    np.testing.assert_array_equal(animation.slack_springs(env, lifted)[0], system.springs.cable)


def test_what_is_not_made_of_points_is_refused():
    env = envs.make("pendulum_2d").replace(parameters=None)
    with pytest.raises(InputError, match="only environments made of points and springs can be drawn"):
        animation.animate(env, None)
