"""An inverted pendulum that a weak motor can hold only near upright: deviations grow by a third in each step."""

import jax
import jax.numpy as jnp

from pods_jax import envs

TIME_STEP, PULL, LIMIT = 0.1, 9.0, 2.0


def step(state, action):
    velocity = state["velocity"] + TIME_STEP * (PULL * jnp.sin(state["angle"]) + action[0])
    return {"angle": state["angle"] + TIME_STEP * velocity, "velocity": velocity}


def reset(key):
    angle, velocity = jax.random.uniform(key, (2,), minval=-0.1, maxval=0.1)
    return {"angle": angle, "velocity": velocity}


def observe(state):
    return jnp.stack([jnp.sin(state["angle"]), jnp.cos(state["angle"]), state["velocity"]])


def residual(state, action):
    return jnp.stack([2 * jnp.sin(state["angle"] / 2), 0.3 * state["velocity"], 0.1 * action[0]])


UPRIGHT = {"angle": 0.0, "velocity": 0.0}


def make_unstable(horizon=30, goal=UPRIGHT):
    return envs.from_step(
        step,
        reset,
        observe,
        residual=residual,
        measure=lambda state: {"height": jnp.cos(state["angle"])},
        goal=goal,
        action_limit=[LIMIT],
        horizon=horizon,
        time_step=TIME_STEP,
    )
