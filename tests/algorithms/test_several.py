"""Several seeds in one program: train states with a leading axis, each as if it were trained alone."""

import jax
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, train
from pods_jax.algorithms.several import select, several
from tests.tiny import TINY


def make(name):
    return algorithms.make(name, envs.make("pendulum_2d", horizon=3), hidden_sizes=(4,), **TINY[name])


def numbers(tree):
    leaves = jax.tree.leaves(tree)
    keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return [jax.random.key_data(leaf) if is_key else leaf for leaf, is_key in zip(leaves, keys, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "ppo" else pytest.mark.exhaustive) for name in algorithms.names()],
)
def test_each_of_several_keys_trains_as_it_does_alone(name):
    algorithm, keys = make(name), jax.random.split(jax.random.key(3), 3)
    together, history = train(algorithm, keys, num_epochs=2, epochs_per_chunk=2)
    alone, rows = train(algorithm, keys[1], num_epochs=2, epochs_per_chunk=2)
    for leaf, same in zip(numbers(select(together, 1)), numbers(alone), strict=True):
        np.testing.assert_allclose(leaf, same, rtol=1e-6, atol=1e-9)
    for row, same in zip(history, rows, strict=True):
        assert row.keys() == same.keys()
        for value in row:
            np.testing.assert_allclose(row[value][1], same[value], rtol=1e-6, atol=1e-9, err_msg=value)
    policy = algorithm.policy(select(together, 1))
    assert policy(algorithm.env.observe(algorithm.env.reset(keys[0]))).shape == (1,)


@pytest.mark.slow
def test_it_goes_on_and_reports():
    algorithm, keys, reports = make("bptt"), jax.random.split(jax.random.key(0), 2), []
    whole, _ = train(algorithm, keys, num_epochs=2)
    first, _ = train(algorithm, keys, num_epochs=1, callbacks=[reports.append])
    second, _ = train(algorithm, keys, num_epochs=2, train_state=first, first_epoch=1)
    for leaf, same in zip(numbers(second), numbers(whole), strict=True):
        np.testing.assert_array_equal(leaf, same)
    assert all(len(value) == 2 for value in reports[0].metrics[0].values())


@pytest.mark.slow
def test_later_phases_are_of_all_seeds():
    algorithm = algorithms.make("pods", envs.make("pendulum_2d", horizon=3), fine_tune_after=1, **TINY["pods"])
    both = several(algorithm, 2)
    assert [(phase.name, phase.first_epoch) for phase in both.phases] == [
        (phase.name, phase.first_epoch) for phase in algorithm.phases
    ]
    state = jax.eval_shape(both.init, jax.random.key(0))
    for phase in both.phases:
        assert jax.tree.leaves(jax.eval_shape(phase.update, state)[1])[0].shape[0] == 2


@pytest.mark.parametrize("shape", [(0,), (2, 2)])
def test_other_arrays_of_keys_are_refused(shape):
    keys = jax.random.split(jax.random.key(0), 4)
    given = keys[:0] if shape == (0,) else keys.reshape(shape)
    with pytest.raises(InputError, match="key has shape"):
        train(make("bptt"), given, num_epochs=1)
