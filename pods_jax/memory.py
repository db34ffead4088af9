"""How much memory a compiled program needs, whether the device has it, and how much a CPU has close by."""

from collections.abc import Callable
from typing import Any

import jax
import psutil

from pods_jax.checks import InputError

_PARTS = ("argument", "output", "temp", "generated_code")


NEAR_BY, MOST = 2**19, 500
"""On a CPU: so many numbers of one kind are kept in caches, and more rollouts than that gain nothing at once."""


def at_once(count: int, numbers: int, chosen: int = 0) -> int:
    """How many of `count` rollouts are computed together, each with a matrix of so many numbers.

    Those that are chosen; 0: on a CPU a divisor of the count, so that the matrices of all stay in the caches, and
    elsewhere all, since a GPU waits for memory less than for work.
    """
    if chosen or jax.default_backend() != "cpu":
        return min(chosen or count, count)
    wanted = max(1, min(NEAR_BY // max(numbers, 1), MOST))
    divisor = next(size for size in range(min(wanted, count), 0, -1) if count % size == 0)
    return divisor if 2 * divisor >= min(wanted, count) else min(wanted, count)


def in_chunks(function: Callable[[Any], Any], inputs: Any, numbers: int, chosen: int = 0) -> Any:
    """`function` of each of many inputs, leaves (k, ...), `at_once` of them together."""
    count = jax.tree.leaves(inputs)[0].shape[0]
    return jax.lax.map(function, inputs, batch_size=at_once(count, numbers, chosen))


def needed(compiled: jax.stages.Compiled) -> int:
    """[bytes] that a compiled program takes at once: arguments, outputs, temporaries and the code itself."""
    analysis: Any = compiled.memory_analysis()
    total = sum(getattr(analysis, f"{part}_size_in_bytes", 0) for part in _PARTS)
    return int(total - getattr(analysis, "alias_size_in_bytes", 0))


def available(device: jax.Device) -> int:
    """[bytes] that the device can still give; for a CPU, what the machine can give without swapping."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return int(psutil.virtual_memory().available)


def check(compiled: jax.stages.Compiled, device: jax.Device) -> int:
    """Returns what a training program needs [bytes]; raises InputError with the setting to change if too much."""
    size, limit = needed(compiled), available(device)
    if size > limit:
        raise InputError(
            f"an epoch needs {size / 1e9:.1f} GB of memory, and {device} has {limit / 1e9:.1f} GB left: improve "
            "fewer rollouts at a time with algorithm.chunk_size, for example 50, or take fewer with "
            "algorithm.batch_size"
        )
    return size
