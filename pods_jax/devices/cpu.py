"""The cores of a processor as devices that share the rollouts."""

import contextlib
import os

import jax

from pods_jax import checks

_CHOSEN_BY_XLA = "--xla_force_host_platform_device_count"


def as_devices(count: int = 0) -> None:
    """Makes jax see the processor as `count` devices, 0: one for each core, before it first looks for devices.

    XLA divides a loop over rollouts among its threads only where the loop is long. Those of small systems never are:
    one core simulates thousands of pendulums as fast as two. As devices, cores have rollouts of their own. No more
    devices are made than there are cores. What is chosen already, by XLA_FLAGS or JAX_NUM_CPU_DEVICES, stays, and so
    does what jax has found if it has looked. Raises InputError on a negative count.
    """
    checks.integer("num_devices", count, at_least=0)
    is_chosen = _CHOSEN_BY_XLA in os.environ.get("XLA_FLAGS", "") or "JAX_NUM_CPU_DEVICES" in os.environ
    if count == 1 or is_chosen:
        return
    with contextlib.suppress(RuntimeError):  # jax has looked already, and says so
        jax.config.update("jax_num_cpu_devices", min(count or available(), available()))


def available() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1
