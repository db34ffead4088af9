"""What configurations can say of observed and randomised environments."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, sensors
from pods_jax.checks import InputError
from pods_jax.runs import configuration


@pytest.mark.slow
def test_sensors_by_name_are_those_of_python():
    named = envs.make(
        "pendulum_2d",
        randomized={"mass": 0.2},
        observed={
            "sensors": ("position", "camera", "factors"),
            "history": 2,
            "delay": 1,
            "noise": {"position": 0.1},
            "camera": {"size": 8, "half_width": 1.0},
        },
    )
    base = envs.randomized(envs.make("pendulum_2d"), {"mass": 0.2})
    seen = {
        "position": sensors.positions(),
        "camera": sensors.camera(size=8, half_width=1.0),
        "factors": sensors.factors(),
    }
    env = envs.observed(base, seen, history=2, delay=1, noise={"position": 0.1})
    assert jax.tree.structure(named) == jax.tree.structure(env)
    state = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(named.observe(state), env.observe(state))


def test_an_environment_of_which_nothing_is_said_is_itself():
    plain = envs.make("pendulum_2d", observed={}, randomized=None)
    assert plain.functions.core is None


@pytest.mark.parametrize(
    ("observed", "says"),
    [
        ({"sensors": ("positon",)}, "did you mean 'position'"),
        ({"sensor": ("position",)}, "did you mean 'sensors'"),
        ({"sensors": ()}, "must be names"),
        ({"sensors": 3}, "must be names"),
        ({"sensors": ("position",), "history": 0}, "history"),
        ({"sensors": ("position",), "noise": {"velocity": 1.0}}, "noise"),
        ({"sensors": ("camera",), "camera": {"sise": 3}}, "did you mean 'size'"),
        ("position", "dictionary"),
    ],
)
def test_what_cannot_be_seen_is_refused_by_the_name_of_the_setting(observed, says):
    with pytest.raises(InputError, match=says):
        envs.make("pendulum_2d", observed=observed)


@pytest.mark.parametrize("what", ["everything", "positions", "noisy", "pictures", "unknown"])
def test_every_configuration_of_what_is_observed_can_be_made(what):
    env = configuration.check(_config(what)).algorithm.env
    state = env.reset(jax.random.key(0))
    assert jnp.all(jnp.isfinite(env.observe(state)))


def _config(what):
    path = Path(__file__).parents[3] / "configs" / "observed.py"
    spec = importlib.util.spec_from_file_location("observed_config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(what).to_dict()


def test_mistakes_in_a_configuration_are_told_by_their_names():
    config = _config("noisy")
    config["env"]["observed"]["delay"] = -1
    with pytest.raises(InputError, match=r"config\.env\.observed\.delay"):
        configuration.check(config)
