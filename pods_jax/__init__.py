"""Policy optimization via differentiable simulation, in JAX (Zamora et al., ICML 2021).

    env = pods_jax.envs.make("pendulum_2d", task="stop")
    algorithm = pods_jax.algorithms.make("pods", env)
    train_state, history = pods_jax.train(algorithm, jax.random.key(0))
    metrics = pods_jax.evaluate(env, algorithm.policy(train_state))

Everything is written for one trajectory and compiled as imported; use `jax.vmap` for a batch.
"""

from pods_jax import algorithms, envs
from pods_jax.checks import InputError
from pods_jax.evaluation import evaluate
from pods_jax.improvement import Improvement, improve, improve_batch
from pods_jax.rollouts import replay, rollout
from pods_jax.training import Report, train
from pods_jax.types import Trajectory

__version__ = "0.1.0"

__all__ = [
    "Improvement",
    "InputError",
    "Report",
    "Trajectory",
    "algorithms",
    "envs",
    "evaluate",
    "improve",
    "improve_batch",
    "replay",
    "rollout",
    "train",
]
