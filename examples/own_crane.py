"""An overhead crane of one's own: a trolley on a rail, a hoist, and a payload that swings below it.

In the folder of this file: pods-train --config.env.name=own_crane:make_crane --workdir=runs/crane
"""

import jax
import jax.numpy as jnp

from pods_jax import envs


def make_crane(payload=50.0, horizon=60, time_step=0.05) -> envs.Environment:
    """Bring a payload [kg], which swings and hangs anywhere, to rest 2 m below the middle of the rail."""

    def step(state, action):  # forces [N]: on the trolley, and along the rope beyond the weight of the payload
        _, rope, angle, v, w, spin = state
        tension, sin, cos = payload * 9.81 - action[1], jnp.sin(angle), jnp.cos(angle)
        trolley = (action[0] + tension * sin) / 20.0 - 2.0 * v
        hoist = rope * spin**2 + 9.81 * cos - tension / payload - trolley * sin - 2.0 * w
        turn = -(9.81 * sin + trolley * cos + 2.0 * w * spin) / rope
        rate = jnp.stack([v, w, spin]) + time_step * jnp.stack([trolley, hoist, turn])
        return jnp.concatenate([state[:3] + time_step * rate, rate])

    def reset(key):
        position = jax.random.uniform(key, (3,), minval=-1.0) * jnp.array([1.0, 0.3, 0.3])
        return jnp.concatenate([jnp.array([0.0, 2.0, 0.0]) + position, jnp.zeros(3)])

    def residual(state, action):
        x, rope, angle, v, w, spin = state
        return jnp.stack([x, rope - 2.0, 2 * angle, 0.5 * v, 0.5 * w, spin, *(1e-3 * action)])

    def draw(state):
        x, rope, angle = state[:3]
        payload_at = [x + rope * jnp.sin(angle), -rope * jnp.cos(angle)]
        return envs.make_drawing([[x, 0.0], payload_at], [(0, 1)], num_handles=1)

    known = {"name": "crane", "task": "rest", "action_unit": "N", "action_limit": [400.0, 400.0]}
    known |= {"horizon": horizon, "time_step": time_step, "residual": residual, "draw": draw}
    return envs.from_step(step, reset, lambda state: state, **known)
