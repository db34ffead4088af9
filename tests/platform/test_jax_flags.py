"""What runs under settings of jax that others use to find their own mistakes."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import jax, jax.numpy as jnp
import pods_jax
from pods_jax import algorithms, envs
env = envs.make("pendulum_2d", horizon=2)
state = env.reset(jax.random.key(0))
trajectory = pods_jax.rollout(env, lambda observation: 0.1 * observation[:1], state)
better = pods_jax.improve(env, state, trajectory.action, "riccati")
assert better.value > better.value_before
settings = dict(batch_size=2, guard={"size": 2}, hidden_sizes=(4,), regression={"gradient_steps": 2})
algorithm = algorithms.make("pods", env, **settings)
state, (row,) = pods_jax.train(algorithm, jax.random.key(0), 1)
assert row["value_improved"] > row["value"]
print("done")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "setting", ["JAX_NUMPY_DTYPE_PROMOTION=strict", pytest.param("JAX_DISABLE_JIT=1", marks=pytest.mark.exhaustive)]
)
def test_a_rollout_an_improvement_and_an_epoch_run(setting):
    name, value = setting.split("=")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {name: value, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=580,
    )
    assert done.stdout == "done\n", done.stderr
