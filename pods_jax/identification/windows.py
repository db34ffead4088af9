"""Recordings cut into windows of equal duration, on the time grid of the environment.

The environment steps by its own time step h, samples come when they come. The action of a step is the mean, over
that step, of the recorded action, which holds from sample to sample; what is predicted for a sample is interpolated
between the steps around it, by a cubic through four of them (exact where samples and steps coincide).
"""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.identification.recording import POSITIONS, Recording, components, differentiated

START_WIDTH = 10
"""Samples over which a velocity that is missing is taken from positions."""

ORDER = 4
"""Steps that an interpolation uses."""


@struct.dataclass
class Windows:
    """W windows of up to K samples and N steps; C components of the state are measured, in each its own ones."""

    start: jax.Array  # (W, n) guess of the flattened state in which a window begins
    action: jax.Array  # (W, N, A) of each step, in action units
    step: jax.Array  # (W, K) the first of the ORDER grid points that a sample is interpolated from
    weight: jax.Array  # (W, K, ORDER) of these points
    measured: jax.Array  # (W, K, n) of the components of the state, zero where there is none
    known: jax.Array  # (W, K, n) 1 where a component was measured, 0 where not
    recording: tuple[int, ...] = struct.field(pytree_node=False)  # (W,) from which recording each is

    @property
    def count(self) -> int:
        """Number of windows W."""
        return self.start.shape[0]


def cut(
    env: Environment, recordings: Sequence[Recording], duration: float, stride: float, guess: np.ndarray
) -> Windows:
    """The windows of `duration` [s], one starting every `stride` [s], of all recordings; at every sample for 0.

    Windows begin in what was measured; velocities that are missing are taken from positions, and what is not known at
    all from the guess (n,). A recording that is shorter than a window is one window. Raises InputError for a duration
    of less than one time step.
    """
    if duration < env.time_step * (1 - 1e-9):
        raise InputError("window", duration, f"must be at least one time step of {env.name}, {env.time_step:g} s")
    num_steps = max(ORDER - 1, int(np.ceil(duration / env.time_step - 1e-6)))
    pieces = [
        (number, recording, first, last)
        for number, recording in enumerate(recordings)
        for first, last in _pieces(recording.time, duration, stride)
    ]
    longest = max(last - first for _, _, first, last in pieces)
    names = components(env)
    started = [_filled(each, names) for each in recordings]
    rows = [
        (
            _start(started[number], names, first, guess),
            *_window(env.time_step, names, recording, first, last, num_steps, longest),
        )
        for number, recording, first, last in pieces
    ]
    start, action, step, weight, measured, known = (np.stack(column) for column in zip(*rows, strict=True))
    dtype = env.action_limit.dtype
    return Windows(
        start=jnp.asarray(start, dtype),
        action=jnp.asarray(action, dtype),
        step=jnp.asarray(step),
        weight=jnp.asarray(weight, dtype),
        measured=jnp.asarray(measured, dtype),
        known=jnp.asarray(known, dtype),
        recording=tuple(number for number, *_ in pieces),
    )


def _pieces(time: np.ndarray, duration: float, stride: float) -> list[tuple[int, int]]:
    """The first sample of each window and the one after its last."""
    slack = 1e-6 * duration
    latest = max(time[-1] - duration, time[0]) + slack
    wanted = time[time <= latest] if stride <= 0 else np.arange(time[0], latest, stride)
    starts = np.unique(np.searchsorted(time, wanted - slack))
    ends = np.searchsorted(time, time[starts] + duration + slack, side="right")
    return [(int(first), int(last)) for first, last in zip(starts, ends, strict=True) if last - first > 1]


def _window(
    time_step: float, names: Sequence[str], recording: Recording, first: int, last: int, num_steps: int, longest: int
) -> tuple[np.ndarray, ...]:
    """The arrays of one window but for its start, padded to `longest` samples."""
    time = recording.time[first:last] - recording.time[first]
    grid = time_step * np.arange(num_steps + 1)
    action = _means(time, recording.action[first:last], grid)
    step, weight = _interpolation(time / time_step, num_steps)
    size = len(names)
    measured, known = np.zeros((longest, size)), np.zeros((longest, size))
    for i, name in enumerate(names):
        if name in recording.measured:
            measured[: last - first, i] = recording.measured[name][first:last]
            known[: last - first, i] = 1.0
    padding = longest - (last - first)
    return (
        action,
        np.pad(step, (0, padding)),
        np.pad(weight, ((0, padding), (0, 0))),
        measured,
        known,
    )


def _start(recording: Recording, names: Sequence[str], first: int, guess: np.ndarray) -> np.ndarray:
    """(n,) the state at one sample: what was measured, or the guess."""
    start = np.array(guess, float)
    for i, name in enumerate(names):
        if name in recording.measured:
            start[i] = recording.measured[name][first]
    return start


def _filled(recording: Recording, names: Sequence[str]) -> Recording:
    """The recording with velocities that are missing taken from positions."""
    words = {name.partition("[")[0] for name in recording.measured}
    if all(rate in words or not words & set(bases) for rate, bases in POSITIONS.items()):
        return recording
    added = differentiated(recording, START_WIDTH * float(np.median(np.diff(recording.time)))).measured
    kept = {name: values for name, values in added.items() if name in names}
    return replace(recording, measured=kept | dict(recording.measured))


def _means(time: np.ndarray, held: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(N, A) the means, between the grid points (N + 1,), of what holds (K, A) from each time (K,) until the next."""
    total = np.concatenate([np.zeros((1, held.shape[1])), np.cumsum(np.diff(time)[:, None] * held[:-1], axis=0)])

    def integral(when: np.ndarray) -> np.ndarray:
        k = np.clip(np.searchsorted(time, when, side="right") - 1, 0, len(time) - 1)
        return total[k] + (when - time[k])[:, None] * held[k]

    return np.diff(integral(grid), axis=0) / np.diff(grid)[:, None]


def _interpolation(place: np.ndarray, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of ORDER grid points (K,) and their weights (K, ORDER), for samples at `place` (K,) in steps."""
    nearest = np.round(place)
    place = np.where(np.abs(place - nearest) < 1e-6, nearest, place)
    first = np.clip(np.floor(place).astype(int) - 1, 0, num_steps + 1 - ORDER)
    x = place - first
    points = np.arange(ORDER)
    weight = np.ones((len(place), ORDER))
    for j in points:
        for m in points[points != j]:
            weight[:, j] *= (x - m) / (j - m)
    return first, weight
