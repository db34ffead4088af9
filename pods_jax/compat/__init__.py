"""Bridges to other libraries; each is imported when it is asked for."""

from typing import Any

from pods_jax.envs.environment import Environment


def to_brax(env: Environment) -> Any:
    """The environment as a `brax.envs.Env`, see `compat.brax`. Raises InputError if Brax is not installed."""
    from pods_jax.compat import brax

    return brax.BraxEnvironment(env)


__all__ = ["to_brax"]
