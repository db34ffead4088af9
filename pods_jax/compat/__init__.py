"""Bridges to other libraries; each is imported when it is asked for."""

from typing import Any

from pods_jax.envs.environment import Environment


def to_brax(env: Environment) -> Any:
    """The environment as a `brax.envs.Env`, see `compat.brax`. Raises InputError if Brax is not installed."""
    from pods_jax.compat import brax

    return brax.BraxEnvironment(env)


def from_brax(env: Any, **settings: Any) -> Environment:
    """A Brax environment as one of ours, see `compat.brax.from_environment`. Raises InputError without Brax."""
    from pods_jax.compat import brax

    return brax.from_environment(env, **settings)


def from_mjx(model: Any, **settings: Any) -> Environment:
    """A MuJoCo model, simulated by MJX, see `compat.mjx.from_model`. Raises InputError without MJX."""
    from pods_jax.compat import mjx

    return mjx.from_model(model, **settings)


def from_gymnax(env: Any, params: Any = None, **settings: Any) -> Environment:
    """An environment with gymnax's interface, see `compat.gymnax.from_environment`."""
    from pods_jax.compat import gymnax

    return gymnax.from_environment(env, params, **settings)


__all__ = ["from_brax", "from_gymnax", "from_mjx", "to_brax"]
