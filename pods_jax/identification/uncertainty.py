"""How well parameters are known: covariance, and the combinations of them that the data leave open."""

from dataclasses import dataclass

import numpy as np

MAX_RELATIVE = 0.5
"""A combination of parameters whose standard deviation is more than this share of their values is left open."""

LOST = 1e3
"""The largest relative standard deviation that is told from rounding."""

SMALL = 0.05
"""Shares of a combination below this one are not named."""


@dataclass(frozen=True)
class Direction:
    """A combination of relative changes of parameters, and how well it is known."""

    shares: tuple[tuple[str, float], ...]  # parameters and their relative changes, the largest 1
    uncertainty: float  # relative standard deviation of that change

    def __str__(self) -> str:
        told = ", ".join(f"{name} {share:+.2g} %" for name, share in self.shares)
        return f"{told}: known to {100 * self.uncertainty:.2g} %" if self.uncertainty < 100 else f"{told}: not seen"


def covariance(information: np.ndarray, scores: np.ndarray | None, scale: np.ndarray) -> np.ndarray:
    """(p, p) of the estimates, from the Gauss-Newton matrix (p, p).

    scores: (W, p) the gradients of W windows, if only these are independent of each other: then the covariance is
    A^-1 (sum s s') A^-1 W / (W - p) (Huber 1967, White 1982), not A^-1. scale (p,): the sizes of the parameters; what
    is not seen at all gets a standard deviation of LOST times that.
    """
    values, vectors = np.linalg.eigh(scale[:, None] * information * scale[None])
    inverse = scale[:, None] * (vectors / np.maximum(values, LOST**-2)) @ vectors.T * scale[None]
    if scores is None:
        return inverse
    count, size = scores.shape
    # Directions that are not seen have no scores; what the prior and rounding leave of them stays as it is.
    seen = scale[:, None] * (vectors * (values > MAX_RELATIVE**-2) / np.maximum(values, LOST**-2)) @ vectors.T
    seen = seen * scale[None]
    spread = seen @ (scores.T @ scores) @ seen * count / max(count - size, 1)
    return spread + inverse - seen


def directions(
    names: tuple[str, ...], information: np.ndarray, scale: np.ndarray
) -> tuple[list[Direction], list[Direction]]:
    """The combinations that are known, from the best on, and those that are left open, in few parameters each."""
    values, vectors = np.linalg.eigh(scale[:, None] * information * scale[None])
    uncertainty = 1 / np.sqrt(np.maximum(values, LOST**-2))
    is_open = uncertainty > MAX_RELATIVE
    known = [_named(names, vectors[:, i], uncertainty[i]) for i in np.argsort(uncertainty) if not is_open[i]]
    basis = _few(vectors[:, is_open].T)
    squares = np.sum((basis @ vectors[:, is_open]) ** 2 / np.maximum(uncertainty[is_open], 1e-30) ** 2, axis=1)
    return known, [_named(names, row, 1 / np.sqrt(square)) for row, square in zip(basis, squares, strict=True)]


def _few(basis: np.ndarray) -> np.ndarray:
    """A basis (k, p) of the same space whose rows have zeros in each other's largest place (Gauss-Jordan)."""
    basis = np.array(basis)
    for row in range(len(basis)):
        rest = np.abs(basis[row:])
        best, pivot = map(int, np.unravel_index(np.argmax(rest), rest.shape))
        basis[[row, row + best]] = basis[[row + best, row]]
        basis[row] /= basis[row, pivot]
        for other in range(len(basis)):
            if other != row:
                basis[other] -= basis[other, pivot] * basis[row]
    return basis


def _named(names: tuple[str, ...], vector: np.ndarray, uncertainty: float) -> Direction:
    largest = vector[np.argmax(np.abs(vector))]
    shares = vector / largest
    order = sorted(range(len(names)), key=lambda i: -abs(shares[i]))
    kept = tuple((names[i], float(shares[i])) for i in order if abs(shares[i]) >= SMALL)
    return Direction(kept, float(uncertainty))
