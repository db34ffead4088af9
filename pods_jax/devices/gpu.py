"""What XLA has to be told about GPUs before it first looks for one."""

import importlib.metadata
import os

PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
"""The packages with which jax can use NVIDIA GPUs."""

COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer"

LOOPS = f"{COMMAND_BUFFERS}=+WHILE,+CONDITIONAL"


def keep_loops_on_device() -> None:
    """Adds LOOPS to XLA_FLAGS where jax can use NVIDIA GPUs, unless something is chosen there already.

    A step in time is a loop whose end depends on its numbers. XLA leaves such a loop to the processor, which waits
    for the GPU after each pass to hear whether there is another; as parts of CUDA graphs, loops run on the GPU alone.
    """
    chosen = os.environ.get("XLA_FLAGS", "")
    if COMMAND_BUFFERS not in chosen and _can_use_gpus():
        os.environ["XLA_FLAGS"] = f"{chosen} {LOOPS}".strip()


def _can_use_gpus() -> bool:
    installed = {distribution.name for distribution in importlib.metadata.distributions()}
    return not installed.isdisjoint(PLUGINS)
