"""Physical parameters that are not known while an environment is built: many at once, and derivatives by them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.checks import InputError
from tests.tiers import slow_but

PARAMETERS = {
    "pendulum_2d": {"stiffness": 4e3, "mass": 1.3, "link_length": 0.6, "damping": 2.0, "action_limit": 2.0},
    "double_pendulum_3d": {"stiffness": 4e3, "mass": 1.3, "link_length": 0.6},
    "payload_2d": {"side": 0.25, "mass": 0.3, "stiffness": 4e3, "cable_length": 0.55, "handle_distance": 0.7},
    "rope_3d": {"stiffness": 3e3, "mass": 0.3, "link_length": 0.25},
    "cloth_3d": {"spacing": 0.12, "friction": 0.4, "material": (0.03, 250.0, 0.4, 0.03)},
    "cartpole": {"cart_mass": 40.0, "pole_centre": 0.6, "force_limit": 900.0},
    "acrobot": {"mass_1": 0.6, "length_2": 0.35, "gravity": 9.0},
    "quadrotor": {"mass": 1.1, "thrust_to_weight": 2.2, "arm": 0.2},
    "hopper_slip": {"mass": 2.5, "leg_stiffness": 900.0},
}


def solved_with_care(env):
    """The environment as if damping were strong, which it may be where it is traced."""
    if not hasattr(env.parameters, "system"):
        return env
    system = env.parameters.system
    springs = dataclasses.replace(system.springs, strongly_damped=True)
    system = dataclasses.replace(system, springs=springs)
    return dataclasses.replace(env, parameters=dataclasses.replace(env.parameters, system=system))


def close(got, expected, tolerance):
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance), got, expected)


@pytest.mark.parametrize("name", slow_but(list(PARAMETERS), "pendulum_2d"))
def test_an_environment_of_traced_parameters_is_that_of_the_same_numbers(name):
    changes = PARAMETERS[name]
    built = jax.jit(lambda values: envs.make(name, **values))(changes)
    expected = envs.make(name, **changes)
    assert jax.tree.structure(solved_with_care(built)) == jax.tree.structure(solved_with_care(expected))
    close(jax.tree.leaves(built), jax.tree.leaves(expected), 1e-9)


@pytest.mark.parametrize("name", slow_but(["pendulum_2d", "payload_2d"], "pendulum_2d"))
def test_many_are_built_at_once(name):
    stiffness = jnp.asarray([3e3, 5e3, 8e3])
    many = jax.vmap(lambda k: envs.make(name, task="stop", stiffness=k))(stiffness)
    ends = jax.vmap(lambda env: env.step(env.reset(jax.random.key(0)), jnp.ones(env.action_size)))(many)
    for index, value in enumerate(stiffness):
        env = envs.make(name, task="stop", stiffness=float(value))
        end = env.step(env.reset(jax.random.key(0)), jnp.ones(env.action_size))
        close(jax.tree.map(lambda leaf, index=index: leaf[index], ends), end, 1e-7)


@pytest.mark.parametrize(
    ("name", "derivative"),
    [
        ("pendulum_2d", jax.jacfwd),
        pytest.param("pendulum_2d", jax.grad, marks=pytest.mark.slow),
        pytest.param("payload_2d", jax.jacfwd, marks=pytest.mark.exhaustive),
    ],
)
def test_a_return_is_differentiated_by_a_parameter(name, derivative):
    """Through the equilibrium that it starts from as well, against a central difference."""
    actions = 0.5 * jnp.ones((3, envs.make(name).action_size))

    def total(stiffness):
        env = envs.make(name, task="stop_at_origin", stiffness=stiffness)
        return jnp.sum(pods_jax.replay(env, env.reset(jax.random.key(0)), actions).reward)

    step = 1e-2
    difference = (total(5e3 + step) - total(5e3 - step)) / (2 * step)
    assert float(derivative(total)(5e3)) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.parametrize("changes", [{"time_step": 0.1}, {"horizon": 5}, {"weights": (1.0, 1.0, 1.0, 1.0)}])
def test_what_shapes_the_program_is_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(InputError, match=name):
        jax.jit(lambda values: envs.make("pendulum_2d", **values).parameters)(changes)


def test_of_traced_values_the_shape_is_checked():
    with pytest.raises(InputError, match=r"env.stiffness has shape \(2,\)"):
        jax.jit(lambda k: envs.make("pendulum_2d", stiffness=k).parameters)(jnp.ones(2))


@pytest.mark.parametrize("value", ["1", True, None, 1j, float("nan"), [1.0], -1.0])
def test_known_values_are_checked_as_before(value):
    with pytest.raises(InputError, match=r"env\.mass"):
        envs.make("pendulum_2d", mass=value)
