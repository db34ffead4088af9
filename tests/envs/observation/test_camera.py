"""Pictures of environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, sensors
from pods_jax.checks import InputError


def picture(env, state, **how):
    camera = sensors.camera(**how).fitted(env)
    return camera, np.asarray(camera.read(env, state))


@pytest.mark.slow
def test_points_are_bright_where_they_are():
    env = envs.make("pendulum_2d")
    state = env.reset(jax.random.key(0))
    state = env.step(state, env.action_limit)
    camera, image = picture(env, state, size=64, follow="origin")
    drawing = env.draw(state)
    pixel = 2 * camera.half_width / 64
    for right, up in np.asarray(drawing.points):
        row, column = int((camera.half_width - up) / pixel), int((camera.half_width + right) / pixel)
        assert image[row, column] > 0.7
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.mean(image > 0.1) < 0.1


@pytest.mark.slow
def test_the_handle_stays_in_the_middle():
    env = envs.make("pendulum_2d")
    state = env.reset(jax.random.key(0))
    moved = state.replace(handle=state.handle + 0.3, position=state.position + jnp.asarray([[0.3, 0.0]]))
    np.testing.assert_allclose(picture(env, moved)[1], picture(env, state)[1], atol=1e-5)


@pytest.mark.slow
def test_a_side_view_does_not_see_what_moves_towards_it():
    env = envs.make("double_pendulum_3d")
    state = env.reset(jax.random.key(0))
    moved = state.replace(position=state.position + jnp.asarray([[0.0, 0.1, 0.0]]))
    front, side = {"view": "front", "half_width": 1.5}, {"view": "side", "half_width": 1.5}
    np.testing.assert_allclose(picture(env, moved, **front)[1], picture(env, state, **front)[1], atol=1e-6)
    assert np.max(np.abs(picture(env, moved, **side)[1] - picture(env, state, **side)[1])) > 0.1


@pytest.mark.slow
def test_pictures_have_derivatives():
    with jax.enable_x64(True):
        env = envs.make("pendulum_2d")
        camera = sensors.camera(size=16).fitted(env)
        state = env.reset(jax.random.key(0))

        def mean(shift):
            moved = state.replace(position=state.position + jnp.asarray([[1.0, 0.5]]) * shift)
            return jnp.sum(camera.read(env, moved) * jnp.arange(16.0)[:, None])

        slope = (mean(1e-5) - mean(-1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(mean)(0.0), slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 1}, "size"),
        ({"follow": "load"}, "follow"),
        ({"half_width": -1.0}, "half_width"),
        ({"view": "below"}, "view"),
        ({"spot": 0.0}, "spot"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        sensors.camera(**wrong)


def test_what_cannot_be_drawn_cannot_be_seen():
    env = envs.from_step(
        lambda state, action: 0.9 * state + action,
        lambda key: jax.random.normal(key, (1,)),
        lambda state: state,
        residual=lambda state, action: jnp.concatenate([state, 0.1 * action]),
        action_limit=[1.0],
        horizon=5,
    )
    with pytest.raises(InputError, match="cannot be drawn"):
        envs.observed(env, {"image": sensors.camera()})
    flat = envs.make("pendulum_2d")
    with pytest.raises(InputError, match="in a plane"):
        envs.observed(flat, {"image": sensors.camera(view="side")})
