import jax
import jax.numpy as jnp
import pytest

from pods_jax.algorithms.pods.guard import guard
from pods_jax.policies.regression import Learner


def learner(last, average):
    return Learner(jnp.asarray(last), jnp.asarray(average), optimizer_state=(), num_steps=jnp.asarray(7))


OLD, FITTED, FRESH = jnp.asarray(1.0), learner(3.0, 2.0), learner(1.0, 1.0)


@pytest.mark.parametrize("value", [-4.0, -5.0])
def test_a_policy_that_is_not_worse_is_taken(value):
    kept = guard(OLD, jnp.asarray(-5.0), FITTED, jnp.asarray(value), FRESH)
    assert (kept.params, kept.value, kept.learner.params) == (2.0, value, 3.0)
    assert not kept.acted


def test_a_worse_policy_is_not_taken_but_the_learner_goes_on():
    kept = guard(OLD, jnp.asarray(-5.0), FITTED, jnp.asarray(-5.001), FRESH)
    assert (kept.params, kept.value, kept.learner.params) == (1.0, -5.0, 3.0)
    assert kept.acted


@pytest.mark.parametrize("value", [jnp.nan, -jnp.inf])
def test_a_learner_that_is_not_finite_starts_again(value):
    kept = jax.jit(guard)(OLD, jnp.asarray(-5.0), learner(jnp.nan, jnp.nan), jnp.asarray(value), FRESH)
    assert (kept.params, kept.value, kept.learner.params) == (1.0, -5.0, 1.0)
    assert kept.acted


def test_a_worse_policy_is_taken_where_that_is_allowed_but_never_one_that_is_not_finite():
    kept = guard(OLD, jnp.asarray(-5.0), FITTED, jnp.asarray(-9.0), FRESH, allow_worse=True)
    assert (kept.params, kept.value, bool(kept.acted)) == (2.0, -9.0, False)
    kept = guard(OLD, jnp.asarray(-5.0), FITTED, jnp.asarray(jnp.nan), FRESH, allow_worse=True)
    assert (kept.params, kept.value, bool(kept.acted)) == (1.0, -5.0, True)


@pytest.mark.parametrize(("value", "restart", "expected"), [(-5.4, True, 3.0), (-5.6, True, 1.0), (-5.6, False, 3.0)])
def test_a_learner_that_lost_a_tenth_starts_again_where_that_is_asked_for(value, restart, expected):
    kept = guard(OLD, jnp.asarray(-5.0), FITTED, jnp.asarray(value), FRESH, restart=restart)
    assert (kept.params, kept.value, kept.learner.params) == (1.0, -5.0, expected)
