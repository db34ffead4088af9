"""How well an environment predicts recordings: from every sample, so many seconds ahead."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.identification import prediction, recording, windows
from pods_jax.identification.recording import Recording
from pods_jax.trajopt import flatten

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
    stride = checks.number("stride", stride, at_least=0.0)
    for each in recordings:
        if recording.check(each, env).duration < duration * (1 - 1e-6):
            raise InputError(
                f"{each.name} lasts {each.duration:.4g} s: must be at least {duration:g} s, as predicted"
            )
    if not recordings:
        raise InputError("recordings", list(recordings), "must be at least one recording")
    totals = [_squares(env, group, duration, stride) for group in _groups(recordings, duration, stride)]
    square, count = (np.sum(column, axis=0) for column in zip(*totals, strict=True))
    names = recording.components(env)
    return {name: float(np.sqrt(square[i] / count[i])) for i, name in enumerate(names) if count[i] > 0}


def _groups(recordings: Sequence[Recording], duration: float, stride: float) -> list[list[Recording]]:
    """The recordings in groups of about MAX_TOGETHER windows, or one recording if it has more."""
    groups: list[list[Recording]] = []
    room = 0.0
    for each in recordings:
        num_windows = min(len(each.time), (each.duration - duration) / stride + 1 if stride else np.inf)
        if num_windows > room:
            groups.append([])
            room = MAX_TOGETHER
        groups[-1].append(each)
        room -= num_windows
    return groups


def rest(env: Environment) -> np.ndarray:
    """(n,) the mean of some initial states, which stands for what is not measured of a state."""
    keys = jax.random.split(jax.random.key(0), 16)
    return np.mean([np.asarray(flatten(env.reset(key))[0]) for key in keys], axis=0)


def _squares(
    env: Environment, group: Sequence[Recording], duration: float, stride: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the sums of squares of errors of each component, and (n,) of how many."""
    cut = windows.cut(env, group, duration, stride, rest(env))
    # Of few sizes, so that few programs are compiled.
    together = min(MAX_TOGETHER, 2 ** int(np.ceil(np.log2(cut.count))))
    found = []
    for first in range(0, cut.count, together):
        index = np.arange(first, first + together)
        part = jax.tree.map(lambda leaf, index=index: leaf[np.minimum(index, cut.count - 1)], cut)
        sums = _sum_squares(env, dataclasses.replace(part, recording=()))
        found.append([np.sum(np.asarray(each, float)[index < cut.count], axis=0) for each in sums])
    square, count = np.sum(found, axis=0)
    return square, count


@jax.jit
def _sum_squares(env: Environment, cut: windows.Windows) -> tuple[jax.Array, jax.Array]:
    """(W, n) the sums over the samples after the start of squares of errors, and how many they are."""

    def of_window(window):
        error = prediction.errors(env, window.start, window)[1:]
        return jnp.sum(error**2, axis=0), jnp.sum(window.known[1:], axis=0)

    return jax.vmap(of_window)(cut)
