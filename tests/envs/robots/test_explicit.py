import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.envs.robots.explicit import repeat, runge_kutta, uniform


def turn(state):
    """A harmonic oscillator."""
    return {"place": state["speed"], "speed": -state["place"]}


def after_a_turn(count):
    start = {"place": jnp.asarray(1.0), "speed": jnp.asarray(0.0)}
    step = 2 * jnp.pi / count
    return repeat(lambda state: runge_kutta(turn, state, step), start, count)


def test_runge_kutta_has_order_four():
    errors = [np.hypot(float(end["place"]) - 1, float(end["speed"])) for end in map(after_a_turn, (20, 40))]
    np.testing.assert_allclose(np.log2(errors[0] / errors[1]), 4, atol=0.1)


def test_a_box_is_filled_to_its_walls():
    half = np.array([0.5, 2.0])
    drawn = np.asarray(
        jax.vmap(lambda key: uniform(key, jnp.asarray(half), 2))(jax.random.split(jax.random.key(0), 500))
    )
    assert np.all(np.abs(drawn) <= half)
    np.testing.assert_allclose(np.std(drawn, axis=0), half / np.sqrt(3), rtol=0.1)
    np.testing.assert_allclose(np.max(np.abs(drawn), axis=0), half, rtol=0.02)
