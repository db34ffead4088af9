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


def to_gymnasium(env: Environment, render_mode: str | None = None) -> Any:
    """The environment as a `gymnasium.Env`, see `compat.gymnasium`. Raises InputError if that is not installed."""
    from pods_jax.compat import gymnasium

    return gymnasium.GymnasiumEnvironment(env, render_mode)


def to_gymnasium_vector(env: Environment, num_envs: int) -> Any:
    """So many copies as a `gymnasium.vector.VectorEnv`. Raises InputError if Gymnasium is not installed."""
    from pods_jax.compat import gymnasium

    return gymnasium.GymnasiumVectorEnvironment(env, num_envs)


__all__ = ["from_brax", "from_gymnax", "from_mjx", "to_brax", "to_gymnasium", "to_gymnasium_vector"]
