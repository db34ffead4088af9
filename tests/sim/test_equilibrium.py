import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from pods_jax import sim
from pods_jax.checks import InputError

GRAVITY = 9.81


def make(springs, mass, handles=((0.0, 0.0, 0.0),), **more):
    return sim.make_system(
        mass=mass, springs=springs, handles=[sim.Handle.in_space(each) for each in handles], time_step=0.02, **more
    )


@pytest.mark.parametrize("stiffness", [50.0, 5e3])
def test_a_hanging_mass_stretches_its_spring_by_weight_over_stiffness(stiffness):
    system = make([sim.Spring(0, 1, stiffness, 0.5)], [2.0])
    found = sim.equilibrium(system, jnp.asarray([0.1, 0.2, 0.3]), jnp.asarray([[0.4, 0.1, -0.3]]))
    np.testing.assert_allclose(found, [[0.1, 0.2, 0.3 - 0.5 - 2.0 * GRAVITY / stiffness]], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_rope_between_two_handles_is_where_scipy_finds_the_least_energy():
    springs = [sim.Spring(i, j, 300.0, 0.2) for i, j in sim.line([0, 2, 3, 4, 1])]
    system = make(springs, [0.2, 0.3, 0.1], handles=((0.0, 0.0, 0.0), (0.5, 0.0, 0.1)))
    guess = np.array([[0.1, 0.0, -0.2], [0.25, 0.0, -0.25], [0.4, 0.0, -0.2]])
    handles = sim.handle_position(system, jnp.zeros(6))

    def energy(flat):
        return float(sim.potential_energy(system, jnp.asarray(flat.reshape(3, 3)), handles))

    reference = minimize(energy, guess.reshape(-1), method="BFGS", options={"gtol": 1e-7}).x.reshape(3, 3)
    found = sim.equilibrium(system, jnp.zeros(6), jnp.asarray(guess))
    np.testing.assert_allclose(found, reference, atol=1e-5)


def test_without_weight_a_spring_is_as_long_as_at_rest():
    system = make([sim.Spring(0, 1, 5e3, 0.5)], [1.0], gravity=0.0)
    found = sim.equilibrium(system, jnp.zeros(3), jnp.asarray([[0.3, 0.1, -0.3]]))
    np.testing.assert_allclose(jnp.linalg.norm(found), 0.5, rtol=1e-12)


@pytest.mark.slow
def test_an_equilibrium_is_differentiated_by_what_hangs():
    def height(mass, stiffness):
        system = make([sim.Spring(0, 1, stiffness, 0.5)], [mass])
        return sim.equilibrium(system, jnp.zeros(3), jnp.asarray([[0.0, 0.0, -0.5]]))[0, 2]

    got = jax.grad(height, argnums=(0, 1))(2.0, 100.0)
    np.testing.assert_allclose(got, (-GRAVITY / 100.0, 2.0 * GRAVITY / 100.0**2), rtol=1e-9)


def test_points_that_nothing_holds_are_named():
    system = make([sim.Spring(0, 1, 10.0, 0.5), sim.Spring(2, 3, 10.0, 0.5)], [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match=r"points \[2, 3\] are joined to no handle: add springs"):
        sim.equilibrium(system, jnp.zeros(3), jnp.ones((3, 3)))


def test_a_search_that_fails_says_how_far_it_got():
    system = make([sim.Spring(0, 1, 10.0, 0.5)], [1.0])
    with pytest.raises(InputError, match=r"no equilibrium found: a force of .* N is left; guess a position closer"):
        sim.equilibrium(system, jnp.zeros(3), jnp.full((1, 3), jnp.nan))


def test_two_springs_between_the_same_points_are_refused():
    with pytest.raises(InputError, match=r"springs\[1\] joins points 1 and 0, as springs\[0\] does"):
        make([sim.Spring(0, 1, 10.0, 0.5), sim.Spring(1, 0, 10.0, 0.5, cable=True)], [1.0])
