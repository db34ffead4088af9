"""Rollouts as one HTML file that needs nothing else: play, scrub, orbit, zoom, compare.

`view(env, {"PODS": trajectories})` shows itself in a notebook cell, and `save` writes the file. Positions are stored
as 16-bit numbers (a thirty-thousandth of the picture), everything else as float32, all in base64.
"""

import base64
import html
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.types import Trajectory
from pods_jax.visual import animation

TEMPLATE = pathlib.Path(__file__).with_name("viewer.html")
LARGEST = 32767  # of a 16-bit number


@dataclass(frozen=True)
class View:
    """A page: the text of an HTML file."""

    page: str

    def save(self, path: pathlib.Path | str) -> None:
        """Writes the page, and makes its folder. Raises InputError unless the name ends in .html."""
        path = pathlib.Path(path)
        check_name(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page, encoding="utf-8")

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, so that neither changes the other."""
        source = html.escape(self.page, quote=True)
        return f'<iframe srcdoc="{source}" width="100%" height="620" style="border:0" allowfullscreen></iframe>'


def check_name(path: pathlib.Path) -> None:
    """Raises InputError unless the file can be a page."""
    if path.suffix != ".html":
        raise InputError(f"out = {str(path)!r}: must name a file that ends in .html")


def view(env: Environment, rollouts: Mapping[str, Trajectory], title: str = "") -> View:
    """A page with one picture for each label, side by side, such as those of two policies.

    rollouts: for each label one trajectory, leaves (T, ...), or several, leaves (k, T, ...), among which the page
    chooses. Raises InputError without any, for numbers that are not finite, and for an environment that is not made
    of points and springs.
    """
    groups = {label: _several(trajectory) for label, trajectory in rollouts.items()}
    if not any(groups.values()):
        raise InputError("rollouts: must hold at least one trajectory")
    points = {
        label: [animation.all_points(env, trajectory.state) for trajectory in group]
        for label, group in groups.items()
    }
    scene = _scene(
        env, np.concatenate([one.reshape(-1, one.shape[-1]) for group in points.values() for one in group])
    )
    content = {
        "title": title or f"{env.name} / {env.task}",
        **scene,
        "groups": [
            {
                "label": label,
                "rollouts": [
                    _rollout(env, trajectory, shown, scene)
                    for trajectory, shown in zip(group, points[label], strict=True)
                ],
            }
            for label, group in groups.items()
        ],
    }
    # A label with "</script>" in it must not end the data.
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return View(TEMPLATE.read_text(encoding="utf-8").replace("__DATA__", text))


def _several(trajectory: Trajectory) -> list[Trajectory]:
    if trajectory.reward.ndim == 1:
        return [trajectory]
    return [jax.tree.map(lambda leaf, i=index: leaf[i], trajectory) for index in range(len(trajectory.reward))]


def _scene(env: Environment, shown: np.ndarray) -> dict[str, Any]:
    """What stays: springs, target, table, and a ball around all points."""
    payload, springs = env.parameters, env.parameters.system.springs
    target = np.asarray(payload.rest_position) if payload.weights.position > 0 else np.zeros((0, shown.shape[1]))
    everything = np.concatenate([shown, target])
    if not np.all(np.isfinite(everything)):
        raise InputError("rollouts: hold positions that are not finite")
    centre = (everything.max(axis=0) + everything.min(axis=0)) / 2
    radius = float(np.linalg.norm(everything - centre, axis=1).max()) + 1e-3
    cables = iter(range(len(springs.ends)))
    return {
        "dimension": shown.shape[1],
        "centre": centre.tolist(),
        "radius": radius,
        "scale": radius / LARGEST,
        "numPoints": env.parameters.system.num_handles + env.parameters.system.num_points,
        "numHandles": env.parameters.system.num_handles,
        # The third number: which of the cables it is, or -1 for a spring.
        "springs": [
            [int(first), int(second), next(cables) if cable else -1]
            for (first, second), cable in zip(springs.ends, springs.cable, strict=True)
        ],
        "target": target.tolist(),
        "tables": _tables(env, centre, radius) if shown.shape[1] == 3 else [],
        "timeStep": env.time_step,
        "limit": np.asarray(env.action_limit).tolist(),
        "actionUnit": env.action_unit,
    }


def _tables(env: Environment, centre: np.ndarray, radius: float) -> list[Any]:
    """Four corners (4, 3) [m] of each plane that faces upwards; a wall would hide what it holds."""
    planes, corners = env.parameters.system.planes, np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    flat = centre[:2] + radius * corners
    return [
        np.column_stack([flat, (offset - flat @ normal[:2]) / normal[2]]).tolist()
        for normal, offset in zip(np.asarray(planes.normal), np.asarray(planes.offset), strict=True)
        if normal[2] > 0
    ]


def _rollout(env: Environment, trajectory: Trajectory, points: np.ndarray, scene: dict[str, Any]) -> dict[str, str]:
    packed = np.round((points - np.array(scene["centre"])) / scene["scale"])
    measured = jax.vmap(env.measure)(trajectory.state)
    numbers = {"reward": trajectory.reward, "action": trajectory.action, "energy": measured["kinetic_energy"]}
    if not all(np.all(np.isfinite(values)) for values in numbers.values()):
        raise InputError("rollouts: hold rewards, actions or energies that are not finite")
    cables = np.asarray(env.parameters.system.springs.cable, bool)
    return {
        "points": _encode(packed, "<i2"),
        "slack": _encode(animation.slack_springs(env, points)[:, cables], "u1"),
        **{name: _encode(values, "<f4") for name, values in numbers.items()},
    }


def _encode(values: Any, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()
