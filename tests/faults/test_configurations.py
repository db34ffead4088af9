"""Random valid configurations of every environment, method and algorithm train two epochs with finite metrics.

Numbers of the physics vary freely: they are arguments of a compiled program. What a program is compiled for, sizes,
methods and settings of the algorithm, is drawn once for each environment, task and method.
"""

import functools
import random

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies

from pods_jax import algorithms, envs
from pods_jax.runs.configuration import check, default_config
from pods_jax.training import phases_ahead
from pods_jax.trajopt import DIRECTIONS
from tests import tiny

SMALL_SYSTEMS = ("pendulum_2d", "pendulum_3d")
BASELINES = [name for name in algorithms.names() if name != "pods"]
KINDS = [
    (name, task, way)  # a method of PODS or another algorithm
    for name in envs.names()
    for task in envs.tasks(name)
    for way in (*DIRECTIONS, *BASELINES)
    if name in SMALL_SYSTEMS or way != "newton"  # compiling exact Hessians of a cloth takes 10 GB
]
FIXED = ("time_step",)  # part of the program
SMALL = {"cloth_3d": {"rows": 2, "columns": 4}, "rope_3d": {"num_points": 2}}


def sections(kind):
    """The sections of a configuration of one kind, but for the numbers of the physics."""
    name, task, way = kind
    draw = random.Random("/".join(kind))
    horizon = 3 if way == "shac" else draw.choice((1, 2, 3))  # a multiple of its window
    env = {"name": name, "task": task, "horizon": horizon} | SMALL.get(name, {})
    if way in BASELINES:
        settings = tiny.settings(way)
        group = "regression" if way == "gps" else "optimizer"
        rate = {"learning_rate": 10 ** draw.uniform(-4, -2)}
        return env, {"name": way, **settings, group: settings.get(group, {}) | rate}
    batch_size = draw.choice((2, 3))
    return env, {
        "name": "pods",
        "batch_size": batch_size,
        "hidden_sizes": draw.choice(((4,), (3, 2))),
        "fine_tune_after": draw.choice((0, 1)),
        "improvement": {"method": way, "damping": draw.choice((0.0, 1e-2))},
        "regression": {
            "states": draw.choice(("auto", "improved")),
            "gradient_steps": draw.choice((1, 3)),
            "minibatch_size": draw.choice((0, 2)),
        },
        "optimizer": {"learning_rate": 10 ** draw.uniform(-4, -1)},
        "guard": {"size": draw.choice((0, 1, batch_size))},
    }


@functools.cache
def program(kind):
    """The start of one kind and its first two epochs, compiled for any numbers of the physics."""
    settings = sections(kind)[1]

    @jax.jit
    def begin(env, key):
        return algorithms.make(env=env, **settings).init(key)

    def update(index):
        """The update of epoch `index`, counted from 0."""

        @jax.jit
        def epoch(env, state):
            ((phase, _),) = phases_ahead(algorithms.make(env=env, **settings), index, index + 1)
            return phase.update(state)

        return epoch

    first = update(0)
    return begin, (first, update(1) if settings.get("fine_tune_after") == 1 else first)


def draw_checked(data):
    """A kind, and a configuration of it with random numbers, checked."""
    kind = data.draw(strategies.sampled_from(KINDS), "kind")
    env_section, algorithm_section = sections(kind)
    defaults = envs.settings(kind[0])
    numbers = [field for field in sorted(defaults) if isinstance(defaults[field], float) and field not in FIXED]
    changed = {field: defaults[field] * data.draw(strategies.floats(0.6, 1.6), field) for field in numbers}
    seed = data.draw(strategies.integers(0, 2**32 - 1), "seed")
    config = default_config(algorithm_section["name"])
    return kind, check(config | {"env": env_section | changed, "algorithm": algorithm_section, "seed": seed})


@pytest.mark.slow
@hypothesis.settings(max_examples=3)
@hypothesis.given(strategies.data())
def test_random_valid_configurations_are_accepted(data):
    assert draw_checked(data)[1].algorithm.env.name in envs.names()


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
@hypothesis.settings(max_examples=200)
@hypothesis.given(strategies.data())
def test_two_hundred_configurations_train_two_epochs(data):
    kind, checked = draw_checked(data)
    begin, epochs = program(kind)
    env = checked.algorithm.env
    state = begin(env, jax.random.key(checked.seed))
    for epoch in epochs:
        state, metrics = epoch(env, state)
        for name, value in metrics.items():
            assert np.all(np.isfinite(value)), name
        assert metrics["unhealthy_rollouts"] < checked.algorithm.config.batch_size
