"""A recording: when, which actions, what was measured; checked where it enters."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.trajopt import is_floating

MIN_SAMPLES = 3
MAX_OVER_LIMIT = 1.05
"""Recorded actions may exceed the limits of the environment by this factor, which noise of sensors does."""

MAX_RATE_RATIO, MIN_SPAN = 20.0, 0.05
"""The integral of a velocity may span so many times what its position spans, or the other way round, before it is
taken for one in other units: a factor of 57 is degrees, one of 1000 millimetres or milliseconds. Where neither spans
MIN_SPAN, there is nothing but noise to compare."""

MAX_COARSENESS = 50.0
"""Samples may be so many time steps of the environment apart."""

POSITIONS = {"velocity": ("angle", "position"), "load_velocity": ("load_position",)}
"""Parts of a state that are time derivatives of another part of it."""


@dataclass(frozen=True)
class Recording:
    """What happened to a machine: K samples; an action holds from its sample until the next one."""

    name: str
    time: np.ndarray  # (K,) [s]
    action: np.ndarray  # (K, A) in action units
    measured: Mapping[str, np.ndarray]  # (K,) of each component of the state that is known, such as "angle[0]"

    @property
    def duration(self) -> float:
        """From the first sample to the last [s]."""
        return float(self.time[-1] - self.time[0])


def make_recording(time: Any, action: Any, measured: Mapping[str, Any], name: str = "recording") -> Recording:
    """A Recording of K samples.

    time: (K,) [s], rising, not necessarily evenly. action: (K, A) in action units. measured: what is known of the
    state, by the names of its arrays: {"angle": (K, 2), "velocity[0]": (K,)}, in the units of the state; what was
    not measured is left out. Raises InputError that names the column and the sample for NaN, times that do not rise,
    other lengths, or fewer than three samples.
    """
    times = _numbers(f"{name}: time", time, 1)
    if len(times) < MIN_SAMPLES:
        raise InputError(f"{name} has {len(times)} samples: must have at least {MIN_SAMPLES}")
    wrong = np.flatnonzero(np.diff(times) <= 0)
    if wrong.size:
        k = int(wrong[0]) + 1
        raise InputError(
            f"{name}: time does not rise at sample {k}, {times[k]!r} after {times[k - 1]!r} ({wrong.size} such "
            f"places): "
            "leave out samples that repeat a time, and sort the others"
        )
    columns: dict[str, np.ndarray] = {}
    for key, values in measured.items():
        array = _numbers(f"{name}: {key}", values, None)
        if array.ndim == 1:
            columns[key] = array
        else:
            for index in np.ndindex(array.shape[1:]):
                columns[f"{key}[{', '.join(map(str, index))}]"] = array[(slice(None), *index)]
    if not columns:
        raise InputError(f"{name} has no measured column: must have at least one component of the state")
    actions = _numbers(f"{name}: action", action, 2)
    for key, array in {"action": actions, **columns}.items():
        if len(array) != len(times):
            raise InputError(f"{name}: {key} has {len(array)} samples: must have {len(times)}, as time has")
    return Recording(name, times, actions, columns)


def components(env: Environment) -> tuple[str, ...]:
    """The names of the numbers of a state as a vector (`trajopt.flatten`), such as "angle[0]", in its order.

    Raises InputError for a state that holds anything but real numbers, which nobody measures.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.eval_shape(env.reset, jax.random.key(0))):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "state"
        if not is_floating(leaf):
            raise InputError(
                f"{name} of a state is {leaf.dtype}: must be real numbers, for them to be identified from"
            )
        found += [f"{name}[{', '.join(map(str, index))}]" if index else name for index in np.ndindex(leaf.shape)]
    return tuple(found)


def check(recording: Recording, env: Environment) -> Recording:
    """The recording; raises InputError where it cannot be of this environment: columns, actions, units by
    magnitude.
    """
    known = components(env)
    for column in recording.measured:
        if column not in known:
            close = difflib.get_close_matches(column, known, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(f"{recording.name}: column", column, f"{hint}the state has {', '.join(known)}")
    size, limit = recording.action.shape[1], np.asarray(env.action_limit)
    if size != len(limit):
        raise InputError(f"{recording.name} has {size} actions: must have {len(limit)}, as {env.name} has")
    largest = np.max(np.abs(recording.action), axis=0)
    if np.any(largest > MAX_OVER_LIMIT * limit):
        a = int(np.argmax(largest / limit))
        raise InputError(
            f"{recording.name}: action[{a}] reaches {largest[a]:.4g}: must be within the limit {limit[a]:.4g} "
            f"{env.action_unit} of {env.name}; look at the unit, or make the environment with a higher limit"
        )
    apart = float(np.median(np.diff(recording.time)))
    if apart > MAX_COARSENESS * env.time_step:
        raise InputError(
            f"{recording.name}: samples are {apart:.4g} s apart: must be at most {MAX_COARSENESS:g} time steps of "
            f"{env.time_step:g} s; look at the unit of time, or make the environment with a longer time_step"
        )
    for rate, position in _rates(recording):
        _check_rate(recording, rate, position)
    return recording


def differentiated(recording: Recording, width: float = 0.06) -> Recording:
    """The recording with each velocity taken from its position: the slope of a cubic fitted over `width` seconds.

    Velocities that come from a coarse encoder or a delayed filter are replaced, those that are missing are added;
    what has no position beside it stays as it is. Raises InputError for a width that is not above zero.
    """
    half = checks.number("width", width, above=0.0) / 2
    found = dict(recording.measured)
    for column in recording.measured:
        for rate, bases in POSITIONS.items():
            for base in bases:
                if column.partition("[")[0] == base:
                    found[column.replace(base, rate, 1)] = _slope(recording.time, recording.measured[column], half)
    return replace(recording, measured=found)


def _slope(time: np.ndarray, values: np.ndarray, half: float) -> np.ndarray:
    """(K,) the slopes of cubics fitted to the samples (K,) within about `half` seconds of each, five at least."""
    count = min(len(time), max(5, 2 * int(half / np.median(np.diff(time))) + 1))
    first = np.clip(np.arange(len(time)) - count // 2, 0, len(time) - count)
    near = first[:, None] + np.arange(count)[None]
    t = time[near] - time[:, None]
    scale = np.max(np.abs(t), axis=1, keepdims=True)
    powers = (t / scale)[..., None] ** np.arange(min(4, count))  # (K, count, degree + 1)
    square = np.einsum("kni,knj->kij", powers, powers)
    right = np.einsum("kni,kn->ki", powers, values[near])
    return np.linalg.solve(square, right[..., None])[:, 1, 0] / scale[:, 0]


def _rates(recording: Recording) -> list[tuple[str, str]]:
    """The columns that are time derivatives of another column, with that."""
    return [
        (column, column.replace(rate, base, 1))
        for column in recording.measured
        for rate, bases in POSITIONS.items()
        for base in bases
        if column.partition("[")[0] == rate and column.replace(rate, base, 1) in recording.measured
    ]


def _check_rate(recording: Recording, rate: str, position: str) -> None:
    """Raises InputError where a velocity is of another size than the change of its position, as in other units."""
    mean = (recording.measured[rate][1:] + recording.measured[rate][:-1]) / 2
    travelled = np.ptp(np.cumsum(np.diff(recording.time) * mean))
    span = np.ptp(recording.measured[position])
    if max(span, travelled) < MIN_SPAN or 1 / MAX_RATE_RATIO < travelled / max(span, 1e-30) < MAX_RATE_RATIO:
        return
    raise InputError(
        f"{recording.name}: {rate} adds up to a path of {travelled:.3g} while {position} spans {span:.3g}: must be "
        f"its "
        "time derivative in SI units (radians, metres, seconds); look at the units of both and of time"
    )


def _numbers(name: str, values: Any, dimensions: int | None) -> np.ndarray:
    """The values as an array of finite numbers of that many dimensions; raises InputError naming the first that is
    not.
    """
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise InputError(name, values, "must be numbers", found="is not numeric") from error
    if (dimensions is not None and array.ndim != dimensions) or array.ndim == 0:
        raise InputError(f"{name} has shape {array.shape}: must have {dimensions} dimension(s), samples first")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        k = int(bad[0][0])
        raise InputError(
            f"{name} is {array[tuple(bad[0])]} at sample {k} ({len(bad)} such values): must be finite; leave out the "
            "samples, or the column if it was not measured"
        )
    return array
