import jax
import jax.numpy as jnp
import optax
import pytest

from pods_jax.algorithms.pods.guard import guard
from pods_jax.policies.descent import Descent
from pods_jax.policies.regression import Learner


def learner(last, average):
    return Learner(Descent(jnp.asarray(last), optax.EmptyState(), jnp.asarray(7, jnp.int32)), jnp.asarray(average))


def guarded(value, fitted=None, strict=True, restart=False):
    """From an old policy 1, worth -5, and a learner whose last iterate is 3 and whose average is 2."""
    old, fitted = jnp.asarray(1.0), fitted or learner(3.0, 2.0)
    return guard(optax.identity(), old, jnp.asarray(-5.0), fitted, jnp.asarray(value), strict, restart)


@pytest.mark.parametrize("value", [-4.0, -5.0])
def test_a_policy_that_is_not_worse_is_taken(value):
    kept = guarded(value)
    assert (kept.params, kept.value, kept.learner.params) == (2.0, value, 3.0)
    assert not kept.acted


def test_a_worse_policy_is_not_taken_but_the_learner_goes_on():
    kept = guarded(-5.001)
    assert (kept.params, kept.value, kept.learner.params) == (1.0, -5.0, 3.0)
    assert kept.acted


@pytest.mark.parametrize("value", [jnp.nan, -jnp.inf])
def test_a_learner_that_is_not_finite_starts_again(value):
    kept = jax.jit(guarded)(value, learner(jnp.nan, jnp.nan))
    assert (kept.params, kept.value, kept.learner.params, kept.learner.average) == (1.0, -5.0, 1.0, 1.0)
    assert kept.learner.num_steps == 7
    assert kept.acted


def test_a_worse_policy_is_taken_where_that_is_allowed_but_never_one_that_is_not_finite():
    kept = guarded(-9.0, strict=False)
    assert (kept.params, kept.value, bool(kept.acted)) == (2.0, -9.0, False)
    kept = guarded(jnp.nan, strict=False)
    assert (kept.params, kept.value, bool(kept.acted)) == (1.0, -5.0, True)


@pytest.mark.parametrize(("value", "restart", "expected"), [(-5.4, True, 3.0), (-5.6, True, 1.0), (-5.6, False, 3.0)])
def test_a_learner_that_lost_a_tenth_starts_again_where_that_is_asked_for(value, restart, expected):
    kept = guarded(value, restart=restart)
    assert (kept.params, kept.value, kept.learner.params) == (1.0, -5.0, expected)
