"""A dry run: everything that a training needs is checked and compiled, one epoch is timed, and nothing is written."""

import os
import time
from collections.abc import Mapping
from typing import Any

import jax
from rich.console import Console

from pods_jax.devices import memory, sharding
from pods_jax.envs import Environment
from pods_jax.runs.experiment import fresh_state
from pods_jax.runs.preflight import open_run
from pods_jax.runs.progress import clock, make_console
from pods_jax.training import compile_chunk


def dry_run(
    config: Mapping[str, Any],
    workdir: str | os.PathLike[str],
    console: Console | None = None,
    resume: str = "auto",
    num_devices: int = 1,
    env: Environment | None = None,
) -> dict[str, float]:
    """Prints and returns what a training would need: seconds to compile and per epoch, bytes of memory.

    Each phase that is still ahead is compiled, and one epoch of it is timed. num_devices: among so many devices
    rollouts are divided, 0 takes all. env: as for `experiment.run`. Raises InputError or
    CheckpointError as the training would.
    """
    console = console or make_console()
    plan = open_run(config, workdir, resume, num_devices, env=env)
    configuration, devices = plan.configuration, plan.devices
    started = time.perf_counter()
    with sharding.on(devices):
        state = sharding.put_replicated(fresh_state(configuration), devices)
    compiling, training, size = time.perf_counter() - started, 0.0, 0
    for phase, epochs in plan.phases_ahead:
        program = compile_chunk(configuration.algorithm, configuration.evaluate_every, devices, phase.first_epoch)
        size = max(size, memory.check(program.run, devices[0]))
        started = time.perf_counter()
        state, _ = jax.block_until_ready(program.run(state, 1))
        seconds = time.perf_counter() - started
        text = f"{phase.name}: compiled in {program.compile_seconds:.1f} s; an epoch takes {seconds:.2f} s"
        console.print(text, markup=False)
        compiling, training = compiling + program.compile_seconds, training + len(epochs) * seconds
    left = max(configuration.num_epochs - plan.latest_epoch, 0)
    console.print(f"{left} epochs take about {clock(training)}, evaluations not counted", markup=False)
    console.print(f"an epoch needs {size / 1e9:.2f} GB of memory on {devices[0]}", markup=False)
    console.print(f"nothing was written to {plan.folder.path}", markup=False)
    return {"compile_seconds": compiling, "seconds_per_epoch": training / max(left, 1), "memory_bytes": size}
