"""The network in MJX is ours: with fine steps both come to the same place."""

import jax
import numpy as np
import pytest

from pods_jax import InputError, envs, replay
from pods_jax.benchmarks import cases, peers


@pytest.fixture(
    scope="module", params=["pendulum_2d", pytest.param("double_pendulum_3d", marks=pytest.mark.exhaustive)]
)
def motion(request):
    env = envs.make(request.param, horizon=15)
    states, actions = cases.inputs(env, 3)
    return env, states, actions, peers._batch(peers.reference(env))(states, actions, 64)


@pytest.mark.slow
def test_fine_steps_of_mjx_converge_to_the_reference(motion):
    env, states, actions, exact = motion
    simulate = peers._batch(peers.mjx_simulator(env))
    errors = [peers._distance(simulate(states, actions, count), exact) for count in (50, 100, 200)]
    assert errors[2] < 2e-3
    assert errors[2] < 0.6 * errors[1] < 0.36 * errors[0]  # Euler's method is of order one


@pytest.mark.slow
def test_fine_steps_of_bdf2_converge_to_the_reference(motion):
    env, _, actions, exact = motion
    fine = envs.make(env.name, horizon=15 * 64, time_step=env.time_step / 64)
    starts, _ = cases.inputs(fine, 3)  # from the same places, with the history of a shorter step
    many = np.repeat(actions, 64, axis=1)
    found = jax.jit(jax.vmap(lambda state, actions: replay(fine, state, actions).state.position))(starts, many)
    assert peers._distance(found[:, 63::64], exact) < 2e-3


@pytest.mark.slow
def test_the_fewest_substeps_are_found(motion):
    env, states, actions, _ = motion
    matched = peers.as_accurate(env, states, actions)
    assert 1 <= matched.num_substeps <= peers.MAX_SUBSTEPS
    assert 0 < matched.their_error <= matched.error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["payload_2d", "cloth_3d"])
def test_what_mjx_has_no_springs_for_is_refused(name):
    with pytest.raises(InputError, match="planes or cables"):
        peers.mjcf(envs.make(name).parameters.system)
