"""Names of physical parameters: what they stand for, and which are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.identification import parameters


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


def test_values_may_be_traced(acrobot):
    state = acrobot.reset(jax.random.key(0))

    def after(mass):
        return parameters.replaced(acrobot, {"mass[0]": mass}).step(state, jnp.ones(1)).velocity

    change = jax.jacfwd(after)(0.5)
    np.testing.assert_allclose(change, (after(0.5 + 1e-6) - after(0.5 - 1e-6)) / 2e-6, rtol=1e-5)


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
