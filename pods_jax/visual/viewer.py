"""Rollouts as one HTML file that needs nothing else: play, scrub, orbit, zoom, compare.

`view(env, {"PODS": trajectories})` shows itself in a notebook cell, and `save` writes the file. Positions are stored
as 16-bit numbers (a thirty-thousandth of the picture), everything else as float32, all in base64.
"""

import base64
import html
import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import Drawing, Environment
from pods_jax.rollouts import check_environment
from pods_jax.storage import files
from pods_jax.types import Trajectory
from pods_jax.visual import animation

TEMPLATE = pathlib.Path(__file__).with_name("viewer.html")
MAX_INT16 = 32767


@dataclass(frozen=True)
class View:
    """A page: the text of an HTML file."""

    page: str

    def save(self, path: pathlib.Path | str) -> None:
        """Writes the page, and makes its folder. Raises InputError unless the name ends in .html."""
        files.write_text(check_name(path), self.page)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, so that neither changes the other."""
        source = html.escape(self.page, quote=True)
        return f'<iframe srcdoc="{source}" width="100%" height="620" style="border:0" allowfullscreen></iframe>'


def check_name(path: pathlib.Path | str) -> pathlib.Path:
    """The name of a page; raises InputError unless the file can be one."""
    path = checks.path("path", path)
    if path.suffix != ".html":
        raise InputError(f"out = {str(path)!r}: must name a file that ends in .html")
    return path


def view(env: Environment, rollouts: Mapping[str, Trajectory], title: str = "") -> View:
    """A page with one picture for each label, side by side, such as those of two policies.

    rollouts: for each label one trajectory, leaves (T, ...), or several, leaves (k, T, ...), among which the page
    chooses. Raises InputError without any, for numbers that are not finite, for trajectories of another environment
    or of no step, and for an environment that cannot be drawn. The kinetic energy is shown where
    `Environment.measure` gives it.
    """
    check_environment(env)
    title = checks.text("title", title)
    if not isinstance(rollouts, Mapping) or not rollouts:
        raise InputError('rollouts: must hold at least one trajectory, for example {"PODS": trajectory}')
    for label, trajectory in rollouts.items():
        checks.instance(f"rollouts[{label!r}]", trajectory, Trajectory, "what `rollout` returns")
    groups = {label: _several(env, f"rollouts[{label!r}]", rollouts[label]) for label in rollouts}
    drawn = {
        label: [animation.drawings(env, trajectory.state) for trajectory in group] for label, group in groups.items()
    }
    scene = _scene(env, [one for group in drawn.values() for one in group])
    content = {
        "title": title or f"{env.name} / {env.task}",
        **scene,
        "groups": [
            {
                "label": label,
                "rollouts": [
                    _rollout(env, trajectory, one, scene) for trajectory, one in zip(group, drawn[label], strict=True)
                ],
            }
            for label, group in groups.items()
        ],
    }
    # A label with "</script>" in it must not end the data.
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return View(TEMPLATE.read_text(encoding="utf-8").replace("__DATA__", text))


def _several(env: Environment, name: str, trajectory: Trajectory) -> list[Trajectory]:
    """The trajectories of one label; raises InputError unless they are such."""
    checks.instance(name, trajectory, Trajectory, "pods_jax.rollout(env, policy, state)")
    shape = np.shape(trajectory.reward)
    if len(shape) not in (1, 2) or 0 in shape:
        raise InputError(
            name, None, "must be at least one, of at least one step", found=f"has rewards of shape {shape}"
        )
    checks.shape(f"{name}.action", trajectory.action, (*shape, env.action_size))
    if len(shape) == 1:
        return [trajectory]
    return [jax.tree.map(lambda leaf, i=index: leaf[i], trajectory) for index in range(shape[0])]


def _scene(env: Environment, drawn: Sequence[Drawing]) -> dict[str, Any]:
    """What stays: segments, target, tables, and a ball around all points."""
    first, dimension = drawn[0], drawn[0].points.shape[-1]
    points = [part.reshape(-1, dimension) for one in drawn for part in (one.points, one.target)]
    everything = np.concatenate(points)
    centre = (everything.max(axis=0) + everything.min(axis=0)) / 2
    radius = float(np.linalg.norm(everything - centre, axis=1).max()) + 1e-3
    cables = iter(range(len(first.segments)))
    return {
        "dimension": dimension,
        "centre": centre.tolist(),
        "radius": radius,
        "scale": radius / MAX_INT16,
        "numPoints": first.points.shape[1],
        "numHandles": first.num_handles,
        # The third number: which of the segments that can hang slack it is, or -1 for one that cannot.
        "segments": [
            [*pair, next(cables) if cable else -1] for pair, cable in zip(first.segments, first.cables, strict=True)
        ],
        "target": first.target[0].tolist(),
        "targetMoves": not all(np.array_equal(row, first.target[0]) for one in drawn for row in one.target),
        "tables": _tables(first, centre, radius),
        "timeStep": env.time_step,
        "limit": np.asarray(env.action_limit).tolist(),
        "actionUnit": env.action_unit,
    }


def _tables(drawn: Drawing, centre: np.ndarray, radius: float) -> list[Any]:
    """Corners (4, 3) or ends (2, 2) [m] of each plane that faces upwards; a wall would hide what it holds."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) if len(centre) == 3 else np.array([[-1], [1]])
    flat = centre[:-1] + radius * corners
    return [
        np.column_stack([flat, (offset - flat @ normal[:-1]) / normal[-1]]).tolist()
        for normal, offset in zip(drawn.normals[0], drawn.offsets[0], strict=True)
        if normal[-1] > 0
    ]


def _rollout(env: Environment, trajectory: Trajectory, drawn: Drawing, scene: dict[str, Any]) -> dict[str, str]:
    measured = jax.vmap(env.measure)(trajectory.state)
    numbers = {"reward": trajectory.reward, "action": trajectory.action}
    if "kinetic_energy" in measured:
        numbers["energy"] = measured["kinetic_energy"]
    if not all(np.all(np.isfinite(values)) for values in numbers.values()):
        raise InputError("rollouts: hold rewards, actions or energies that are not finite")
    placed = {"points": drawn.points, **({"target": drawn.target} if scene["targetMoves"] else {})}
    return {
        **{name: _encode(_packed(where, scene), "<i2") for name, where in placed.items()},
        "slack": _encode(drawn.slack[:, np.asarray(drawn.cables, bool)], "u1"),
        **{name: _encode(values, "<f4") for name, values in numbers.items()},
    }


def _packed(points: ArrayLike, scene: dict[str, Any]) -> np.ndarray:
    """Points (..., d) [m] in units of the page, rounded."""
    return np.round((np.asarray(points) - np.array(scene["centre"])) / scene["scale"])


def _encode(values: Any, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()
