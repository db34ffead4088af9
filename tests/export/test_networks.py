"""Policies that see pictures and histories, as files: the same function where there is no package to help.

A child process that imports jax or onnxruntime, and nothing of the package, answers observations of an episode.
"""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import pods_jax
from pods_jax import algorithms, envs, export, sensors
from pods_jax.checks import InputError

CHILD = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(path)
act = lambda seen: session.run(["action"], {"observation": seen})[0]
""",
    "stablehlo": """
import jax
jax.config.update("jax_enable_x64", dtype == "float64")
act = jax.export.deserialize(bytearray(open(path, "rb").read())).call
""",
}
SERVE = """
import json, sys
import numpy as np
path, dtype = sys.argv[1:]
{}
for line in sys.stdin:
    print(json.dumps(np.asarray(act(np.asarray(json.loads(line), dtype))).tolist()), flush=True)
assert not any(name.split(".")[0] in ("pods_jax", "flax") for name in sys.modules)
"""


def make_env(network):
    """What each network is for; the first 192 numbers are pictures, unless it reads histories of numbers."""
    pictures = {} if network in ("mlp", "gru") else {"image": sensors.camera(size=8)}
    base = envs.make("pendulum_2d", horizon=6)
    return envs.observed(base, pictures | {"place": sensors.positions()}, history=3, delay=1)


def make_policy(env, network, seed=0):
    """A policy whose actions reach from limit to limit, unlike those of an untrained one."""
    algorithm = algorithms.make("bptt", env, network=network, hidden_sizes=(8,), batch_size=80)
    policy = algorithm.policy(algorithm.init(jax.random.key(seed)))
    (variables,) = policy.args
    kernel = variables["params"]["Dense_1"]["kernel"]
    variables["params"]["Dense_1"]["kernel"] = 300 * kernel
    return jax.tree_util.Partial(policy.func, variables)


def package_of(format):
    return {"safetensors": "safetensors", "stablehlo": "flatbuffers", "onnx": "onnxruntime"}[format]


CASES = [("onnx", "gru"), ("onnx", "cnn"), ("stablehlo", "gru"), ("stablehlo", "cnn")]


@pytest.mark.slow
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(("format", "network"), CASES)
def test_a_file_acts_without_the_package_as_the_policy_does(format, network, double, tmp_path):
    pytest.importorskip(package_of(format), reason=f"pip install 'pods_jax[{format}]' to test it")
    with jax.enable_x64(double):
        env = make_env(network)
        policy, path = make_policy(env, network), tmp_path / f"policy.{format}"
        export.save_policy(path, env, policy, format)
        start = env.reset(jax.random.key(1))
        played = pods_jax.rollout(env, policy, start)
        assert np.ptp(played.action) > 0.1 * float(env.action_limit[0])
        command = [sys.executable, "-I", "-c", SERVE.format(CHILD[format]), path, env.action_limit.dtype.name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
        with subprocess.Popen(command, **pipes) as child:

            def act(observations):
                child.stdin.write(json.dumps(np.asarray(observations).tolist()) + "\n")
                child.stdin.flush()
                return jnp.asarray(json.loads(child.stdout.readline()), observations.dtype)

            state, step, actions = start, jax.jit(env.step), []
            for _ in range(env.horizon):
                (action,) = act(env.observe(state)[None])
                state, actions = step(state, action), [*actions, action]
            seven = jax.random.normal(jax.random.key(2), (7, env.observation_size), env.action_limit.dtype)
            together = act(seven)
            child.stdin.close()
            assert child.wait(timeout=60) == 0
        np.testing.assert_allclose(actions, played.action, rtol=0, atol=1e-5)
        expected = jnp.stack([policy(one) for one in seven])
        np.testing.assert_allclose(together, expected, rtol=0, atol=1e-11 if double else 3e-4)


@pytest.mark.parametrize("network", ["mlp", "gru", pytest.param("cnn", marks=pytest.mark.slow)])
def test_weights_come_with_the_network_that_they_are_of(network, tmp_path):
    env, path = make_env(network), tmp_path / "policy.safetensors"
    policy = make_policy(env, network)
    export.save_policy(path, env, policy, "safetensors")
    loaded = export.load_policy(path)
    assert loaded.description["network"]["encoder"] == network
    seen = jax.random.normal(jax.random.key(2), (env.observation_size,))
    np.testing.assert_allclose(loaded(seen), policy(seen), atol=1e-12)


class Own(nn.Module):
    """Of what users build, a little of each: convolutions, normalisation, recurrence, cases."""

    size: int = 5

    @nn.compact
    def __call__(self, seen):
        dtype, start = seen.dtype, seen.shape[:-1]
        image = seen[..., :192].reshape(*start, 3, 8, 8)[..., 0, :, :, None]
        image = nn.gelu(nn.Dense(4, param_dtype=dtype)(image))
        image = nn.LayerNorm(param_dtype=dtype)(image)
        history = nn.RNN(nn.LSTMCell(self.size, param_dtype=dtype))(seen[..., 192:198].reshape(*start, 3, 2))
        last = seen[..., 192:]
        cases = jnp.where(last > 0, jnp.sin(last), last**2)
        return jnp.concatenate([image.mean((-2, -3)), history[..., -1, :], cases], -1)


@pytest.mark.slow
@pytest.mark.parametrize("format", export.FORMATS)
def test_a_module_of_ones_own_is_exported(format, tmp_path):
    pytest.importorskip(package_of(format), reason=f"pip install 'pods_jax[{format}]' to test it")
    with jax.numpy_rank_promotion("allow"):  # as flax's layers need it
        env, path = make_env(Own()), tmp_path / f"policy.{format}"
        policy = make_policy(env, Own())
        assert export.save_policy(path, env, policy, format) <= 1e-12
        if format == "safetensors":
            with pytest.raises(InputError, match=r"network = None: must be the flax module .*stablehlo or onnx"):
                export.load_policy(path)
            with pytest.raises(InputError, match="other weights"):
                export.load_policy(path, network=Own(7))
            loaded = export.load_policy(path, env, network=Own())
        else:
            loaded = export.load_policy(path, env)
            with pytest.raises(InputError, match=r"network is of type Own: must not be given"):
                export.load_policy(path, network=Own())
        assert loaded.description["network"]["encoder"] == "own"
        seen = jax.random.normal(jax.random.key(2), (env.observation_size,))
        np.testing.assert_allclose(loaded(seen), policy(seen), atol=1e-11)
