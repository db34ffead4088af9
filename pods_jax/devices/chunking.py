"""How many of many rollouts are computed at once."""

from collections.abc import Callable
from typing import Any

import jax

from pods_jax.thresholds import MAX_CACHED_NUMBERS, MAX_CPU_ROLLOUTS


def at_once(count: int, numbers: int, chosen: int = 0) -> int:
    """How many of `count` rollouts are computed together, each with a matrix of so many numbers.

    Those that are chosen; 0: on a CPU a divisor of the count, so that the matrices of all stay in the caches, and
    elsewhere all, since a GPU waits for memory less than for work.
    """
    if chosen or jax.default_backend() != "cpu":
        return min(chosen or count, count)
    wanted = max(1, min(MAX_CACHED_NUMBERS // max(numbers, 1), MAX_CPU_ROLLOUTS))
    divisor = next(size for size in range(min(wanted, count), 0, -1) if count % size == 0)
    return divisor if 2 * divisor >= min(wanted, count) else min(wanted, count)


def in_chunks(function: Callable[[Any], Any], inputs: Any, numbers: int, chosen: int = 0) -> Any:
    """`function` of each of many inputs, leaves (k, ...), `at_once` of them together."""
    count = jax.tree.leaves(inputs)[0].shape[0]
    return jax.lax.map(function, inputs, batch_size=at_once(count, numbers, chosen))
