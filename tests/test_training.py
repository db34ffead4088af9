import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, envs, train
from pods_jax.algorithms import Algorithm
from pods_jax.algorithms.algorithm import Phase
from pods_jax.training import chunks, compile_meanwhile, phases_ahead


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


BEGINS = 4  # the second phase of `two_phases`, counted in epochs


def two_phases(traced=None):
    """An algorithm that counts by ones in its first phase and by hundreds in its second."""
    traced = [] if traced is None else traced

    def counts_by(step):
        def advance(state):
            traced.append(step)  # what is traced is compiled
            return state + step, {"step": jnp.asarray(step), "value": state + step}

        return advance

    env = envs.make("pendulum_2d", horizon=2)
    later = (Phase("hundreds", BEGINS, counts_by(100)),)
    return Algorithm("two", env, None, lambda key: jnp.zeros((), jnp.int32), counts_by(1), None, later)


class TestPhases:
    @pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 20])
    def test_each_epoch_has_the_update_of_its_phase_whatever_the_chunks(self, length):
        state, history = train(two_phases(), jax.random.key(0), 7, epochs_per_chunk=length)
        assert [row["step"] for row in history] == [1, 1, 1, 1, 100, 100, 100]
        assert int(state) == 304

    def test_a_chunk_ends_where_a_phase_does_and_the_compilation_stands_in_the_first_report(self):
        reports, messages = [], []
        announced = {"epochs_per_chunk": 3, "announce": messages.append}
        train(two_phases(), jax.random.key(0), 9, [reports.append], **announced)
        assert [report.epoch for report in reports] == [3, 4, 7, 9]
        assert [report.compile_seconds > 0 for report in reports] == [True, False, True, False]
        assert messages[0] == "compiling the training program ..."
        assert messages[2] == "compiling hundreds ..."
        assert [message.startswith("compiled in") for message in messages] == [False, True, False, True]

    def test_a_phase_is_compiled_when_training_enters_it(self):
        traced = []
        train(two_phases(traced), jax.random.key(0), BEGINS)
        assert traced == [1]
        algorithm, seen = two_phases(traced := []), {}
        settings = {"first_epoch": 0, "num_epochs": 6, "epochs_per_chunk": 2}
        for report in chunks(algorithm, algorithm.init(jax.random.key(0)), **settings):
            seen[report.epoch] = list(traced)
        assert seen == {2: [1], 4: [1], 6: [1, 100]}

    @pytest.mark.parametrize("stopped", [2, BEGINS, 5])
    def test_going_on_enters_the_right_phase(self, stopped):
        whole = train(two_phases(), jax.random.key(0), 8)[1]
        state, first = train(two_phases(), jax.random.key(0), stopped)
        algorithm = two_phases(traced := [])
        ahead = compile_meanwhile(algorithm, 5, (), stopped)
        going_on = {"train_state": state, "first_epoch": stopped, "program": ahead}
        second = train(algorithm, jax.random.key(0), 8, **going_on)[1]
        assert first + second == whole
        assert traced == ([1, 100] if stopped < BEGINS else [100])  # what was compiled ahead was used

    def test_a_program_of_another_phase_is_not_used(self):
        algorithm = two_phases()
        ahead = compile_meanwhile(algorithm, 5, (), 0)
        state = jnp.asarray(4, jnp.int32)
        going_on = {"train_state": state, "first_epoch": BEGINS, "program": ahead}
        assert [row["step"] for row in train(algorithm, jax.random.key(0), 6, **going_on)[1]] == [100, 100]

    def test_nothing_is_compiled_where_nothing_is_left(self):
        algorithm = two_phases(traced := [])
        state, history = train(algorithm, jax.random.key(0), 3, train_state=jnp.int32(3), first_epoch=3)
        assert (int(state), history, traced) == (3, [], [])

    def test_phases_that_are_not_in_order_are_refused(self):
        algorithm = two_phases()
        algorithm = dataclasses.replace(algorithm, later_phases=(*algorithm.later_phases, *two_phases().later_phases))
        assert len(phases_ahead(algorithm, 0, 9)) == 2  # the second of three is empty
        backwards = dataclasses.replace(algorithm.later_phases[0], first_epoch=3)
        algorithm = dataclasses.replace(algorithm, later_phases=(*algorithm.later_phases, backwards))
        with pytest.raises(InputError, match=r"algorithm.phases = \[0, 4, 4, 3\]: must begin in ascending order"):
            train(algorithm, jax.random.key(0), 2)


class TestMisuse:
    @pytest.mark.parametrize("key", [0, np.int64(0), np.zeros(2), None])
    def test_what_is_no_key_is_refused_with_the_cure(self, key):
        with pytest.raises(InputError, match=r"key = .*: must be one random key, for example jax.random.key\(0\)"):
            train(counting(), key, 2)

    def test_a_train_state_needs_no_key(self):
        state = (jnp.zeros((), jnp.int32), jax.random.key(0))
        assert len(train(counting(), None, 2, train_state=state)[1]) == 2

    @pytest.mark.parametrize("algorithm", [envs.make("pendulum_2d", horizon=2), "pods", None])
    def test_what_is_no_algorithm_is_refused(self, algorithm):
        kind = type(algorithm).__name__
        with pytest.raises(InputError, match=rf"algorithm is of type {kind}: .*algorithms.make\(\"pods\", env\)"):
            train(algorithm, jax.random.key(0), 2)

    @pytest.mark.parametrize("callbacks", [print, None, [print, "print"]])
    def test_what_are_no_callbacks_is_refused_before_anything_is_compiled(self, callbacks):
        messages = []
        with pytest.raises(InputError, match="callbacks"):
            train(counting(), jax.random.key(0), 2, callbacks, announce=messages.append)
        assert messages == []

    def test_numpy_integers_are_integers(self):
        reports = []
        train(counting(), jax.random.key(0), np.int64(3), [reports.append], epochs_per_chunk=np.int32(2))
        assert [(report.epoch, type(report.epoch), report.num_epochs) for report in reports] == [
            (2, int, 3),
            (3, int, 3),
        ]
