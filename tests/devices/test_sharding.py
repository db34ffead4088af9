"""Several devices are simulated in processes of their own: here, jax has been started with one."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.checks import InputError
from pods_jax.devices import sharding
from tests.faults.processes import environment

DIVIDE = """
import json, jax, jax.numpy as jnp
from pods_jax.devices import sharding
from pods_jax.checks import InputError

def slowest(shared, rollouts):  # how often the slowest rollout of a device needs to be halved
    return jnp.full_like(rollouts, jax.lax.while_loop(
        lambda carry: jnp.any(carry[0] > shared), lambda carry: (carry[0] / 2, carry[1] + 1.0), (rollouts, 0.0))[1])

@jax.jit
def program(shared, rollouts):
    found = sharding.replicate(sharding.shard_map_rollouts(slowest)(shared, sharding.constrain_sharded(rollouts)))
    return found, jnp.sum(found), sharding.num_devices()

with sharding.on(sharding.choose(0)):
    found, total, count = program(jnp.asarray(1.0), 2.0 ** jnp.arange(8))
    try:
        sharding.check("batch_size", 6)
    except InputError as error:
        refusal = str(error)
print(json.dumps([found.tolist(), float(total), int(count), refusal, found.sharding.is_fully_replicated]))
"""

BATCHES = """
import json, jax, jax.numpy as jnp, pods_jax
from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.devices import sharding
from pods_jax.rollouts import rollout_batch
env = envs.make("pendulum_2d", horizon=4)
states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))

def policy(observation):
    return 0.1 * observation[:1]

def program(states):
    visited = rollout_batch(env, policy, states)
    better = pods_jax.improve_batch(env, states, visited, method="riccati")
    return jnp.sum(visited.reward, axis=1), better.value, better.actions

with sharding.on(sharding.choose(0)):
    shared = jax.jit(program)(states)
    inside = sharding.shard_map_rollouts(lambda _, states: program(states))
    nested = jax.jit(inside)((), states)
    try:
        rollout_batch(env, policy, jax.tree.map(lambda leaf: leaf[:6], states))
    except InputError as error:
        refusal = str(error)
alone = program(states)
lists = [jax.tree.map(lambda leaf: leaf.tolist(), found) for found in (alone, shared, nested)]
print(json.dumps([lists, [len(leaf.sharding.device_set) for leaf in shared], refusal]))
"""

TRAIN = """
import json, sys, jax, pods_jax
from pods_jax import algorithms, envs
from pods_jax.devices import sharding
jax.config.update("jax_enable_x64", True)
env = envs.make("pendulum_2d", horizon=8)
fit = {"gradient_steps": 5, "minibatch_size": 64}
algorithm = algorithms.make("pods", env, batch_size=16, guard={"size": 8}, hidden_sizes=(8,), regression=fit)
devices = sharding.choose(int(sys.argv[1]))
state, history = pods_jax.train(algorithm, jax.random.key(0), 3, epochs_per_chunk=2, devices=devices)
state, more = pods_jax.train(
    algorithm, jax.random.key(0), 4, epochs_per_chunk=2, devices=devices, train_state=state, first_epoch=3
)
params = [leaf.tolist() for leaf in jax.tree.leaves(state.params)]
print(json.dumps([[row["value_fitted"] for row in history + more], params]))
"""


def outcome(program, *arguments, num_devices):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment(num_devices))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_each_device_has_loops_of_its_own():
    found, total, count, refusal, replicated = outcome(DIVIDE, num_devices=4)
    assert found == [1, 1, 3, 3, 5, 5, 7, 7]
    assert (total, count, replicated) == (32, 4, True)
    assert refusal == "batch_size = 6: must be a multiple of 4, the number of devices that share rollouts"


@pytest.mark.exhaustive
def test_rollouts_and_improvements_of_a_batch_are_shared_once():
    """Also inside of what is divided already."""
    (alone, shared, nested), num_devices, refusal = outcome(BATCHES, num_devices=4)
    assert num_devices == [4, 4, 4]
    assert refusal == "number of rollouts = 6: must be a multiple of 4, the number of devices that share rollouts"
    for one, other, third in zip(alone, shared, nested, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(third, other)


def test_on_one_device_nothing_is_divided():
    def function(shared, rollouts):
        return shared * rollouts

    with sharding.on(jax.devices()[:1]):
        assert sharding.num_devices() == 1
        assert sharding.shard_map_rollouts(function) is function
        sharding.check("batch_size", 7)
        x = jnp.arange(3.0)
        assert sharding.constrain_sharded(x) is x
        assert sharding.replicate(x) is x
        assert sharding.put_replicated(x, jax.devices()[:1]) is x


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(InputError, match="num_devices"):
        sharding.choose(len(jax.devices()) + 1)


@pytest.mark.exhaustive
def test_one_device_and_eight_give_the_same_training():
    (values, params), (values_divided, params_divided) = (
        outcome(TRAIN, count, num_devices=count) for count in (1, 8)
    )
    np.testing.assert_allclose(values_divided, values, rtol=1e-10)
    for one, other in zip(params, params_divided, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-8, atol=1e-10)
