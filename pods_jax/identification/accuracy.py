"""How well an environment predicts recordings: from every sample, so many seconds ahead."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.identification import prediction, recording, windows
from pods_jax.identification.recording import Recording

MAX_TOGETHER = 500
"""Windows that are simulated at once."""


def prediction_error(
    env: Environment, recordings: Sequence[Recording], duration: float, *, stride: float = 0.0
) -> dict[str, float]:
    """The root mean square error of each measured component of the state, up to `duration` [s] after each start.

    Each window begins in the measured state: at every sample, or every `stride` [s]. Components that were not
    measured begin in what their positions say, or at rest. Raises InputError as `identify`.
    """
    duration = checks.number("duration", duration, above=0.0)
    squares: dict[str, list[float]] = {}
    for each in recordings:
        if each.duration < duration:
            raise InputError(
                f"{each.name} lasts {each.duration:.4g} s: must be at least {duration:g} s, as predicted"
            )
        for name, (total, count) in _squares(env, recording.check(each, env), duration, stride).items():
            found = squares.setdefault(name, [0.0, 0.0])
            found[0], found[1] = found[0] + total, found[1] + count
    if not squares:
        raise InputError("recordings", list(recordings), "must be at least one recording")
    return {name: float(np.sqrt(total / count)) for name, (total, count) in squares.items()}


def rest(env: Environment) -> np.ndarray:
    """(n,) the mean of some initial states, which stands for what is not measured of a state."""
    keys = jax.random.split(jax.random.key(0), 16)
    return np.mean([np.asarray(jax.flatten_util.ravel_pytree(env.reset(key))[0]) for key in keys], axis=0)


def _squares(env: Environment, each: Recording, duration: float, stride: float) -> dict[str, tuple[float, float]]:
    names = recording.components(env)
    started = windows.filled(each, names, 10 * float(np.median(np.diff(each.time))))
    cut = windows.cut(env, [each], duration, stride, rest(env), started=[started])
    sums, counts = np.zeros(len(names)), np.zeros(len(names))
    for first in range(0, cut.count, MAX_TOGETHER):
        chosen = np.minimum(np.arange(first, first + MAX_TOGETHER), cut.count - 1)  # of one shape, for one program
        part = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], cut)
        square, known = _sum_squares(env, part)
        inside = np.arange(first, first + MAX_TOGETHER) < cut.count
        sums += np.sum(np.asarray(square, float)[inside], axis=0)
        counts += np.sum(np.asarray(known, float)[inside], axis=0)
    return {name: (sums[i], counts[i]) for i, name in enumerate(names) if counts[i] > 0}


@jax.jit
def _sum_squares(env: Environment, cut: windows.Windows) -> tuple[jax.Array, jax.Array]:
    """(W, n) the sums over the samples after the start of squares of errors, and how many they are."""

    def of_window(window):
        error = prediction.errors(env, window.start, window)[1:]
        return jnp.sum(error**2, axis=0), jnp.sum(window.known[1:], axis=0)

    return jax.vmap(of_window)(cut)
