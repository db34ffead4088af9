"""What leaves a run for others to look at or to use: pages to play with, and policy files."""

import os
import pathlib

import jax
from rich.console import Console

from pods_jax import checks, viewer
from pods_jax import export as exporting
from pods_jax.checks import InputError
from pods_jax.configuration import check
from pods_jax.evaluation import bed
from pods_jax.experiment import load_run, title_of
from pods_jax.progress import make_console
from pods_jax.rollout import rollout as follow
from pods_jax.workdir import Workdir


def show(
    workdir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    rollout: int = 0,
    num_rollouts: int = 10,
    compare: str | os.PathLike[str] = "",
    console: Console | None = None,
    checkpoint: str = "latest",
) -> None:
    """Draws the policy of a checkpoint as one HTML page.

    It shows `num_rollouts` unseen initial states, from number `rollout` on. compare: the folder of another run in the
    same environment, shown beside it, from the same states. Raises CheckpointError if a folder holds no such run, and
    InputError for what cannot be drawn or compared.
    """
    console, path = console or make_console(), pathlib.Path(out)
    viewer.check_name(path)
    folders = [Workdir(one) for one in (workdir, compare) if one]
    configuration, *others = (check(folder.read_config()) for folder in folders)
    env, count = configuration.algorithm.env, configuration.num_test_rollouts
    if others and folders[0].path == folders[1].path:
        raise InputError(f"compare = {str(compare)!r}: must be another folder than that of the run itself")
    for other in others:
        if configuration.fields["env"] != other.fields["env"]:
            raise InputError(
                f"compare = {str(compare)!r}: holds a run in another environment; they start differently"
            )
    first = checks.integer("rollout", rollout, at_least=0, at_most=count - 1)
    checks.integer("num_rollouts", num_rollouts, at_least=1)
    starts = jax.tree.map(lambda leaf: leaf[first : first + num_rollouts], bed(env, count))
    shown = {}
    for folder in folders:
        loaded, restored = load_run(folder, console, checkpoint)
        policy = loaded.algorithm.policy(restored.state)
        trajectories = jax.vmap(lambda start, policy=policy: follow(env, policy, start))(starts)
        shown[f"{folder.path}, epoch {restored.epoch}"] = trajectories
    viewer.view(env, shown, title=title_of(configuration)).save(path)
    console.print(f"drawn in {os.path.relpath(path)}; open it in any browser", markup=False)


def export(
    workdir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str,
    console: Console | None = None,
    checkpoint: str = "latest",
) -> None:
    """Writes the policy of a checkpoint of a run as a file that runs elsewhere, see `pods_jax.export`.

    checkpoint: as for `evaluate`. Raises CheckpointError if the folder holds no such run, and InputError for a format
    that is not known or whose package is not installed.
    """
    folder, console, path = Workdir(workdir), console or make_console(), pathlib.Path(out)
    exporting.check_name(path, format)
    configuration, restored = load_run(folder, console, checkpoint)
    algorithm = configuration.algorithm
    notes = {"epoch": restored.epoch, "config": configuration.fields}
    difference = exporting.save_policy(path, algorithm.env, algorithm.policy(restored.state), format, notes)
    console.print(f"policy of epoch {restored.epoch} in {os.path.relpath(path)}, described beside it", markup=False)
    console.print(f"reloaded, it differs by at most {difference:.1e} of the action limits", markup=False)
