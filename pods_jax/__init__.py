"""Policy optimization via differentiable simulation, in JAX (Zamora et al., ICML 2021).

    env = pods_jax.envs.make("pendulum_2d", task="stop")
    algorithm = pods_jax.algorithms.make("pods", env)
    train_state, history = pods_jax.train(algorithm, jax.random.key(0))
    metrics = pods_jax.evaluate(env, algorithm.policy(train_state))
    print(pods_jax.summary(metrics))

Everything is written for one trajectory and compiled as imported; use `jax.vmap` for a batch. Bridges to other
libraries, policy files and pictures are imported when they are asked for: `pods_jax.compat`, `.export`, `.viewer`.
"""

from typing import TYPE_CHECKING, Any

from pods_jax import algorithms, devices, envs, identification, sim, trajopt
from pods_jax.checks import InputError
from pods_jax.envs.observation import sensors
from pods_jax.evaluation import evaluate
from pods_jax.identification import Identification, identify
from pods_jax.improvement import Improvement, improve, improve_batch, optimize
from pods_jax.rollouts import replay, rollout
from pods_jax.summaries import summary
from pods_jax.training import Report, train
from pods_jax.types import Trajectory

if TYPE_CHECKING:
    from pods_jax import compat, export, visual
    from pods_jax.visual import viewer

__version__ = "0.1.0"

__all__ = [
    "Identification",
    "Improvement",
    "InputError",
    "Report",
    "Trajectory",
    "algorithms",
    "compat",
    "devices",
    "envs",
    "evaluate",
    "export",
    "identification",
    "identify",
    "improve",
    "improve_batch",
    "optimize",
    "replay",
    "rollout",
    "sensors",
    "sim",
    "summary",
    "train",
    "trajopt",
    "viewer",
    "visual",
]

_MOVED = {
    "anatomy": "visual.jacobians",
    "checkpoints": "storage.checkpoints",
    "cli": "commands.command_line",
    "comparison": "visual.curves",
    "configuration": "runs.configuration",
    "cores": "devices.cpu",
    "delivery": "runs.artifacts",
    "digests": "storage.checksums",
    "doctor": "diagnostics.doctor",
    "experiment": "runs.experiment",
    "fitting": "policies.regression",
    "followers": "runs.supervised",
    "gpu": "devices.gpu",
    "interruption": "runs.signals",
    "kept_optima": "storage.optimum_cache",
    "manifest": "storage.manifest",
    "memory": "devices.memory",
    "metrics": "runs.metrics_log",
    "networks": "policies.network",
    "parallel": "devices.sharding",
    "plain": "devices.host",
    "plotting": "visual.figures",
    "preparation": "runs.preflight",
    "probes": "diagnostics.probes",
    "processes": "devices.processes",
    "profiling": "runs.profiling",
    "progress": "runs.progress",
    "rehearsal": "runs.dry_run",
    "rendering": "visual.animation",
    "saver": "storage.background_saver",
    "supervision": "runs.supervised",
    "unroll": "linalg.scalarize",
    "workdir": "runs.workdir",
}
"""Where modules are now that once lay side by side in `pods_jax`."""


def __getattr__(name: str) -> Any:
    """A part that is imported when it is asked for. Raises AttributeError, for a moved one with its new place."""
    # Not `from pods_jax import compat`, which would ask this function again.
    if name == "compat":
        import pods_jax.compat

        return pods_jax.compat
    if name == "export":
        import pods_jax.export

        return pods_jax.export
    if name == "visual":
        import pods_jax.visual

        return pods_jax.visual
    if name == "viewer":
        from pods_jax.visual import viewer

        return viewer
    if name in _MOVED:
        raise AttributeError(f"pods_jax.{name} is now pods_jax.{_MOVED[name]}")
    raise AttributeError(f"module 'pods_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
