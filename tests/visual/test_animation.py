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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["payload_2d", "cloth_3d"])
def test_every_frame_shows_points_and_handles_where_they_are(name):
    env = envs.make(name)
    states = states_of(env)
    moving = animation.animate(env, states, title=name)
    artists = moving._func(2)
    springs, (target, free, handles, trail) = artists[:-4], artists[-4:]
    points = animation.drawings(env, states).points
    num_handles = env.parameters.system.num_handles

    def drawn(line):
        return np.stack(line.get_data_3d() if points.shape[-1] == 3 else line.get_data(), axis=-1)

    np.testing.assert_allclose(drawn(free), states.position[2])
    handle = sim.handle_position(env.parameters.system, states.handle[2])
    np.testing.assert_allclose(drawn(handles), handle)
    shown = env.parameters.rest_position if env.parameters.weights.position else np.zeros((0, points.shape[-1]))
    np.testing.assert_allclose(drawn(target), shown)
    assert points.shape[1] == num_handles + env.parameters.system.num_points
    assert len(drawn(trail)) == 3
    assert len(springs) == len(env.parameters.system.springs.ends)
    first, second = env.parameters.system.springs.ends[-1]
    np.testing.assert_allclose(drawn(springs[-1]), points[2, [first, second]])
    animation._draw_was_started = True  # it was never shown, and matplotlib would warn of that


def test_slack_cables_are_told_from_taut_ones():
    env = envs.make("payload_2d")
    springs, state = env.parameters.system.springs, env.reset(jax.random.key(0))
    hanging = state.replace(position=env.parameters.rest_position, handle=jnp.zeros(2))
    lifted = hanging.replace(position=hanging.position + jnp.array([[0.0, 0.1]]))
    np.testing.assert_array_equal(env.draw(hanging).slack, [False] * len(springs.ends))
    np.testing.assert_array_equal(env.draw(lifted).slack, springs.cable)


@pytest.mark.slow
def test_no_frame_nan_frames_and_states_of_another_environment_are_refused():
    env = envs.make("pendulum_2d", horizon=4)
    states = states_of(env)
    nothing = jax.tree.map(lambda leaf: leaf[:0], states)
    broken = states.replace(position=states.position.at[1].set(jnp.nan))
    of_another = states_of(envs.make("pendulum_3d", horizon=4))
    of_a_robot = states_of(envs.make("cartpole", horizon=4))
    one = jax.tree.map(lambda leaf: leaf[0], states)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), states)
    uneven = states.replace(handle=states.handle[:2])
    for wrong, message in (
        (nothing, "states: hold no frame, must be at least one"),
        (broken, "not finite, first in frame 1"),
        (of_another, r"states\..* has shape"),
        (of_a_robot, "states is "),
        (one, r"states\..* has shape"),
        (batch, r"states\..* has shape"),
        (uneven, r"states\..* has shape"),
        (None, "states is "),
    ):
        for draw in (animation.animate, animation.picture, animation.drawings):
            with pytest.raises(InputError, match=message):
                draw(env, wrong)
