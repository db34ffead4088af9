"""What is solved to rounding counts as solved, and nothing else, whichever term of the equation is largest."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import sim
from tests.tiers import slow_but

CASES = {
    "soft": {"stiffness": 20.0},
    "a small step": {"stiffness": 20.0, "time_step": 1e-5},
    "heavy": {"stiffness": 10.0, "mass": 1e3},
    "weightless": {"stiffness": 1.0, "time_step": 1e-3, "gravity": 0.0},
    "damped": {"stiffness": 1.0, "damping": 1e4, "gravity": 0.0},
    "stiff": {"stiffness": 1e9},
}


def make(dtype, *, mass=1.0, stiffness=5e3, damping=0.0, time_step=1 / 30, gravity=9.81):
    system = sim.make_system(
        mass=[mass],
        springs=[sim.Spring(0, 1, stiffness, 0.5, damping)],
        handles=[sim.Handle.in_plane(np.zeros(2))],
        time_step=time_step,
        gravity=gravity,
        dimension=2,
    )
    return jax.tree.map(lambda leaf: leaf.astype(dtype), system)


def start_of(system, velocity):
    dtype = system.mass.dtype
    position = jnp.asarray([[0.0, -0.5]], dtype)
    return sim.initial_state(system, jnp.zeros(2, dtype), position, jnp.asarray([velocity], dtype))


@pytest.mark.parametrize("dtype", slow_but([jnp.float32, jnp.float64], jnp.float32))
@pytest.mark.parametrize("case", CASES)
def test_steps_are_solved_and_wrong_ones_are_told_from_them(case, dtype):
    system = make(dtype, **CASES[case])
    actions = jax.random.uniform(jax.random.key(0), (20, 2), dtype, -3.0, 3.0)

    def advance(state, action):
        after = sim.step(system, state, action)
        wrong = dataclasses.replace(after, velocity=1.01 * after.velocity + 0.03)
        errors = [sim.step_error(system, state, action, each) for each in (after, wrong)]
        return after, errors

    solved, wrong = jax.jit(lambda: jax.lax.scan(advance, start_of(system, [3.0, 0.5]), actions)[1])()
    assert np.max(solved) <= 1
    if case != "stiff" or dtype == jnp.float64:  # in float32 the rounding of k l is larger than m times that velocity
        assert np.min(wrong) > 1


@pytest.mark.slow
def test_at_rest_without_any_force_the_error_is_zero():
    system = make(jnp.float32, gravity=0.0)
    free = dataclasses.replace(system, springs=dataclasses.replace(system.springs, stiffness=jnp.zeros(1)))
    for each in (system, free):
        state, action = start_of(each, [0.0, 0.0]), jnp.zeros(2, jnp.float32)
        assert sim.step_error(each, state, action, sim.step(each, state, action)) == 0.0
