"""Noise of readings, tied to the key of an episode and the time of a reading: one that is seen twice is the same.

    reading = true + deviation * n_t + bias * b,    n_t, b standard normal, b drawn once for each episode,

and with probability `dropped` a reading does not arrive, so that the one of a step earlier is seen again.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks
from pods_jax.types import Key


@struct.dataclass
class Noise:
    """How wrong the readings of one sensor are, each number of them by itself; `noise` builds and checks it."""

    deviation: jax.Array  # () of each reading, in its unit
    bias: jax.Array  # () standard deviation of what stays the same all the episode, in its unit
    dropped: jax.Array  # () probability that a reading does not arrive
    can_drop: bool = struct.field(pytree_node=False)

    def seen(self, readings: jax.Array, key: Key, times: jax.Array) -> jax.Array:
        """The readings (H, ...) as they arrive, of readings (H + 1, ...), newest first.

        The last of these is seen where the one before it was dropped. Without `can_drop` there are H of them. times:
        (H,) int32, the number of each reading since the episode began. key: of sensor and episode; not consumed.
        """
        key_noise, key_bias, key_drop = jax.random.split(key, 3)
        count = times.shape[0]
        if self.can_drop:
            is_lost = jax.vmap(lambda time: jax.random.uniform(jax.random.fold_in(key_drop, time)))(times)
            lost = (is_lost < self.dropped).reshape((count,) + (1,) * (readings.ndim - 1))
            readings = jnp.where(lost, readings[1:], readings[:-1])
        shape, dtype = readings.shape[1:], readings.dtype
        draw = jax.vmap(lambda time: jax.random.normal(jax.random.fold_in(key_noise, time), shape, dtype))
        bias = self.bias * jax.random.normal(key_bias, shape, dtype)
        return readings + self.deviation * draw(times) + bias[None]


def noise(deviation: float = 0.0, bias: float = 0.0, dropped: float = 0.0) -> Noise:
    """Noise of a sensor: normal in each reading, a bias for each episode, and readings that do not arrive.

    deviation, bias: standard deviations, in the unit of the sensor. dropped: probability, below 1. Raises InputError
    on values that are not allowed.
    """
    dropped = checks.number("dropped", dropped, at_least=0.0, at_most=1.0)
    return Noise(
        jnp.asarray(checks.number("deviation", deviation, at_least=0.0)),
        jnp.asarray(checks.number("bias", bias, at_least=0.0)),
        jnp.asarray(dropped),
        can_drop=dropped > 0,
    )


def as_noise(name: str, given: Any) -> Noise:
    """Noise of what was given for it, a Noise or a standard deviation."""
    if isinstance(given, Noise):
        return given
    return noise(checks.number(f"noise[{name!r}]", given, at_least=0.0))
