"""Settings of the whole suite: double precision, no silent broadcasting."""

import hypothesis
import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The first example of a test compiles, which takes longer than any deadline.
hypothesis.settings.register_profile("pods_jax", deadline=None, max_examples=20, derandomize=True)
hypothesis.settings.load_profile("pods_jax")


def pytest_configure(config):
    """Keeps compiled programs in pytest's own cache, so that a second run of the suite is fast."""
    if hasattr(config, "cache"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
