"""Trajectory improvement; knows only callables (dynamics, residual), nothing of springs or policies."""

from pods_jax.trajopt.directions import DIRECTIONS, Direction, Problem
from pods_jax.trajopt.line_search import Followed, follow
from pods_jax.trajopt.objective import Dynamics, Residual, simulate, total_cost

__all__ = [
    "DIRECTIONS",
    "Direction",
    "Dynamics",
    "Followed",
    "Problem",
    "Residual",
    "follow",
    "simulate",
    "total_cost",
]
