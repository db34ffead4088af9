"""What leaves a run for others to look at or to use: pages to play with, figures, and policy files."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from rich.console import Console

from pods_jax import checks
from pods_jax import export as exporting
from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.evaluation import heldout_states
from pods_jax.rollouts import rollout as follow
from pods_jax.runs import metrics_log, robustness
from pods_jax.runs.configuration import check_form
from pods_jax.runs.experiment import load_run, restore, title_of
from pods_jax.runs.own_environment import Own, read_configuration
from pods_jax.runs.progress import make_console, warn
from pods_jax.runs.workdir import Workdir
from pods_jax.types import Policy
from pods_jax.visual import figures, viewer
from pods_jax.visual.jacobians import jacobians
from pods_jax.visual.robustness import figure as draw_robustness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNTOLD = ("seed", "evaluate_every", "num_test_rollouts", "search_optimum")
"""Settings that do not part runs whose learning curves are drawn as one."""

KINDS = ("learning", "phase", "actions", "jacobian", "hessians", "robustness")
"""The figures that `draw` draws."""


DEFAULT_ROLLOUTS = 10
"""How many unseen initial states are drawn together where nobody says."""


def show(
    workdir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    rollout: int = 0,
    num_rollouts: int | None = None,
    compare: str | os.PathLike[str] = "",
    console: Console | None = None,
    checkpoint: str = "latest",
    env: Own = None,
) -> None:
    """Draws the policy of a checkpoint as one HTML page.

    It shows `num_rollouts` unseen initial states, from number `rollout` on; ten, if not given, or all that there are.
    compare: the folder of another run in the same environment, shown beside it, from the same states. checkpoint,
    env: as for `experiment.evaluate`. Raises CheckpointError if a folder holds no such run, and InputError for what
    cannot be drawn or compared.
    """
    console, path = console or make_console(), pathlib.Path(out)
    viewer.check_name(path)
    folders = [Workdir(one) for one in (workdir, compare) if one]
    configurations = [read_configuration(folder, env) for folder in folders]
    configuration, *others = configurations
    shared, count = configuration.algorithm.env, configuration.num_test_rollouts
    if others and folders[0].path == folders[1].path:
        raise InputError(f"compare = {str(compare)!r}: must be another folder than that of the run itself")
    for other in others:
        if configuration.fields["env"] != other.fields["env"]:
            raise InputError(
                f"compare = {str(compare)!r}: holds a run in another environment; they start differently"
            )
    first = checks.integer("rollout", rollout, at_least=0, at_most=count - 1)
    shown_at_once = _how_many(num_rollouts, count - first)
    starts = jax.tree.map(lambda leaf: leaf[first : first + shown_at_once], heldout_states(shared, count))
    shown = {}
    for folder, loaded in zip(folders, configurations, strict=True):
        restored = restore(loaded, folder, console, checkpoint)
        policy = loaded.algorithm.policy(restored.state)
        trajectories = jax.vmap(lambda start, policy=policy: follow(shared, policy, start))(starts)
        shown[f"{folder.path}, epoch {restored.epoch}"] = trajectories
    viewer.view(shared, shown, title=title_of(configuration)).save(path)
    console.print(f"drawn in {os.path.relpath(path)}; open it in any browser", markup=False)


def draw(
    workdirs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    kind: str = "learning",
    num_rollouts: int | None = None,
    console: Console | None = None,
    checkpoint: str = "latest",
    env: Own = None,
) -> None:
    """Draws a figure: the learning curves of several runs, or what the policy of one does.

    kind: "learning" (runs that differ in nothing but their seeds become one line with a band, and a folder of several
    seeds stands for all of them); "phase" (velocity of
    the last point against its position) and "actions", of `num_rollouts` unseen initial states (ten, if not given, or
    all that there are); "jacobian" and "hessians" of a rollout of the first of them; "robustness" against stronger
    noise and wider ranges of parameters, which is printed as well. checkpoint, env: as for `experiment.evaluate`;
    learning curves need neither. Raises CheckpointError if a
    folder holds no such run, and InputError for what cannot be drawn.
    """
    console, path = console or make_console(), pathlib.Path(out)
    kind = checks.choice("kind", kind, KINDS)
    figures.check_name(path)
    folders = [each for one in workdirs for each in Workdir(one).seeds() or [Workdir(one)]]
    if not folders or (kind != "learning" and len(folders) > 1):
        raise InputError(f"workdir: got {len(folders)} folders, must be one, or several for --kind=learning")
    if kind == "learning":
        runs = by_setting(folders)
        for label, trainings in runs.items():
            ends = [rows[-1]["epoch"] if rows else 0 for rows in trainings]
            if len({*ends}) > 1:
                warn(console, f"{label}: one ends after epoch {min(ends)}, the longer ones go on as thin lines")
        figure = figures.learning_curves(runs)
    else:
        configuration, restored = load_run(folders[0], console, checkpoint, env)
        drawn, policy = configuration.algorithm.env, configuration.algorithm.policy(restored.state)
        count = _how_many(num_rollouts, configuration.num_test_rollouts)
        figure = (
            _robustness(drawn, policy, count, console)
            if kind == "robustness"
            else _portrait(drawn, policy, kind, count)
        )
        figure.suptitle(f"{title_of(configuration)}, epoch {restored.epoch}")
    figures.save(figure, path)
    console.print(f"drawn in {os.path.relpath(path)}", markup=False)


def _how_many(num_rollouts: int | None, available: int) -> int:
    """The number of unseen initial states to draw; raises InputError where more are asked for than there are."""
    if num_rollouts is None:
        return min(DEFAULT_ROLLOUTS, available)
    return checks.integer("num_rollouts", num_rollouts, at_least=1, at_most=available)


def by_setting(folders: Sequence[Workdir]) -> dict[str, list[list[dict[str, Any]]]]:
    """The rows of runs that differ in nothing but their seeds, under what tells their settings from the others'.

    Runs of other lengths have lines of their own, and so have runs of the same seed.
    """
    settings: list[dict[str, str]] = []
    seeds: list[int] = []
    for folder in folders:
        flat = flatten_dict(check_form(folder.read_config()), sep=".")  # says so where there is no run
        seeds.append(flat["seed"])
        settings.append({name: str(value) for name, value in flat.items() if name not in UNTOLD})
    every = dict.fromkeys(name for setting in settings for name in setting)
    telling = [name for name in every if _tells(name, settings)]
    alike: dict[str, list[tuple[Workdir, int]]] = {}
    for folder, setting, seed in zip(folders, settings, seeds, strict=True):
        told = ", ".join(f"{name} = {setting[name]}" for name in telling if name in setting)
        label = told or (str(folder.path) if len(folders) == 1 else f"{len(folders)} runs")
        alike.setdefault(label, []).append((folder, seed))
    return {label: rows for group, runs in alike.items() for label, rows in _lines(group, runs)}


def _lines(label: str, runs: Sequence[tuple[Workdir, int]]) -> list[tuple[str, list[list[dict[str, Any]]]]]:
    """One line for runs of different seeds; one for each folder where a seed is there twice."""
    if len({seed for _, seed in runs}) == len(runs):
        return [(label, [metrics_log.read(folder.metrics) for folder, _ in runs])]
    return [(f"{label}, {folder.path}", [metrics_log.read(folder.metrics)]) for folder, _ in runs]


def _tells(name: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether a setting parts runs; of different algorithms (or environments) the names tell enough."""
    section = f"{name.partition('.')[0]}.name" if "." in name else name
    alike: dict[str | None, set[str | None]] = {}
    for setting in settings:
        alike.setdefault(None if name == section else setting[section], set()).add(setting.get(name))
    return any(len(values) > 1 for values in alike.values())


def _portrait(env: Environment, policy: Policy, kind: str, num_rollouts: int) -> "Figure":
    starts = heldout_states(env, num_rollouts)
    trajectories = jax.vmap(lambda start: follow(env, policy, start))(starts)
    if kind == "actions":
        return figures.action_traces(trajectories.action, env.action_limit, env.time_step, env.action_unit)
    if kind == "phase":
        return figures.phase_portrait(*last_point(env, starts, trajectories.state))
    start, actions = jax.tree.map(lambda leaf: leaf[0], (starts, trajectories.action))
    parts = jacobians(*env.core(start), actions)
    if kind == "jacobian":
        named = {"states by actions": parts.jacobian}
        return figures.matrices(named, xlabel="component of the actions", ylabel="component of the states")
    named = {"Gauss-Newton": parts.gauss_newton, "exact": parts.hessian}
    return figures.matrices(named, xlabel="component of the actions", ylabel="component of the actions")


def _robustness(env: Environment, policy: Policy, num_rollouts: int, console: Console) -> "Figure":
    found = robustness.curves(env, policy, num_rollouts=num_rollouts)
    for curve in found:
        pairs = zip(curve.scale, curve.optimality_gap, strict=True)
        gaps = ", ".join(f"{scale:g}: {100 * gap:.2f} %" for scale, gap in pairs)
        console.print(f"{curve.what}, optimality gap by scale: {gaps}", markup=False)
    return draw_robustness(found)


def last_point(env: Environment, starts: Any, states: Any) -> tuple[np.ndarray, np.ndarray]:
    """(k, T) [m] and (k, T) [m/s]: where the last point of the drawing is along x, and how fast.

    starts: leaves (k, ...), states: leaves (k, T, ...). The velocity is a central difference over two time steps, at
    the end over the last three states. Raises InputError for an environment that cannot be drawn.
    """
    env.drawing_function()  # refuses
    path = jax.tree.map(lambda first, rest: jnp.concatenate([first[:, None], rest], axis=1), starts, states)
    position = np.asarray(jax.vmap(jax.vmap(env.draw))(path).points[:, :, -1, 0])
    velocity = np.gradient(position, env.time_step, axis=1, edge_order=min(2, position.shape[1] - 1))
    return position[:, 1:], velocity[:, 1:]


def export(
    workdir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str,
    console: Console | None = None,
    checkpoint: str = "latest",
    env: Own = None,
) -> None:
    """Writes the policy of a checkpoint of a run as a file that runs elsewhere, see `pods_jax.export`.

    checkpoint, env: as for `experiment.evaluate`. Raises CheckpointError if the folder holds no such run, and
    InputError for a format that is not known or whose package is not installed.
    """
    folder, console, path = Workdir(workdir), console or make_console(), pathlib.Path(out)
    exporting.check_name(path, format)
    configuration, restored = load_run(folder, console, checkpoint, env)
    algorithm = configuration.algorithm
    notes = {"epoch": restored.epoch, "config": configuration.fields}
    difference = exporting.save_policy(path, algorithm.env, algorithm.policy(restored.state), format, notes)
    console.print(f"policy of epoch {restored.epoch} in {os.path.relpath(path)}, described beside it", markup=False)
    console.print(f"reloaded, it differs by at most {difference:.1e} of the action limits", markup=False)
