"""What identification found: estimates, how sure they are, and how well they predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pods_jax.envs.environment import Environment
from pods_jax.identification import least_squares, normal_equations, prediction, recording
from pods_jax.identification.uncertainty import Direction
from pods_jax.identification.windows import Windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DEVIATION = 10.0
"""A parameter whose standard deviation is more than so many times its value is not identified at all."""

NORMAL_95 = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: its value to begin with, and what was known of it."""

    name: str
    unit: str
    start: float
    lower: float
    upper: float
    prior_mean: float
    prior_deviation: float  # infinite where there is no prior


@dataclass(frozen=True)
class Identification:
    """Estimates of p parameters, in the order of `parameters`, and what they are worth."""

    parameters: tuple[Parameter, ...]
    estimate: np.ndarray  # (p,)
    covariance: np.ndarray  # (p, p)
    known: tuple[Direction, ...]  # combinations of parameters that the recordings tell, the best first
    left_open: tuple[Direction, ...]  # those that they do not tell
    environment: Environment  # with the estimates
    noise: Mapping[str, float]  # standard deviation of each measured component, given or estimated
    prediction_error: Mapping[str, float]  # root mean square of each component, up to `ahead` seconds
    prediction_error_before: Mapping[str, float]  # with the values to begin with
    ahead: float  # [s]
    num_held_out: int  # recordings that the errors are of; 0 if they are of those that were fitted
    problem: normal_equations.Problem
    fit: least_squares.Fit

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def values(self) -> dict[str, float]:
        """The estimates by name."""
        return dict(zip(self.names, self.estimate.tolist(), strict=True))

    @property
    def standard_deviation(self) -> np.ndarray:
        """(p,) of the estimates."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def confidence(self) -> np.ndarray:
        """(p, 2) the intervals that hold the true values with 95 %, within the bounds."""
        half = NORMAL_95 * self.standard_deviation
        lower, upper = (np.asarray([getattr(each, side) for each in self.parameters]) for side in ("lower", "upper"))
        return np.stack([np.clip(self.estimate - half, lower, upper), np.clip(self.estimate + half, lower, upper)], 1)

    @property
    def is_identified(self) -> np.ndarray:
        """(p,) bool, whether anything is known of a parameter: its deviation is no multiple of its value or start."""
        size = np.maximum(np.abs(self.estimate), [abs(each.start) for each in self.parameters])
        return self.standard_deviation <= MAX_DEVIATION * np.maximum(size, 1e-12)

    @property
    def converged(self) -> bool:
        """Whether the search ended because nothing was left to gain."""
        return bool(self.fit.converged)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each identified parameter, to train with; the others are better left as they are."""
        pairs = zip(self.names, self.confidence, self.is_identified, strict=True)
        return {name: (float(low), float(high)) for name, (low, high), sure in pairs if sure}

    def residuals(self) -> dict[str, np.ndarray]:
        """(M,) measured minus predicted, of each component at all samples of all windows, in its unit."""
        error = np.asarray(_errors(self.environment, self.fit.starts, self.problem.windows), float)
        known = np.asarray(self.problem.windows.known) > 0
        names = recording.components(self.environment)
        return {name: -error[..., i][known[..., i]] for i, name in enumerate(names) if name in self.noise}

    def summary(self) -> str:
        """What was found, as a table and three short paragraphs."""
        rows = [("parameter", "estimate", "95 % interval", "unit", "before")]
        for each, value, (low, high), sure in zip(
            self.parameters, self.estimate, self.confidence, self.is_identified, strict=True
        ):
            interval = f"{low:.5g} .. {high:.5g}" if sure else "not identified"
            at = " (at its bound)" if value in (each.lower, each.upper) else ""
            rows.append((each.name, f"{value:.5g}{at}", interval, each.unit, f"{each.start:.5g}"))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        whose = f"{self.num_held_out} held-out recordings" if self.num_held_out else "the same recordings"
        lines += ["", f"Error of predictions up to {self.ahead:g} s ahead, root mean square on {whose}:"]
        lines += [
            f"  {name}: {value:.4g} (before: {self.prediction_error_before[name]:.4g})"
            for name, value in self.prediction_error.items()
        ]
        if self.left_open:
            lines += ["", "The recordings do not tell these changes of parameters, by so many per cent, from none:"]
            lines += [f"  {direction}" for direction in self.left_open]
        if not self.converged:
            lines += [
                "",
                "The search has not converged: take a shorter window, or values to begin with that are closer.",
            ]
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """All of it as numbers and text, for JSON."""
        return {
            "estimate": self.values,
            "unit": {each.name: each.unit for each in self.parameters},
            "standard_deviation": dict(zip(self.names, self.standard_deviation.tolist(), strict=True)),
            "confidence": dict(zip(self.names, self.confidence.tolist(), strict=True)),
            "identified": dict(zip(self.names, self.is_identified.tolist(), strict=True)),
            "covariance": self.covariance.tolist(),
            "left_open": [dict(direction.shares) for direction in self.left_open],
            "ranges": self.ranges(),
            "noise": dict(self.noise),
            "ahead": self.ahead,
            "num_held_out": self.num_held_out,
            "prediction_error": dict(self.prediction_error),
            "prediction_error_before": dict(self.prediction_error_before),
            "converged": self.converged,
        }

    def figure(self) -> "Figure":
        """The intervals of the parameters, the correlations between them, and the residuals by their noise."""
        from pods_jax.visual import identified

        deviation = self.standard_deviation
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = self.covariance / deviation[:, None] / deviation[None]
        return identified.identification(
            self.names,
            self.estimate,
            self.confidence,
            self.is_identified,
            np.nan_to_num(correlation),
            {name: values / self.noise[name] for name, values in self.residuals().items()},
        )


@jax.jit
def _errors(env: Environment, starts: jax.Array, windows: Windows) -> jax.Array:
    """(W, K, n) predicted minus measured."""
    return jax.vmap(lambda start, window: prediction.errors(env, start, window))(starts, windows)
