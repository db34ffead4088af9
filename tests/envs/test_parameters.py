"""Names of physical parameters: what they stand for, and which are refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, sim
from pods_jax.checks import InputError
from pods_jax.envs import parameters
from tests.tiers import slow_but


@pytest.fixture(scope="module")
def acrobot():
    return envs.make("acrobot")


def test_names_stand_for_each_number_of_an_array(acrobot):
    found = parameters.values(acrobot, ["mass", "inertia[1]", "gravity"])
    assert list(found) == ["mass[0]", "mass[1]", "inertia[1]", "gravity"]
    np.testing.assert_allclose(found["mass[1]"], acrobot.parameters.mass[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("stiffness[:]", [4e3] * 5), ("springs.stiffness[2]", [2e3, 2e3, 4e3, 2e3, 2e3])],
)
def test_numbers_of_spring_networks_are_replaced_together_or_alone(name, expected):
    env = envs.make("rope_3d", stiffness=2e3)
    changed = parameters.replaced(env, {name: 4e3}).parameters.system.springs.stiffness
    np.testing.assert_allclose(changed, expected)
    np.testing.assert_allclose(env.parameters.system.springs.stiffness, [2e3] * 5)


@pytest.mark.slow
def test_values_may_be_traced(acrobot):
    state = acrobot.reset(jax.random.key(0))

    def after(mass):
        return parameters.replaced(acrobot, {"mass[0]": mass}).step(state, jnp.ones(1)).velocity

    change = jax.jacfwd(after)(0.5)
    np.testing.assert_allclose(change, (after(0.5 + 1e-6) - after(0.5 - 1e-6)) / 2e-6, rtol=1e-5)


HANGING = {
    "pendulum_2d": {"mass": [[0.1], [3.0]], "stiffness": [[100.0], [2e4]], "gravity[1]": [0.0, -20.0]},
    "double_pendulum_3d": {"mass": [[1.0, 4.0], [9.0, 0.5]], "link_length[:]": [0.2, 2.0], "gravity[2]": [-1.6, 0.0]},
    "payload_2d": {"mass[:]": [0.1, 2.0], "rest_length[0]": [0.4, 0.8], "stiffness[1]": [500.0, 2e4]},
    "rope_3d": {"mass[4]": [0.1, 5.0], "link_length[:]": [0.1, 0.4], "stiffness[2]": [50.0, 2e4]},
    "cloth_3d": {"mass[:]": [0.01, 0.05], "springs.stiffness[3]": [200.0, 900.0]},
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", slow_but(list(HANGING), "pendulum_2d"))
def test_a_network_of_other_parameters_hangs_where_nothing_pulls_on_it(name, dtype):
    """Where its potential energy has no slope but for rounding, found in a compiled program for many at once."""
    env = jax.tree.map(lambda leaf: leaf.astype(dtype), envs.make(name))
    changes = {key: jnp.asarray(each, dtype) for key, each in HANGING[name].items()}
    found = jax.jit(jax.vmap(parameters.replaced, in_axes=(None, 0)))(env, changes).parameters
    assert found.start_position.dtype == dtype
    for i in range(2):
        payload = jax.tree.map(lambda leaf, i=i: leaf[i].astype(jnp.float64), found)
        handles = sim.handle_position(payload.system, payload.start_handle)
        force = jax.grad(sim.potential_energy, 1)(payload.system, payload.start_position, handles)
        extent = max(np.max(np.abs(each)) for each in (payload.start_position, handles))
        rounding = 16 * jnp.finfo(dtype).eps * extent * np.max(payload.system.springs.stiffness)
        assert np.max(np.abs(force)) <= rounding
        moved = np.max(np.abs(payload.start_position - env.parameters.start_position))
        assert moved > 1e-3
        assert np.array_equal(payload.rest_position, payload.start_position) == (name != "cloth_3d")


def test_a_network_of_other_parameters_is_the_one_that_is_made_of_them():
    changes = {"mass": 2.0, "stiffness": 1e3, "link_length": 0.7}
    got, made = parameters.replaced(envs.make("pendulum_2d"), changes), envs.make("pendulum_2d", **changes)
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-15), got, made)


def test_a_target_of_its_own_stays_where_it_is():
    env = envs.make("pendulum_2d")
    elsewhere = dataclasses.replace(env.parameters, rests_at_start=False)
    found = parameters.replaced(env.replace(parameters=elsewhere), {"springs.stiffness": 1e3}).parameters
    np.testing.assert_array_equal(found.rest_position, env.parameters.rest_position)
    assert np.max(np.abs(found.start_position - env.parameters.start_position)) > 1e-3


def test_the_name_of_a_setting_is_one_of_its_array_where_it_is_one():
    env = envs.make("double_pendulum_3d", link_length=0.4)
    assert parameters.values(env, ["link_length"]) == {"link_length[0]": 0.4, "link_length[1]": 0.4}
    assert parameters.unit_of(env, "link_length[1]") == "m"
    assert parameters.bounds_of(env, "link_length[1]") == (0.0, np.inf)
    with pytest.raises(InputError, match=r"must stand for another number than link_length\[0\]"):
        parameters.find(env, ["link_length", "rest_length[0]"])
    with pytest.raises(InputError, match=r"parameters = 'link_length': did you mean 'rest_length'\?"):
        parameters.find(envs.make("payload_2d"), ["link_length"])


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, [1.0, 2.0], "heavy", None])
def test_values_that_mean_nothing_are_refused(value):
    with pytest.raises(InputError, match=r"values\['mass'\]"):
        parameters.replaced(envs.make("pendulum_2d"), {"mass": value})


def test_a_vector_of_gravity_may_point_anywhere():
    env = parameters.replaced(envs.make("pendulum_2d"), {"gravity": [9.81, 0.0], "stiffness": 1e3})
    expected = [[0.5 + 9.81e-3, 0.0]]
    np.testing.assert_allclose(env.parameters.start_position, expected, atol=1e-12)


def test_units_and_bounds_are_those_of_the_settings(acrobot):
    assert [parameters.unit_of(acrobot, name) for name in ("mass[0]", "inertia[1]", "damping[1]", "gravity")] == [
        "kg",
        "kg m^2",
        "N m s/rad",
        "m/s^2",
    ]
    assert parameters.bounds_of(acrobot, "damping[0]") == (0.0, np.inf)
    assert parameters.bounds_of(acrobot, "motor[0, 0]") == (-np.inf, np.inf)
    rope = envs.make("rope_3d")
    assert parameters.unit_of(rope, "springs.rest_length[0]") == "m"
    assert parameters.bounds_of(rope, "springs.rest_length[0]") == (0.0, np.inf)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mas"], "parameters = 'mas': did you mean 'mass'?"),
        ([], "must name at least one of"),
        ("mass", "must be a list of names, for example ['mass']"),
        (["mass", "mass[1]"], "must stand for another number than mass[1]"),
        (["mass[2]"], "must be an entry of mass, which has shape (2,)"),
        (["mass[:]"], "must be equal numbers to share one value"),
    ],
)
def test_names_that_mean_nothing_are_refused(acrobot, names, message):
    with pytest.raises(InputError) as caught:
        parameters.find(acrobot, names)
    assert message in str(caught.value)


def test_an_ambiguous_name_lists_what_it_may_mean():
    with pytest.raises(InputError, match=r"is not unique: write one of air\.drag, system\.drag"):
        parameters.find(
            envs.make("rope_3d").replace(parameters={"system": {"drag": 1.0}, "air": {"drag": 1.0}}), ["drag"]
        )


def test_an_environment_without_parameters_says_how_to_give_some():
    env = envs.from_step(
        lambda state, action: state + action,
        lambda key: jnp.zeros(1),
        lambda state: state,
        residual=lambda state, action: jnp.concatenate([state, action]),
        action_limit=[1.0],
        horizon=4,
    )
    with pytest.raises(InputError, match=r"keeps no parameters: give a function of named values"):
        parameters.find(env, ["gain"])
