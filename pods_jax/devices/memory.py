"""How much memory a compiled program needs, and whether the device has it."""

from typing import Any

import jax
import psutil

from pods_jax.checks import InputError

_PARTS = ("argument", "output", "temp", "generated_code")


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
            "fewer rollouts at a time with algorithm.improvement.chunk_size, for example 50, or take fewer with "
            "algorithm.batch_size"
        )
    return size
