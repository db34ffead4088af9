"""Bridges to other libraries, in both directions; each is imported when it is asked for.

    to_brax, to_gymnasium, to_gymnasium_vector    our environments for their users
    from_brax, from_mjx, from_gymnax              their simulators as environments here

A simulator of your own needs no bridge: `envs.from_step`.
"""

from typing import Any

from pods_jax.envs.environment import Environment


def to_brax(env: Environment) -> Any:
    """The environment as a `brax.envs.Env`, see `compat.brax`. Raises InputError if Brax is not installed."""
    from pods_jax.compat import brax

    return brax.BraxEnvironment(env)


__all__ = ["to_brax"]
