"""States as vectors of real numbers: what carries no derivative comes back bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.trajopt import flatten

WHOLE = {
    "uint32": [0, 1, 4_000_000_001, 2**32 - 1],
    "int32": [-(2**31), -1, 0, 2**31 - 1],
    "int64": [-(2**63), -1, 2**53 + 1, 2**63 - 1],
    "uint64": [0, 2**53 + 1, 2**64 - 1],
    "int8": [-128, -1, 127],
    "uint16": [0, 2**16 - 1],
    "bool": [True, False],
}


@pytest.mark.parametrize("real", ["float32", "float64"])
@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_whole_numbers_and_flags_come_back_exactly(kind, real):
    state = {"place": jnp.asarray([0.1, -2.0], real), "count": jnp.asarray(np.array(WHOLE[kind], kind))}
    vector, unflatten = flatten(state)
    assert vector.dtype == real
    assert vector.shape == (2 + len(WHOLE[kind]) * (4 if kind.endswith("64") else 2),)
    back = unflatten(vector)
    assert back["count"].dtype == kind
    np.testing.assert_array_equal(back["count"], np.array(WHOLE[kind], kind))
    np.testing.assert_array_equal(back["place"], state["place"])


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_random_keys_draw_the_same_numbers_again(impl):
    keys = jax.random.split(jax.random.key(3, impl=impl), 2)
    vector, unflatten = jax.jit(lambda keys: flatten({"keys": keys, "place": jnp.zeros(1)})[0])(keys), None
    unflatten = flatten({"keys": keys, "place": jnp.zeros(1)})[1]
    back = jax.jit(unflatten)(vector)["keys"]
    assert back.dtype == keys.dtype
    np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(keys))


def test_without_whole_numbers_it_is_the_leaves_in_their_order():
    state = {"b": jnp.arange(4.0).reshape(2, 2), "a": jnp.asarray(7.0)}
    vector, unflatten = flatten(state)
    np.testing.assert_array_equal(vector, [7, 0, 1, 2, 3])
    assert jax.tree.structure(unflatten(vector)) == jax.tree.structure(state)
    np.testing.assert_array_equal(unflatten(vector)["b"], state["b"])


@pytest.mark.slow
def test_what_is_whole_has_the_derivative_zero():
    state = {"count": jnp.asarray(7, jnp.int32), "place": jnp.asarray(2.0)}
    vector, unflatten = flatten(state)

    def after(vector):
        here = unflatten(vector)
        return flatten({"count": here["count"] + 1, "place": here["count"] * here["place"]})[0]

    np.testing.assert_array_equal(jax.jacfwd(after)(vector), [[0, 0, 0], [0, 0, 0], [0, 0, 7.0]])
    np.testing.assert_array_equal(after(vector), [8, 0, 14])
