"""The policies of all algorithms, in every format and in double precision, for one observation and for several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import algorithms, envs, export
from tests import tiny
from tests.tiers import slow_but


@pytest.mark.parametrize("format", export.FORMATS)
@pytest.mark.parametrize("name", slow_but(algorithms.names(), "sac"))
def test_a_policy_is_the_same_function_for_one_and_for_seven_observations(name, format, tmp_path):
    package = {"safetensors": "safetensors", "stablehlo": "flatbuffers", "onnx": "onnxruntime"}[format]
    pytest.importorskip(package, reason=f"pip install 'pods_jax[{format}]' to test it")
    env = envs.make("pendulum_3d", horizon=6)
    algorithm = algorithms.make(name, env, **tiny.settings(name))
    policy = algorithm.policy(algorithm.init(jax.random.key(2)))
    path = tmp_path / f"policy.{format}"
    assert export.save_policy(path, env, policy, format, {"algorithm": name}) <= 1e-12
    loaded = export.load_policy(path, env)
    assert loaded.description["observation"]["dtype"] == "float64"
    observations = jax.random.normal(jax.random.key(3), (7, env.observation_size))
    expected = jnp.stack([policy(one) for one in observations])
    for count in (1, 7):
        acted = loaded.batched(observations[:count])
        assert (acted.shape, acted.dtype) == ((count, env.action_size), jnp.float64)
        np.testing.assert_allclose(acted, expected[:count], rtol=0, atol=1e-11 * float(env.action_limit[0]))
    assert np.ptp(expected) > 0
