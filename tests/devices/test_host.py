import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from pods_jax.devices.host import is_key, restore_like, to_host


def tree():
    return {"key": jax.random.key(7), "keys": jax.random.split(jax.random.key(1), 3), "x": jnp.arange(3.0), "n": 4}


def test_leaves_become_arrays_of_numpy_and_keys_their_data():
    found = to_host(tree())
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(found))
    np.testing.assert_array_equal(found["keys"], jax.random.key_data(tree()["keys"]))
    assert found["n"] == 4


def test_a_tree_comes_back_as_it_was():
    back = restore_like(tree(), to_host(tree()))
    assert is_key(back["key"])
    assert jax.random.key_impl(back["key"]) == jax.random.key_impl(tree()["key"])
    np.testing.assert_array_equal(jax.random.normal(back["keys"][2]), jax.random.normal(tree()["keys"][2]))
    assert back["x"].dtype == tree()["x"].dtype
    np.testing.assert_array_equal(back["x"], tree()["x"])


def test_it_goes_where_it_is_told():
    place = NamedSharding(jax.make_mesh((1,), ("rollouts",)), PartitionSpec())
    back = restore_like(tree(), to_host(tree()), place)
    assert back["x"].sharding == place
    assert back["key"].sharding.device_set == place.device_set
