"""Trajectory improvement; knows only callables (dynamics, objective), nothing of springs or policies."""

from pods_jax.trajopt.directions import DENSE, DIRECTIONS, METHODS, REVERSE_MODE, WITHOUT_FEEDBACK, Direction, riccati
from pods_jax.trajopt.flatten import flatten, is_floating
from pods_jax.trajopt.hessian_products import hessian_products
from pods_jax.trajopt.line_search import LineSearchResult, line_search, no_step
from pods_jax.trajopt.linearize import LinearModel, linearize
from pods_jax.trajopt.objective import Objective, differentiable, least_squares, simulate, total_cost
from pods_jax.trajopt.problem import Problem, around_guess, models

__all__ = [
    "DENSE",
    "DIRECTIONS",
    "METHODS",
    "REVERSE_MODE",
    "WITHOUT_FEEDBACK",
    "Direction",
    "LineSearchResult",
    "LinearModel",
    "Objective",
    "Problem",
    "around_guess",
    "differentiable",
    "flatten",
    "hessian_products",
    "is_floating",
    "least_squares",
    "line_search",
    "linearize",
    "models",
    "no_step",
    "riccati",
    "simulate",
    "total_cost",
]
