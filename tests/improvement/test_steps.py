import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, improve, improve_batch, replay
from pods_jax.devices import chunking
from pods_jax.improvement import improve_trajectory
from pods_jax.rollouts import flatten_states
from pods_jax.trajopt import DIRECTIONS, WITHOUT_FEEDBACK
from tests.tiers import slow_but

HORIZON = 6  # of the environment in conftest.py
TIERS = {"newton": [pytest.mark.exhaustive], "conjugate_gradient": [pytest.mark.exhaustive]}
TIERS |= {"gauss_newton": [pytest.mark.slow]}
METHODS = [pytest.param(name, marks=TIERS.get(name, [])) for name in DIRECTIONS]
"""The exact Hessian compiles for longest, and is tested in tests/trajopt."""


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_improved_actions_are_better_within_the_limits_and_what_they_say(env, state, actions, method):
    better = improve(env, state, actions, method=method)
    before, after = replay(env, state, actions), replay(env, state, better.actions)
    np.testing.assert_allclose(better.value_before, np.sum(before.reward), rtol=1e-12)
    np.testing.assert_allclose(better.value, np.sum(after.reward), rtol=1e-12)
    chex.assert_trees_all_close(better.state, after.state, rtol=1e-12, atol=1e-13)
    assert float(better.value) > float(better.value_before)
    assert float(better.step_size) > 0
    assert float(better.slope) < 0
    assert np.all(np.abs(better.actions) <= env.action_limit[None])
    assert better.gains.shape == (HORIZON, 1, flatten_states(after.state).shape[1])
    if method in WITHOUT_FEEDBACK:
        assert not np.any(better.gains)
        np.testing.assert_array_equal(better.action_hessian, np.ones((HORIZON, 1, 1)))
    else:
        assert np.any(better.gains)
        assert np.all(better.action_hessian > 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", [pytest.param("first_order", marks=pytest.mark.exhaustive), "riccati"])
def test_three_steps_are_three_improvements_in_a_row(env, state, actions, method):
    at_once = improve(env, state, actions, method=method, num_steps=3)
    one = improve(env, state, actions, method=method)
    three = improve(env, state, improve(env, state, one.actions, method=method).actions, method=method)
    np.testing.assert_allclose(at_once.actions, three.actions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(at_once.value_before, one.value_before, rtol=1e-12)
    assert float(at_once.value) > float(one.value)


@pytest.mark.slow
def test_a_batch_gives_what_each_rollout_gives_alone_and_a_nan_stays_in_its_lane(env, actions):
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(5), 3))
    broken = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), states)
    improve_all = jax.jit(jax.vmap(lambda state: improve(env, state, actions, method="riccati")))
    healthy, mixed = improve_all(states), improve_all(broken)
    for lane in (0, 2):
        of_lane = jax.tree.map(lambda leaf, lane=lane: leaf[lane], (healthy, mixed, states))
        chex.assert_trees_all_equal(of_lane[0], of_lane[1])
        alone = improve(env, of_lane[2], actions, method="riccati")
        np.testing.assert_allclose(of_lane[0].actions, alone.actions, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(of_lane[0].value, alone.value, rtol=1e-12)
    assert float(mixed.step_size[1]) == 0
    np.testing.assert_array_equal(mixed.actions[1], actions)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_nan_in_the_state_changes_no_action(env, state, actions, method):
    better = improve(env, jax.tree.map(lambda leaf: leaf * jnp.nan, state), actions, method=method)
    assert float(better.step_size) == 0
    np.testing.assert_array_equal(better.actions, actions)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("gauss_newton", marks=pytest.mark.exhaustive),
        pytest.param("first_order", marks=pytest.mark.slow),
        "riccati",
    ],
)
@pytest.mark.parametrize("chunk_size", slow_but([0, 2], 2))
def test_a_batch_in_chunks_is_improved_like_its_trajectories_one_by_one(env, method, chunk_size):
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(5), 5))
    actions = jax.random.uniform(jax.random.key(6), (5, HORIZON, 1), minval=-2.9, maxval=2.9)
    played = jax.vmap(lambda state, actions: replay(env, state, actions))(states, actions)
    together = improve_batch(env, states, played, method=method, chunk_size=chunk_size)
    one_by_one = jax.vmap(lambda state, actions: improve(env, state, actions, method=method))(states, actions)
    assert together.method == one_by_one.method == method
    chex.assert_trees_all_close(together, one_by_one, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_directions_are_found_in_smaller_chunks_than_line_searches(env, monkeypatch):
    """Their matrices are what does not fit into caches."""
    seen = []
    in_chunks = chunking.in_chunks

    def spy(function, inputs, numbers, chosen=0):
        found = in_chunks(function, inputs, numbers, chosen)
        seen.append((type(found).__name__, numbers, chosen))
        return found

    monkeypatch.setattr(chunking, "in_chunks", spy)
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(7), 3))
    played = jax.vmap(lambda state: replay(env, state, jnp.zeros((HORIZON, 1))))(states)
    for method, size in (("riccati", env.state_size), ("gauss_newton", HORIZON)):
        improve_batch(env, states, played, method=method, chunk_size=3)
        assert seen[-2:] == [("Direction", size**2, 3), ("Improvement", 1, 0)]


def test_an_unknown_method_is_refused_with_the_closest_name(env, state, actions):
    with pytest.raises(InputError, match="method = 'gaus_newton': did you mean 'gauss_newton'"):
        improve(env, state, actions, method="gaus_newton")


@pytest.mark.parametrize("num_steps", [0, -1, 1.5, True])
def test_a_bad_number_of_steps_is_refused(env, state, actions, num_steps):
    with pytest.raises(InputError, match="num_steps"):
        improve(env, state, actions, num_steps=num_steps)


@pytest.mark.parametrize("damping", [-1e-9, float("nan"), float("inf"), True])
def test_a_damping_that_is_not_allowed_is_refused(env, state, actions, damping):
    played = replay(env, state, actions)
    batch = jax.tree.map(lambda leaf: leaf[None], (state, played))
    with pytest.raises(InputError, match=r"damping = .*: must be a finite number, at least 0"):
        improve(env, state, actions, damping=damping)
    with pytest.raises(InputError, match="damping"):
        improve_batch(env, *batch, damping=damping)


@pytest.mark.parametrize("shape", [(HORIZON,), (1, HORIZON, 1), (HORIZON, 2)])
def test_actions_of_another_shape_are_refused(env, state, actions, shape):
    with pytest.raises(InputError, match=r"actions have shape .*: must have shape \(T, 1\)"):
        improve(env, state, jnp.zeros(shape))
    with pytest.raises(InputError, match="actions have shape"):
        improve_trajectory(env, state, replay(env, state, actions).replace(action=jnp.zeros(shape)))
