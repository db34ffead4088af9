"""One run in one folder: check, train (or go on training), evaluate, and leave everything on disk.

This is what the scripts call. It adds no numerics: configuration, training, evaluation, metrics, checkpoints
and figures each have their module, and here they meet.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import jax
from rich.console import Console

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.devices import processes
from pods_jax.envs import Environment
from pods_jax.evaluation import heldout_states
from pods_jax.rollouts import rollout as roll_out
from pods_jax.runs import collapse, metrics_log
from pods_jax.runs.configuration import Configuration
from pods_jax.runs.evaluator import HELD_OUT, Evaluator
from pods_jax.runs.own_environment import Own, read_configuration
from pods_jax.runs.preflight import Plan, locked, open_run
from pods_jax.runs.profiling import Profile
from pods_jax.runs.progress import make_console, warn
from pods_jax.runs.recorder import RunRecorder
from pods_jax.runs.signals import Interruption
from pods_jax.runs.supervised import Progress, Recorder, supervise
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import checkpoints, manifest
from pods_jax.storage.files import write_json
from pods_jax.summaries import summary
from pods_jax.training import Program, compile_meanwhile, meanwhile
from pods_jax.visual import animation, figures, gif


def run(
    config: Mapping[str, Any],
    workdir: str | os.PathLike[str],
    console: Console | None = None,
    resume: str = "auto",
    num_devices: int = 1,
    profile_epochs: int = 0,
    evaluator: Evaluator = HELD_OUT,
    env: Environment | None = None,
) -> dict[str, float]:
    """Trains in `workdir` as far as `config.num_epochs` says, evaluates, and returns the evaluation.

    A folder with a checkpoint is continued, exactly as if it had never stopped, or only evaluated if it is
    trained that far; resume: "auto", "never" (it must hold no run) or "must" (it must hold one). num_devices:
    among so many devices rollouts are divided, 0 takes all; the bits are then not those of one. profile_epochs: of so
    many, after the first ones, a trace is left. evaluator: what the policy is measured with. env: an environment of
    your own instead of `config.env`; whoever reads the folder later has to give it again, so where a function makes
    it, name that as `config.env.name`, "module:function". Raises InputError before anything is written: for mistakes
    in the configuration, for a folder that cannot be used or is in use, and for one that holds a run with other
    settings.
    A return that is far below that before training is said last, see `runs.collapse`. SIGTERM and Ctrl-C raise
    Interrupted after the running epochs. Of several `processes` the first writes and returns the evaluation;
    num_devices is then meant of each.
    """
    console = console or make_console()
    with processes.together():
        plan = open_run(config, workdir, resume, num_devices, profile_epochs, env)
    if processes.is_first():
        with locked(plan) as plan:
            return _lead(plan, console, evaluator)
    _work(plan, console)
    return {}


def _lead(plan: Plan, console: Console, evaluator: Evaluator) -> dict[str, float]:
    """Trains, measures and writes; see `run`."""
    configuration, folder = plan.configuration, plan.folder
    with Interruption(partial(console.print, markup=False)) as interruption:
        console.print(f"{title_of(configuration)}, {configuration.num_epochs} epochs, in {folder.path}", markup=False)
        program = _compile_ahead(plan, plan.latest_epoch)
        progress = start(plan, console).shared()
        with processes.together():
            begin(plan, progress)
        prepared = meanwhile(prepare_after, program, evaluator, configuration, console)
        if progress.epoch < configuration.num_epochs:
            measure = partial(evaluator.monitor, configuration.algorithm.env)
            phase_starts = [phase.first_epoch for phase in configuration.algorithm.phases]
            with Profile(folder.profile, plan.profile_epochs, phase_starts) as profile:
                recorder = RunRecorder(plan, console, measure, prepared, profile)
                progress = supervise(plan, recorder, interruption, progress, program)
        with processes.together():
            numbers = finish(plan, progress, evaluator, prepared, console)
    _print_places(folder, console)
    _warn_of_derivatives(numbers, folder, console)
    if said := collapse.describe(metrics_log.read(folder.metrics), numbers):
        warn(console, said)
    return numbers


def begin(plan: Plan, progress: Progress) -> None:
    """Writes what is about to be done into the folder of a run."""
    fields = plan.configuration.fields
    write_json(plan.folder.config, fields)
    write_json(plan.folder.manifest, manifest.collect(fields, progress.epoch))
    plan.folder.failure.unlink(missing_ok=True)


def finish(
    plan: Plan, progress: Progress, evaluator: Evaluator, prepared: Future[Any], console: Console
) -> dict[str, float]:
    """Evaluates what was trained, shows and writes it, draws the learning curve, and returns the evaluation."""
    configuration = plan.configuration
    policy = configuration.algorithm.policy(progress.train_state)
    numbers = evaluator.evaluate(configuration.algorithm.env, policy, prepared.result())
    _show(numbers, progress.epoch, configuration, console)
    write_json(plan.folder.evaluation, metrics_log.storable({"epoch": progress.epoch, **numbers}))
    _draw(configuration, plan.folder)
    return numbers


def _work(plan: Plan, console: Console) -> None:
    """What all processes but the first do: their share of every epoch, and nothing on disk.

    Raises Interrupted with the others, FloatingPointError when the first gives up, OSError when it cannot go on, and
    InputError when it fails before or after training.
    """
    console.print(f"process {jax.process_index()} of {jax.process_count()}: the first one reports")
    with Interruption(partial(console.print, markup=False)) as interruption:
        progress = Progress(0, fresh_state(plan.configuration)).shared()
        program = _compile_ahead(plan, progress.epoch)
        with processes.together():
            pass  # the first writes what it is about to do
        if progress.epoch < plan.configuration.num_epochs:
            supervise(plan, Recorder(), interruption, progress, program)
        with processes.together():
            pass  # the first evaluates


def evaluate(
    workdir: str | os.PathLike[str],
    console: Console | None = None,
    checkpoint: str = "latest",
    evaluator: Evaluator = HELD_OUT,
    env: Own = None,
) -> dict[str, float]:
    """Evaluates a checkpoint of a run, from its folder alone, and writes nothing.

    checkpoint: "latest", "best" (by the return on the held-out states) or the number of an epoch. evaluator: as for
    `run`. env: what makes an environment of your own, "module:function", or the value that `run` was given. The last
    line that it prints is one JSON object. Raises CheckpointError if the folder holds no such run.
    """
    console = console or make_console()
    configuration, restored = load_run(Workdir(workdir), console, checkpoint, env)
    policy = configuration.algorithm.policy(restored.state)
    numbers = evaluator.evaluate(configuration.algorithm.env, policy, evaluator.prepare(configuration, console))
    _show(numbers, restored.epoch, configuration, console)
    line = json.dumps(metrics_log.storable({"epoch": restored.epoch, **numbers}), allow_nan=False)
    console.print(line, markup=False)
    return numbers


def render(
    workdir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    rollout: int = 0,
    console: Console | None = None,
    checkpoint: str = "latest",
    env: Own = None,
) -> None:
    """Draws the policy of a checkpoint of a run, from unseen initial state number `rollout`, as a GIF.

    checkpoint, env: as for `evaluate`. Raises CheckpointError if the folder holds no such run, and InputError for
    what cannot be drawn.
    """
    folder, console = Workdir(workdir), console or make_console()
    configuration = read_configuration(folder, env)
    drawn, count = configuration.algorithm.env, configuration.num_test_rollouts
    rollout = checks.integer("rollout", rollout, at_least=0, at_most=count - 1)
    animation.check_name(pathlib.Path(out))
    restored = restore(configuration, folder, console, checkpoint)
    start = jax.tree.map(lambda leaf: leaf[rollout], heldout_states(drawn, count))
    trajectory = roll_out(drawn, configuration.algorithm.policy(restored.state), start)
    scale = gif.time_scale(drawn.time_step, drawn.horizon)
    speed = "".join(f", {text}" for text in [gif.scale_text(scale)] if text)
    title = f"{title_of(configuration)}, epoch {restored.epoch}{speed}"
    moving = animation.animate(drawn, trajectory.state, title=title)
    animation.save(moving, pathlib.Path(out), frames_per_second=1 / (scale * drawn.time_step))
    text = f"return {float(trajectory.reward.sum()):.4f}, drawn in {os.path.relpath(out)}{speed}"
    console.print(text, markup=False)


def load_run(
    folder: Workdir, console: Console, checkpoint: str, env: Own = None
) -> tuple[Configuration, checkpoints.Restored[Any]]:
    """The configuration of a run and what a checkpoint of it holds; checkpoint, env: as for `evaluate`."""
    configuration = read_configuration(folder, env)
    return configuration, restore(configuration, folder, console, checkpoint)


def restore(
    configuration: Configuration, folder: Workdir, console: Console, checkpoint: str
) -> checkpoints.Restored[Any]:
    """What a checkpoint of a run holds; checkpoint: as for `evaluate`."""
    if checkpoint not in ("latest", "best") and not checkpoint.isdecimal():
        raise InputError("checkpoint", checkpoint, "must be latest, best or the number of an epoch")
    return checkpoints.restore(
        folder.checkpoints, fresh_state(configuration), checkpoint, warn=partial(warn, console)
    )


def fresh_state(configuration: Configuration) -> Any:
    """The train state before the first epoch."""
    return jax.jit(configuration.algorithm.init)(jax.random.key(configuration.seed))


def start(plan: Plan, console: Console) -> Progress:
    """Returns what to begin with: what the last sound checkpoint holds, if there is one."""
    configuration, folder = plan.configuration, plan.folder
    train_state = fresh_state(configuration)
    if not plan.saved:
        return Progress(0, train_state)
    restored = checkpoints.restore(folder.checkpoints, train_state, warn=partial(warn, console))
    checkpoints.set_aside(folder.checkpoints, restored.epoch, folder.damaged)
    notes = restored.record["notes"]
    if restored.epoch < configuration.num_epochs:
        console.print(f"continuing after epoch {restored.epoch}")
        if notes.get("machine", manifest.machine()) != manifest.machine():
            warn(console, "jax, its devices or its settings are not those of before: the bits may differ")
    else:
        console.print(f"already trained to epoch {restored.epoch}; a larger --config.num_epochs continues")
    return Progress(restored.epoch, restored.state, notes["rollbacks"])


def _compile_ahead(plan: Plan, epoch: int) -> Future[Program] | None:
    """Compiles the program of an epoch while something else is done; nothing if there is nothing left to train."""
    configuration = plan.configuration
    if epoch >= configuration.num_epochs:
        return None
    return compile_meanwhile(configuration.algorithm, configuration.evaluate_every, plan.devices, epoch)


def prepare_after(
    program: Future[Program] | None, evaluator: Evaluator, configuration: Configuration, console: Console
) -> Any:
    """Prepares what the policy is measured with, once the program is compiled: a user waits for the first epochs."""
    wait([program] if program else [])
    return evaluator.prepare(configuration, console)


def _show(numbers: Mapping[str, float], epoch: int, configuration: Configuration, console: Console) -> None:
    """Prints an evaluation; raises FloatingPointError if the return is not finite."""
    count = configuration.num_test_rollouts
    console.print(f"{title_of(configuration)}, epoch {epoch}, from {count} unseen initial states", markup=False)
    console.print(summary(numbers, configuration.algorithm.env), markup=False)
    if not math.isfinite(numbers["return_mean"]):
        raise FloatingPointError(f"the return of the policy of epoch {epoch} is {numbers['return_mean']}")


def _draw(configuration: Configuration, folder: Workdir) -> None:
    """Draws the learning curve from the metrics on disk: a resumed run has all its epochs there."""
    rows = [row for row in metrics_log.read(folder.metrics) if "test/return_mean" in row]
    names = ("return_mean", "return_std", "optimality_gap", "optimum_mean")
    mean, std, gap, optimum = ([row[f"test/{name}"] for row in rows] for name in names)
    epochs = [row["epoch"] for row in rows]
    figure = figures.learning_curve(epochs, mean, std, gap, optimum, title=title_of(configuration))
    figures.save(figure, folder.learning_curve)


def title_of(configuration: Configuration) -> str:
    """Environment, task and algorithm, as figures are headed."""
    algorithm = configuration.algorithm
    return f"{algorithm.env.name} / {algorithm.env.task}, {algorithm.name}"


def _warn_of_derivatives(numbers: Mapping[str, float], folder: Workdir, console: Console) -> None:
    """Says, as the last line of a run, where derivatives could not be used."""
    trained = sum(row.get("train/nonfinite_derivatives") or 0 for row in metrics_log.read(folder.metrics))
    searched = numbers.get("nonfinite_derivatives", 0)
    if trained or searched:
        warn(
            console,
            f"derivatives were not finite in {trained:.0f} rollouts or gradients of the training, and {searched:.0f} "
            "searches for an optimum met some: they are left out, and the optimality gap may be larger than it seems",
        )


def _print_places(folder: Workdir, console: Console) -> None:
    places = {
        "learning curve": folder.learning_curve,
        "metrics": folder.metrics,
        "evaluation": folder.evaluation,
        "policy": folder.checkpoints,
        **({"trace": folder.profile} if folder.profile.exists() else {}),
    }
    for name, path in places.items():
        console.print(f"{name:15}{os.path.relpath(path)}", markup=False)
