"""Where programs run: devices and processes that share rollouts, cores, GPUs, memory."""
