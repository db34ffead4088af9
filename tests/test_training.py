import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, envs, train
from pods_jax.algorithms import Algorithm


def counting(update=None):
    """An algorithm whose epochs count and draw one random number each."""

    def advance(state):
        count, key = state
        key, key_draw = jax.random.split(key)
        metrics = {"count": count, "draw": jax.random.normal(key_draw), "pair": jnp.stack([count, -count])}
        return (count + 1, key), metrics

    env = envs.make("pendulum_2d", horizon=2)
    return Algorithm("counting", env, None, lambda key: (jnp.zeros((), jnp.int32), key), update or advance, None)


def test_history_has_one_row_of_plain_numbers_for_each_epoch():
    state, history = train(counting(), jax.random.key(0), 7, epochs_per_chunk=3)
    assert [row["count"] for row in history] == list(range(7))
    assert history[4]["pair"] == [4, -4]
    assert type(history[0]["draw"]) is float
    assert int(state[0]) == 7


@pytest.mark.parametrize("num_epochs", [1, 7, 12])
def test_the_epoch_is_traced_once_whatever_the_number_of_epochs(num_epochs):
    algorithm = counting()
    traced_once = chex.assert_max_traces(algorithm.update, n=1)
    algorithm = dataclasses.replace(algorithm, update=traced_once)
    chex.clear_trace_counter()
    train(algorithm, jax.random.key(0), num_epochs, epochs_per_chunk=4)


def test_chunks_do_not_change_the_outcome():
    one = train(counting(), jax.random.key(0), 6, epochs_per_chunk=1)[1]
    all_at_once = train(counting(), jax.random.key(0), 6, epochs_per_chunk=6)[1]
    assert one == all_at_once


def test_going_on_equals_never_having_stopped():
    whole_state, whole = train(counting(), jax.random.key(0), 6, epochs_per_chunk=2)
    state, first = train(counting(), jax.random.key(0), 3, epochs_per_chunk=2)
    state, second = train(counting(), jax.random.key(9), 6, epochs_per_chunk=2, train_state=state, first_epoch=3)
    assert first + second == whole
    np.testing.assert_array_equal(jax.random.key_data(state[1]), jax.random.key_data(whole_state[1]))


def test_callbacks_hear_of_every_chunk_and_announce_of_the_compilation():
    reports, messages = [], []
    train(counting(), jax.random.key(0), 5, [reports.append], epochs_per_chunk=2, announce=messages.append)
    assert [report.epoch for report in reports] == [2, 4, 5]
    assert [len(report.metrics) for report in reports] == [2, 2, 1]
    assert reports[0].compile_seconds > 0
    assert reports[1].compile_seconds == 0
    assert all(report.seconds > 0 and report.num_epochs == 5 for report in reports)
    assert "compiling" in messages[0]
    assert "compiled in" in messages[1]


@pytest.mark.parametrize("field", ["num_epochs", "epochs_per_chunk"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_bad_counts_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        train(counting(), jax.random.key(0), **{field: value})
