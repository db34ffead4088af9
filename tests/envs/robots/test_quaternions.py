import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pods_jax.envs.robots import quaternions


@pytest.fixture
def pair():
    first, second = np.random.default_rng(0).normal(size=(2, 4))
    return first / np.linalg.norm(first), second / np.linalg.norm(second)


def rotation(quaternion):
    return Rotation.from_quat(quaternion, scalar_first=True)


def test_a_rotation_is_that_of_its_matrix(pair):
    vector = np.array([0.3, -1.2, 0.7])
    expected = rotation(pair[0]).as_matrix()
    np.testing.assert_allclose(quaternions.matrix(jnp.asarray(pair[0])), expected, atol=1e-14)
    np.testing.assert_allclose(quaternions.rotate(jnp.asarray(pair[0]), vector), expected @ vector, atol=1e-14)


def test_a_product_turns_by_the_second_first(pair):
    product = quaternions.product(*map(jnp.asarray, pair))
    expected = (rotation(pair[0]) * rotation(pair[1])).as_matrix()
    np.testing.assert_allclose(quaternions.matrix(product), expected, atol=1e-14)


def test_about_an_axis_by_an_angle():
    axis = np.array([0.6, 0.0, 0.8])
    expected = Rotation.from_rotvec(1.3 * axis).as_quat(scalar_first=True)
    np.testing.assert_allclose(quaternions.about(jnp.asarray(axis), jnp.asarray(1.3)), expected, atol=1e-14)


def test_turning_at_a_constant_rate_converges_to_the_rotation_and_stays_of_unit_length(pair):
    rate, duration = np.array([1.0, -2.0, 0.5]), 0.4
    expected = (rotation(pair[0]) * Rotation.from_rotvec(duration * rate)).as_matrix()
    errors = []
    for count in (50, 100):
        step = jnp.asarray(duration / count)
        turn = jax.jit(lambda attitude, step=step: quaternions.turned(attitude, jnp.asarray(rate), step))
        attitude = jnp.asarray(pair[0])
        for _ in range(count):
            attitude = turn(attitude)
        np.testing.assert_allclose(jnp.sum(attitude**2), 1.0, rtol=1e-13)
        errors.append(np.max(np.abs(quaternions.matrix(attitude) - expected)))
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] > 1.9
