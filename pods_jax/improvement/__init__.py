"""Better trajectories: single steps, many of them at once, and local optima."""

from pods_jax.improvement.optimum import optimize
from pods_jax.improvement.problem import Unravel, trajectory_problem
from pods_jax.improvement.result import Improvement
from pods_jax.improvement.steps import improve, improve_batch, improve_trajectory

__all__ = [
    "Improvement",
    "Unravel",
    "improve",
    "improve_batch",
    "improve_trajectory",
    "optimize",
    "trajectory_problem",
]
