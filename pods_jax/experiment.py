"""One run in one folder: check, train (or go on training), evaluate, and leave everything on disk.

This is what the scripts call. It adds no numerics: configuration, training, evaluation, metrics, checkpoints
and figures each have their module, and here they meet.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from rich.console import Console

from pods_jax import checkpoints, checks, metrics, plotting, rendering
from pods_jax.algorithms import Algorithm
from pods_jax.checks import InputError
from pods_jax.configuration import Configuration, check, differences
from pods_jax.evaluation import TestBed, bed, make_test_bed, monitor
from pods_jax.evaluation import evaluate as evaluate_policy
from pods_jax.progress import ProgressDisplay, make_console, print_table
from pods_jax.rollout import rollout as follow
from pods_jax.training import Report, train
from pods_jax.workdir import Workdir, write_json


def run(
    config: Mapping[str, Any], workdir: str | os.PathLike[str], console: Console | None = None
) -> dict[str, float]:
    """Trains in `workdir` as far as `config.num_epochs` says, evaluates, and returns the evaluation.

    A folder with a checkpoint is continued, exactly as if it had never stopped, or only evaluated if it is
    trained that far. Raises InputError before anything is written: for mistakes in the configuration, for a
    folder that cannot be used, and for one that holds a run with other settings.
    """
    configuration, folder, console = check(config), Workdir(workdir), console or make_console()
    folder.check_writable()
    _refuse_other_settings(folder, configuration)
    console.print(f"{_title(configuration)}, {configuration.num_epochs} epochs, in {folder.path}")
    epoch, train_state = _start(configuration, folder, console)
    write_json(folder.config, configuration.fields)
    test_bed = _search(configuration, console)
    if epoch < configuration.num_epochs:
        train_state = _train(configuration, folder, console, test_bed, epoch, train_state)
        epoch = configuration.num_epochs
    numbers = _evaluate(configuration, console, test_bed, epoch, train_state)
    write_json(folder.evaluation, metrics.storable({"epoch": epoch, **numbers}))
    _draw(configuration, folder)
    _print_places(folder, console)
    return numbers


def evaluate(workdir: str | os.PathLike[str], console: Console | None = None) -> dict[str, float]:
    """Evaluates the last checkpoint of a run, from its folder alone, and writes nothing.

    The last line that it prints is one JSON object. Raises CheckpointError if the folder holds no such run.
    """
    folder, console = Workdir(workdir), console or make_console()
    configuration = check(folder.read_config())
    epoch, train_state = checkpoints.restore(folder.checkpoints, _fresh(configuration))
    numbers = _evaluate(configuration, console, _search(configuration, console), epoch, train_state)
    console.print(json.dumps(metrics.storable({"epoch": epoch, **numbers}), allow_nan=False), markup=False)
    return numbers


def render(
    workdir: str | os.PathLike[str], out: str | os.PathLike[str], rollout: int = 0, console: Console | None = None
) -> None:
    """Draws the policy of the last checkpoint of a run, from unseen initial state number `rollout`, as a GIF.

    Raises CheckpointError if the folder holds no such run, and InputError for what cannot be drawn.
    """
    folder, console = Workdir(workdir), console or make_console()
    configuration = check(folder.read_config())
    env, count = configuration.algorithm.env, configuration.num_test_rollouts
    checks.integer("rollout", rollout, at_least=0, at_most=count - 1)
    rendering.check_name(pathlib.Path(out))
    epoch, train_state = checkpoints.restore(folder.checkpoints, _fresh(configuration))
    start = jax.tree.map(lambda leaf: leaf[rollout], bed(env, count))
    trajectory = follow(env, configuration.algorithm.policy(train_state), start)
    animation = rendering.animate(env, trajectory.state, title=f"{_title(configuration)}, epoch {epoch}")
    rendering.save(animation, pathlib.Path(out), frames_per_second=1 / env.time_step)
    console.print(f"return {float(trajectory.reward.sum()):.4f}, drawn in {os.path.relpath(out)}", markup=False)


@dataclass(frozen=True)
class _Observer:
    """Called between chunks: measures the policy, then records, saves and shows."""

    algorithm: Algorithm
    test_bed: TestBed
    writer: metrics.MetricsWriter
    display: ProgressDisplay
    folder: Workdir

    def __call__(self, report: Report) -> None:
        numbers = monitor(self.algorithm.env, self.algorithm.policy(report.train_state), self.test_bed)
        seconds = report.seconds / len(report.metrics)
        first = report.epoch - len(report.metrics) + 1
        rows = [
            {"epoch": first + index, **{f"train/{name}": value for name, value in row.items()}}
            for index, row in enumerate(report.metrics)
        ]
        rows[-1] |= _test_row(report.epoch, numbers) | {"time/seconds_per_epoch": seconds}
        self.writer.write(rows)
        if not math.isfinite(numbers["return_mean"]):
            # The last good checkpoint must not give way to this state.
            saved = checkpoints.latest_epoch(self.folder.checkpoints)
            raise FloatingPointError(
                f"the return on the test bed is {numbers['return_mean']} after epoch {report.epoch}; "
                f"the last checkpoint is of epoch {saved}, {self.folder.metrics} shows how it came about"
            )
        checkpoints.save(self.folder.checkpoints, report.epoch, report.train_state)
        self.display.report(report.epoch, numbers, seconds)


def _train(
    configuration: Configuration,
    folder: Workdir,
    console: Console,
    test_bed: TestBed,
    first_epoch: int,
    train_state: Any,
) -> Any:
    """Trains from `first_epoch` to the end and returns the train state."""
    fresh = first_epoch == 0  # keeps no rows at all, not even the one of epoch 0 of an aborted attempt
    with (
        ProgressDisplay(console, configuration.num_epochs, first_epoch) as display,
        metrics.MetricsWriter(folder.metrics, folder.events, -1 if fresh else first_epoch) as writer,
    ):
        algorithm = configuration.algorithm
        if fresh:
            writer.write([_test_row(0, monitor(algorithm.env, algorithm.policy(train_state), test_bed))])
        train_state, _ = train(
            algorithm,
            jax.random.key(configuration.seed),
            configuration.num_epochs,
            [_Observer(algorithm, test_bed, writer, display, folder)],
            epochs_per_chunk=configuration.evaluate_every,
            train_state=train_state,
            first_epoch=first_epoch,
            announce=display.announce,
        )
    return train_state


def _test_row(epoch: int, numbers: Mapping[str, float]) -> dict[str, float]:
    return {"epoch": epoch, **{f"test/{name}": value for name, value in numbers.items()}}


def _refuse_other_settings(folder: Workdir, configuration: Configuration) -> None:
    if checkpoints.latest_epoch(folder.checkpoints) is None:
        return
    changed = differences(folder.read_config(), configuration.fields)
    if changed:
        raise InputError(
            "\n  ".join([f"{folder.path} holds a run with other settings; name another folder", *changed])
        )


def _fresh(configuration: Configuration) -> Any:
    return jax.jit(configuration.algorithm.init)(jax.random.key(configuration.seed))


def _start(configuration: Configuration, folder: Workdir, console: Console) -> tuple[int, Any]:
    """Returns the epoch and the train state to begin with: those of the last checkpoint, if there is one."""
    train_state = _fresh(configuration)
    if checkpoints.latest_epoch(folder.checkpoints) is None:
        return 0, train_state
    epoch, train_state = checkpoints.restore(folder.checkpoints, train_state)
    if epoch < configuration.num_epochs:
        console.print(f"continuing after epoch {epoch}")
    else:
        console.print(f"already trained to epoch {epoch}; a larger --config.num_epochs continues")
    return epoch, train_state


def _search(configuration: Configuration, console: Console) -> TestBed:
    count = configuration.num_test_rollouts
    if configuration.search_optimum:
        console.print(f"searching the best actions for each of {count} unseen initial states ...")
    return make_test_bed(configuration.algorithm.env, count, search=configuration.search_optimum)


def _evaluate(
    configuration: Configuration, console: Console, test_bed: TestBed, epoch: int, train_state: Any
) -> dict[str, float]:
    algorithm = configuration.algorithm
    numbers = evaluate_policy(algorithm.env, algorithm.policy(train_state), test_bed=test_bed)
    shown = {name: value for name, value in numbers.items() if configuration.search_optimum or "optim" not in name}
    print_table(console, f"{_title(configuration)}, epoch {epoch}", shown)
    if not math.isfinite(numbers["return_mean"]):
        raise FloatingPointError(f"the return of the policy of epoch {epoch} is {numbers['return_mean']}")
    return numbers


def _draw(configuration: Configuration, folder: Workdir) -> None:
    """Draws the learning curve from the metrics on disk: a resumed run has all its epochs there."""
    rows = [row for row in metrics.read(folder.metrics) if "test/return_mean" in row]
    names = ("return_mean", "return_std", "optimality_gap", "optimum_mean")
    mean, std, gap, optimum = ([row[f"test/{name}"] for row in rows] for name in names)
    epochs = [row["epoch"] for row in rows]
    figure = plotting.learning_curve(epochs, mean, std, gap, optimum, title=_title(configuration))
    plotting.save(figure, folder.learning_curve)


def _title(configuration: Configuration) -> str:
    algorithm = configuration.algorithm
    return f"{algorithm.env.name} / {algorithm.env.task}, {algorithm.name}"


def _print_places(folder: Workdir, console: Console) -> None:
    places = {
        "learning curve": folder.learning_curve,
        "metrics": folder.metrics,
        "evaluation": folder.evaluation,
        "policy": folder.checkpoints,
    }
    for name, path in places.items():
        console.print(f"{name:15}{os.path.relpath(path)}", markup=False)
