"""Moving pictures of what an environment draws: points, segments, handles, planes, target and trail.

Drawn with matplotlib: a function from states to an animation, which a notebook shows with `to_jshtml()` and
`save` writes as a GIF.
"""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import Drawing, Environment
from pods_jax.storage import files
from pods_jax.visual import gif

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

COLORS = {"slack": "0.75", "taut": "tab:blue", "point": "tab:blue", "handle": "tab:red", "target": "tab:green"}


def animate(env: Environment, states: Any, title: str = "") -> "FuncAnimation":
    """An animation in real time of states, leaves (T, ...), such as `trajectory.state` of a rollout.

    Segments are blue, those that hang slack grey; handles are red squares, targets green crosses, planes grey.
    `to_jshtml()` draws every frame, which a browser does not do in time where the time step is milliseconds; `save`
    leaves out what it has to. Raises InputError as `drawings`.
    """
    from matplotlib.animation import FuncAnimation

    figure, draw, num_frames = _scene(env, states, title)
    return FuncAnimation(figure, draw, frames=num_frames, interval=1000 * env.time_step, blit=False)


def picture(env: Environment, states: Any, title: str = "") -> np.ndarray:
    """(height, width, 3) bytes: the last of the states, leaves (T, ...), as `animate` would show it, with its trail.

    Raises InputError as `drawings`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, draw, num_frames = _scene(env, states, title)
    draw(num_frames - 1)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def drawings(env: Environment, states: Any) -> Drawing:
    """What the environment draws of states, leaves (T, ...), as NumPy arrays with a leading T.

    Raises InputError for an environment that cannot be drawn, for no state at all, for states of another environment,
    and where something is drawn at a place that is not finite.
    """
    env.drawing_function()  # refuses
    own = jax.eval_shape(env.reset, jax.random.key(0))
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(states)}
    count = next(iter(lengths))[:1] if len(lengths) == 1 else ()
    several = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*count, *leaf.shape), leaf.dtype), own)
    checks.like("states", states, several)
    if count == (0,):
        raise InputError("states: hold no frame, must be at least one")
    drawn = jax.tree.map(np.asarray, _draw_all(env, states))
    places = np.concatenate([drawn.points, drawn.target], axis=1)
    finite = np.isfinite(places).all(axis=(1, 2))
    if not finite.all():
        raise InputError(f"states: hold positions that are not finite, first in frame {int(np.argmin(finite))}")
    return drawn


def trail(drawn: Drawing) -> np.ndarray:
    """(T, d) [m] the mean of the points that no action drives, or of all where it drives them all."""
    free = drawn.points[:, drawn.num_handles :]
    return np.asarray((free if free.shape[1] else drawn.points).mean(axis=1))


@jax.jit
def _draw_all(env: Environment, states: Any) -> Drawing:
    return jax.vmap(env.draw)(states)


def _scene(env: Environment, states: Any, title: str) -> "tuple[Figure, Callable[[int], list[Any]], int]":
    """The figure, what draws a frame of it, and the number of frames."""
    from matplotlib.figure import Figure

    drawn = drawings(env, states)
    points, num_handles, middle = drawn.points, drawn.num_handles, trail(drawn)
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    style: dict[str, Any] = {"projection": "3d", "computed_zorder": False} if points.shape[-1] == 3 else {}
    axes: Any = figure.add_subplot(**style)
    axes.set_title(title, fontsize="medium")
    (target,) = axes.plot(*drawn.target[0].T, "+", color=COLORS["target"], markersize=6)
    _frame(axes, drawn)
    lines = [axes.plot(*points[0, list(pair)].T, linewidth=1.2)[0] for pair in drawn.segments]
    (free,) = axes.plot(*points[0, num_handles:].T, "o", color=COLORS["point"], markersize=4)
    (handles,) = axes.plot(*points[0, :num_handles].T, "s", color=COLORS["handle"], markersize=5)
    (path,) = axes.plot(*middle[:1].T, color="0.6", linewidth=0.8)

    def draw(index: int) -> list[Any]:
        for line, pair, loose in zip(lines, drawn.segments, drawn.slack[index], strict=True):
            _place(line, points[index, list(pair)])
            line.set(color=COLORS["slack" if loose else "taut"], linestyle="--" if loose else "-")
        _place(target, drawn.target[index])
        _place(free, points[index, num_handles:])
        _place(handles, points[index, :num_handles])
        _place(path, middle[: index + 1])
        return [*lines, target, free, handles, path]

    return figure, draw, len(points)


def save(animation: "FuncAnimation", path: pathlib.Path | str, frames_per_second: float) -> None:
    """Writes a GIF that plays for ever, completely or not at all; see `visual.gif` for which frames it shows.

    frames_per_second: 1 / time_step for real time, at least 1 / 600. Raises InputError on others and unless the name
    ends in .gif, and OSError if the file cannot be written.
    """
    path = pathlib.Path(path)
    check_name(path)
    lowest = gif.TICKS / gif.MAX_TICKS
    rate = checks.number("frames_per_second", frames_per_second, at_least=lowest * (1 - 1e-6))
    with files.replacing(path) as (place,):
        animation.save(str(place), writer=gif.writer(rate), dpi=80)


def check_name(path: pathlib.Path) -> None:
    """Raises InputError unless the file can be a GIF."""
    if path.suffix != ".gif":
        raise InputError(f"out = {str(path)!r}: must name a file that ends in .gif, or in .html for a page")


def _place(line: Any, points: jax.Array | np.ndarray) -> None:
    if points.shape[-1] == 3:
        line.set_data_3d(*points.T)
    else:
        line.set_data(*points.T)


def _frame(axes: Any, drawn: Drawing) -> None:
    """The still part: limits with the same scale on all axes, and the planes of the first state."""
    dimension = drawn.points.shape[-1]
    shown = np.concatenate([drawn.points.reshape(-1, dimension), drawn.target.reshape(-1, dimension)])
    centre, half = (shown.max(axis=0) + shown.min(axis=0)) / 2, np.ptp(shown, axis=0).max() / 2 + 0.05
    for name, middle in zip("xyz" if dimension == 3 else "xy", centre, strict=True):
        getattr(axes, f"set_{name}lim")(middle - half, middle + half)
    axes.set_aspect("equal")
    axes.set(xlabel="x [m]", ylabel="y [m]" if dimension == 3 else "z [m]")
    if dimension == 3:
        axes.set_zlabel("z [m]")
    flat = np.meshgrid(*(middle + half * np.array([-1, 1]) for middle in centre[:-1]))
    for normal, offset in zip(drawn.normals[0], drawn.offsets[0], strict=True):
        if normal[-1] > 0:  # a table; a wall would hide what it holds
            below = sum(component * along for component, along in zip(normal[:-1], flat, strict=True))
            height = (offset - below) / normal[-1]
            if dimension == 3:
                axes.plot_surface(*flat, height, color="0.9", alpha=0.4, shade=False, zorder=-1)
            else:
                axes.plot(*flat, height, color="0.7", linewidth=1.0, zorder=-1)
