"""Settings of the whole suite: double precision, no silent broadcasting."""

import os
import pathlib

import hypothesis
import jax
import pytest

from pods_jax import envs

# A test mostly waits for a compiler, which needs a third of the time for programs that are not optimised and whose
# fused loops are emitted the plain way. What is tested does not depend on it;
# XLA_FLAGS=--xla_backend_optimization_level=3 has the programs that users run.
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    quickly = "--xla_backend_optimization_level=0"
    if jax.__version_info__ < (0, 11):  # the last ones that know the plain way; others end at an unknown flag
        quickly += " --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quickly}".strip()

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The first example of a test compiles, which takes longer than any deadline.
hypothesis.settings.register_profile("pods_jax", deadline=None, max_examples=20, derandomize=True)
hypothesis.settings.load_profile("pods_jax")


def pytest_configure(config):
    """Keeps compiled programs in pytest's own cache, so that a second run of the suite is fast."""
    if hasattr(config, "cache"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))


@pytest.fixture
def install_toy():
    """Puts a toy in the place of algorithms, see `tests.faults.toy.install`, until the test ends."""
    from tests.faults import toy

    yield toy.install
    toy.uninstall()


@pytest.fixture
def undisturbed(install_toy, tmp_path):
    """Trains the toy without disturbance, as the child of the tests of faults does; returns the folder."""
    from configs import pods as pods_config
    from pods_jax.runs import experiment
    from tests.faults import toy

    install_toy()

    def run(num_epochs, **counts):
        config = pods_config.get_config().to_dict()
        counts = {"num_epochs": num_epochs, "evaluate_every": 1, "num_test_rollouts": 4} | counts
        experiment.run(config | counts, tmp_path / "undisturbed", evaluator=toy.EVALUATOR)
        return tmp_path / "undisturbed"

    return run


MANY_MAPS = 20_000
"""Linux ends a process that maps more than 65 530 pieces of memory, and each compiled program takes many."""


@pytest.fixture(autouse=True, scope="module")
def few_maps():
    """Forgets compiled programs, between two files, when they have become too many for one process."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="module")
def env():
    """A planar pendulum for six steps, in files without an environment of their own."""
    return envs.make("pendulum_2d", "stop_at_origin", horizon=6)


@pytest.fixture(scope="module")
def state(env):
    """An initial state of it."""
    return env.reset(jax.random.key(0))


@pytest.fixture(scope="module")
def actions(env):
    """Close enough to the limits of 3 m/s that an improvement runs into them."""
    return jax.random.uniform(jax.random.key(1), (env.horizon, 1), minval=-2.9, maxval=2.9)
