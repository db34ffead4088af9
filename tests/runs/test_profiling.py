import dataclasses
import gzip
import json
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from pods_jax import InputError, envs, train
from pods_jax.algorithms import Algorithm
from pods_jax.algorithms.algorithm import Phase
from pods_jax.runs import experiment, profiling
from tests import tiny
from tests.faults import toy


def growing():
    """An algorithm each of whose epochs is a loop of its own."""

    def advance(state):
        state = jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x) + 1, state)
        return state, {"largest": jnp.max(state)}

    env = envs.make("pendulum_2d", horizon=2)
    return Algorithm("growing", env, None, lambda key: jax.random.normal(key, (100,)), advance, None)


def traces(folder):
    return sorted(folder.rglob("perfetto_trace.json.gz"))


@pytest.mark.parametrize("num_epochs", [1, 2, 3])
def test_a_trace_begins_after_the_first_chunk_and_ends_with_the_chunk_that_has_enough(tmp_path, num_epochs):
    left = {}
    with profiling.Profile(tmp_path, num_epochs) as profile:
        train(
            growing(),
            jax.random.key(0),
            8,
            [profile, lambda report: left.update({report.epoch: len(traces(tmp_path))})],
            epochs_per_chunk=2,
        )
    ended = 4 if num_epochs <= 2 else 6
    assert left == {epoch: int(epoch >= ended) for epoch in (2, 4, 6, 8)}
    (path,) = traces(tmp_path)
    names = {event.get("name", "") for event in json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]}
    assert any("while" in name or "fusion" in name for name in names), "no operation of the program was recorded"


def test_a_run_that_ends_early_leaves_what_was_recorded(tmp_path):
    def give_up(report):
        if report.epoch == 4:
            raise RuntimeError("enough")

    def run():
        with profiling.Profile(tmp_path, 100) as profile:
            train(growing(), jax.random.key(0), 8, [profile, give_up], epochs_per_chunk=2)

    with pytest.raises(RuntimeError, match="enough"):
        run()
    assert len(traces(tmp_path)) == 1


def test_nothing_is_recorded_unless_asked_for(tmp_path):
    with profiling.Profile(tmp_path / "profile", 0) as profile:
        train(growing(), jax.random.key(0), 4, [profile], epochs_per_chunk=2)
    assert not (tmp_path / "profile").exists()


@pytest.mark.parametrize(("num_epochs", "left"), [(1, [5]), (3, []), (1, [5, 4])])
def test_a_run_that_is_over_before_the_recording_begins_is_refused(num_epochs, left):
    with pytest.raises(InputError, match=r"recording begins after the first 5 epochs.*evaluate_every"):
        profiling.check(num_epochs, left, 5)
    profiling.check(0, left, 5)
    assert profiling.check(num_epochs, [*left, 6], 5) == num_epochs


def test_recording_does_not_begin_where_another_program_is_compiled(tmp_path):
    algorithm = growing()
    algorithm = dataclasses.replace(algorithm, later_phases=(Phase("more", 2, algorithm.update),))
    left = {}
    with profiling.Profile(tmp_path, 1, phase_starts=[0, 2]) as profile:
        callbacks = [profile, lambda report: left.update({report.epoch: len(traces(tmp_path))})]
        train(algorithm, jax.random.key(0), 8, callbacks, epochs_per_chunk=2)
    assert left == {2: 0, 4: 0, 6: 1, 8: 1}


@pytest.mark.parametrize("wrong", [-1, 1.5, True])
def test_what_is_not_a_number_of_epochs_is_refused(wrong, tmp_path):
    with pytest.raises(InputError, match="profile_epochs"):
        profiling.check(wrong, [100], 5)


@pytest.mark.slow
def test_the_trainer_leaves_a_trace_in_its_folder(tmp_path, install_toy, capsys):
    install_toy()
    run = partial(experiment.run, evaluator=toy.EVALUATOR)
    config = tiny.config("pods", num_epochs=6, evaluate_every=2)
    with pytest.raises(InputError, match="profile_epochs"):
        run(config, tmp_path / "short", profile_epochs=-1)
    assert not (tmp_path / "short").exists()
    run(config, tmp_path / "run", profile_epochs=2)
    assert len(traces(tmp_path / "run" / "profile")) == 1
    assert "trace" in capsys.readouterr().out
    run(config | {"num_epochs": 8}, tmp_path / "run")  # goes on, the trace stays
    assert len(traces(tmp_path / "run" / "profile")) == 1
