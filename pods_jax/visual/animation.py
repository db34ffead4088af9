"""Moving pictures of payload environments: points, springs, handles, table, target and trail.

Drawn with matplotlib: a function from states to an animation, which a notebook shows with `to_jshtml()` and
`save` writes as a GIF.
"""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pods_jax import sim
from pods_jax.checks import InputError
from pods_jax.envs import Environment, Payload

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

COLORS = {"slack": "0.75", "taut": "tab:blue", "point": "tab:blue", "handle": "tab:red", "target": "tab:green"}


def animate(env: Environment, states: Any, title: str = "") -> "FuncAnimation":
    """An animation in real time of states, leaves (T, ...), such as `trajectory.state` of a rollout.

    Springs are blue, cables that hang slack grey; handles are red squares, targets green crosses, the table grey.
    Raises InputError for an environment that is not made of points and springs.
    """
    from matplotlib.animation import FuncAnimation

    figure, draw, num_frames = _scene(env, states, title)
    return FuncAnimation(figure, draw, frames=num_frames, interval=1000 * env.time_step, blit=False)


def picture(env: Environment, states: Any, title: str = "") -> np.ndarray:
    """(height, width, 3) bytes: the last of the states, leaves (T, ...), as `animate` would show it, with its trail.

    Raises InputError for an environment that is not made of points and springs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, draw, num_frames = _scene(env, states, title)
    draw(num_frames - 1)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _scene(env: Environment, states: Any, title: str) -> "tuple[Figure, Callable[[int], list[Any]], int]":
    """The figure, what draws a frame of it, and the number of frames."""
    from matplotlib.figure import Figure

    points = all_points(env, states)
    dimension = points.shape[-1]
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    style: dict[str, Any] = {"projection": "3d", "computed_zorder": False} if dimension == 3 else {}
    axes: Any = figure.add_subplot(**style)
    axes.set_title(title, fontsize="medium")
    _frame(axes, env, points)
    num_handles = env.parameters.system.num_handles
    lines = [axes.plot(*points[0, list(pair)].T, linewidth=1.2)[0] for pair in env.parameters.system.springs.ends]
    (free,) = axes.plot(*points[0, num_handles:].T, "o", color=COLORS["point"], markersize=4)
    (handles,) = axes.plot(*points[0, :num_handles].T, "s", color=COLORS["handle"], markersize=5)
    (trail,) = axes.plot(*points[:1, num_handles:].mean(axis=1).T, color="0.6", linewidth=0.8)
    slack = slack_springs(env, points)

    def draw(index: int) -> list[Any]:
        for line, pair, loose in zip(lines, env.parameters.system.springs.ends, slack[index], strict=True):
            _place(line, points[index, list(pair)])
            line.set(color=COLORS["slack" if loose else "taut"], linestyle="--" if loose else "-")
        _place(free, points[index, num_handles:])
        _place(handles, points[index, :num_handles])
        _place(trail, points[: index + 1, num_handles:].mean(axis=1))
        return [*lines, free, handles, trail]

    return figure, draw, len(points)


def save(animation: "FuncAnimation", path: pathlib.Path | str, frames_per_second: float) -> None:
    """Writes a GIF that plays for ever. Raises InputError unless the name ends in .gif."""
    from matplotlib.animation import PillowWriter

    path = pathlib.Path(path)
    check_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    animation.save(str(path), writer=PillowWriter(fps=round(frames_per_second)), dpi=80)


def check_name(path: pathlib.Path) -> None:
    """Raises InputError unless the file can be a GIF."""
    if path.suffix != ".gif":
        raise InputError(f"out = {str(path)!r}: must name a file that ends in .gif, or in .html for a page")


def all_points(env: Environment, states: Any) -> np.ndarray:
    """(T, H + P, d) [m]: handles first, then free points. Raises InputError if the environment has none."""
    if not isinstance(env.parameters, Payload):
        raise InputError(f"env = {env.name!r}: only environments made of points and springs can be drawn")
    handles = jax.vmap(lambda handle: sim.handle_position(env.parameters.system, handle))(states.handle)
    return np.concatenate([np.asarray(handles), np.asarray(states.position)], axis=1)


def slack_springs(env: Environment, points: np.ndarray) -> np.ndarray:
    """(T, S): True for cables that are no longer than their rest length."""
    springs = env.parameters.system.springs
    first, second = np.asarray(springs.ends).T
    length = np.linalg.norm(points[:, second] - points[:, first], axis=-1)
    return (length <= np.asarray(springs.rest_length)) & np.asarray(springs.cable)


def _place(line: Any, points: np.ndarray) -> None:
    if points.shape[-1] == 3:
        line.set_data_3d(*points.T)
    else:
        line.set_data(*points.T)


def _frame(axes: Any, env: Environment, points: np.ndarray) -> None:
    """The still part: limits with the same scale on all axes, table, target."""
    payload = env.parameters
    shown = points.reshape(-1, points.shape[-1])
    if payload.weights.position > 0:
        target = np.asarray(payload.rest_position)
        axes.plot(*target.T, "+", color=COLORS["target"], markersize=6)
        shown = np.concatenate([shown, target])
    centre, half = (shown.max(axis=0) + shown.min(axis=0)) / 2, np.ptp(shown, axis=0).max() / 2 + 0.05
    for name, middle in zip("xyz" if shown.shape[1] == 3 else "xy", centre, strict=True):
        getattr(axes, f"set_{name}lim")(middle - half, middle + half)
    axes.set_aspect("equal")
    axes.set(xlabel="x [m]", ylabel="y [m]" if shown.shape[1] == 3 else "z [m]")
    if shown.shape[1] == 3:
        axes.set_zlabel("z [m]")
        x, y = np.meshgrid(*(middle + half * np.array([-1, 1]) for middle in centre[:2]))
        planes = payload.system.planes
        for normal, offset in zip(np.asarray(planes.normal), np.asarray(planes.offset), strict=True):
            if normal[2] > 0:  # a table; a wall would hide what it holds
                height = (offset - normal[0] * x - normal[1] * y) / normal[2]
                axes.plot_surface(x, y, height, color="0.9", alpha=0.4, shade=False, zorder=-1)
