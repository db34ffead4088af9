"""Several seeds of one training in one compiled program, each with a folder of its own below that of all.

    runs/eight/seed_0, runs/eight/seed_1, ...     what a run of this seed alone leaves, to rounding
    runs/eight/learning_curves.png                their curves in one figure

The folders are those of ordinary runs: each can be evaluated, drawn and exported, and trained further alone.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from pods_jax import checks
from pods_jax.algorithms.several import select, several
from pods_jax.checks import InputError
from pods_jax.devices import sharding
from pods_jax.envs import Environment
from pods_jax.runs import experiment, metrics_log
from pods_jax.runs.evaluator import HELD_OUT, Evaluator
from pods_jax.runs.preflight import Plan, locked, open_run, with_seed
from pods_jax.runs.progress import ProgressDisplay, make_console, warn
from pods_jax.runs.recorder import RunRecorder
from pods_jax.runs.signals import Interrupted, Interruption
from pods_jax.runs.supervised import Progress
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import checkpoints
from pods_jax.training import Program, Report, chunks, compile_meanwhile, meanwhile
from pods_jax.visual import figures


@dataclasses.dataclass
class _Seed:
    """One of the trainings: its plan, how far it is, and who writes it down."""

    plan: Plan
    progress: Progress
    recorder: RunRecorder | None = None
    failure: str = ""  # why it is trained no further

    @property
    def name(self) -> str:
        """The name of its folder, which has its seed."""
        return self.plan.folder.path.name

    def take(self, report: Report, index: int) -> None:
        """Writes down its part of a report, and takes its state over unless something is wrong with it."""
        if self.failure or self.recorder is None:
            return
        state = jax.device_put(select(report.train_state, index), jax.local_devices()[0])
        rows = [{name: values[index] for name, values in row.items()} for row in report.metrics]
        own = dataclasses.replace(report, train_state=state, metrics=rows)
        problems = self.recorder.record(own, self.progress)
        if problems:
            self.failure = f"epochs {self.progress.epoch + 1} to {report.epoch}: {', '.join(problems)}"
        else:
            self.progress = dataclasses.replace(self.progress, epoch=report.epoch, train_state=state)


def run(
    config: Mapping[str, Any],
    workdir: str | os.PathLike[str],
    num_seeds: int,
    console: Console | None = None,
    resume: str = "auto",
    num_devices: int = 1,
    evaluator: Evaluator = HELD_OUT,
    env: Environment | None = None,
) -> list[dict[str, float]]:
    """Trains the seeds `config.seed` to `config.seed + num_seeds - 1` together, and returns their evaluations.

    Each epoch trains all of them; folders that are trained far enough are only evaluated. num_devices: that share the
    seeds, whose number they have to divide; 1: as many of this machine as do. The other arguments are those of
    `experiment.run`. A seed whose numbers are not sound stays at its last sound epoch while the others go on, and is
    named at the end, by FloatingPointError; trained alone, it tries lower learning rates. Raises InputError as
    `experiment.run` does, and for several processes.
    """
    console, folder = console or make_console(), Workdir(workdir)
    num_seeds = checks.integer("num_seeds", num_seeds, at_least=1)
    if jax.process_count() > 1:
        raise InputError("num_seeds", num_seeds, "must be 1 where several processes train together")
    if folder.config.exists():
        raise InputError(f"workdir = '{folder.path}': it holds the run of one seed; name another folder")
    devices = _devices(num_seeds, num_devices)
    first = open_run(config, folder.path / f"seed_{config.get('seed', 0)}", resume, env=env)  # with the mistakes
    numbers = range(first.configuration.seed, first.configuration.seed + num_seeds)
    plans = [first, *(with_seed(first, folder.path / f"seed_{number}", number) for number in numbers[1:])]
    with contextlib.ExitStack() as stack, Interruption(partial(console.print, markup=False)) as interruption:
        plans = [stack.enter_context(locked(plan)) for plan in plans]
        title = experiment.title_of(first.configuration)
        console.print(f"{title}, seeds {numbers[0]} to {numbers[-1]}, in {folder.path}", markup=False)
        seeds = [_Seed(plan, _start(plan, console)) for plan in plans]
        for seed in seeds:
            experiment.begin(seed.plan, seed.progress)
        ahead = _level(seeds, console)
        algorithm, counts = several(first.configuration.algorithm, len(ahead)), first.configuration
        shared = devices if ahead and len(ahead) % max(len(devices), 1) == 0 else devices[:1]
        program = None
        if ahead:
            epoch = ahead[0].progress.epoch
            program = compile_meanwhile(algorithm, counts.evaluate_every, shared, epoch)
        prepared = meanwhile(experiment.prepare_after, program, evaluator, counts, console)
        if ahead:
            _train(ahead, algorithm, shared, program, prepared, evaluator, interruption, console)
        results = [
            experiment.finish(seed.plan, seed.progress, evaluator, prepared, Console(quiet=True)) for seed in seeds
        ]
    _show(seeds, results, folder, console)
    return results


def _train(
    seeds: Sequence[_Seed],
    algorithm: Any,
    devices: Sequence[jax.Device],
    program: Future[Program] | None,
    prepared: Future[Any],
    evaluator: Evaluator,
    interruption: Interruption,
    console: Console,
) -> None:
    """Trains seeds that are equally far to the end. Raises Interrupted once a signal came and all are saved."""
    configuration, epoch = seeds[0].plan.configuration, seeds[0].progress.epoch
    measure = partial(evaluator.monitor, configuration.algorithm.env)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(seed.progress.train_state for seed in seeds))
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(ProgressDisplay(console, configuration.num_epochs, epoch))
        for seed in seeds:
            seed.recorder = RunRecorder(seed.plan, Console(quiet=True), measure, prepared)
            stack.enter_context(seed.recorder.attempt(seed.progress))
        for report in chunks(
            algorithm,
            states,
            first_epoch=epoch,
            num_epochs=configuration.num_epochs,
            epochs_per_chunk=configuration.evaluate_every,
            announce=display.announce,
            devices=devices,
            program=program,
        ):
            for index, seed in enumerate(seeds):
                seed.take(report, index)
            sound = [seed.recorder.latest for seed in seeds if not seed.failure and seed.recorder]
            if sound:
                display.report(report.epoch, _mean(sound), report.seconds / len(report.metrics))
            if interruption.received:
                for seed in seeds:
                    if seed.recorder:
                        seed.recorder.wait_until_saved(report.epoch)
                raise Interrupted(f"saved epoch {report.epoch} of each seed", interruption.received)
            if not sound:
                return


def _start(plan: Plan, console: Console) -> Progress:
    """Where a seed is. Raises InputError for one that goes on with a lower learning rate, which it does alone."""
    progress = experiment.start(plan, console)
    if progress.rollbacks and progress.epoch < plan.configuration.num_epochs:
        raise InputError(
            f"{plan.folder.path} goes on with a lower learning rate, after numbers that were not sound; train it "
            f"alone: --workdir={plan.folder.path} --config.seed={plan.configuration.seed}"
        )
    return progress


def _level(seeds: Sequence[_Seed], console: Console) -> list[_Seed]:
    """The seeds that are still to train, all back at the epoch that each of them has saved.

    A kill may come between the saves of two seeds. Raises CheckpointError where one no longer has that epoch.
    """
    ahead = [seed for seed in seeds if seed.progress.epoch < seed.plan.configuration.num_epochs]
    epoch = min((seed.progress.epoch for seed in ahead), default=0)
    for seed in ahead:
        if seed.progress.epoch > epoch:
            place, fresh = seed.plan.folder.checkpoints, experiment.fresh_state(seed.plan.configuration)
            state = checkpoints.restore(place, fresh, str(epoch)).state if epoch else fresh
            checkpoints.set_aside(place, epoch, seed.plan.folder.damaged)
            warn(console, f"{seed.name} goes back to epoch {epoch}, which all seeds have")
            seed.progress = Progress(epoch, state)
    return ahead


def _devices(num_seeds: int, num_devices: int) -> list[jax.Device]:
    """Those that share the seeds; see `run`."""
    if num_devices == 1:
        available = len(jax.local_devices())
        num_devices = next(count for count in range(min(available, num_seeds), 0, -1) if num_seeds % count == 0)
    devices = sharding.choose(num_devices)
    with sharding.on(devices):
        sharding.check("num_seeds", num_seeds)
    return devices


def _mean(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each of the numbers over the seeds."""
    return {name: float(np.mean([each[name] for each in numbers])) for name in numbers[0]}


def _show(seeds: Sequence[_Seed], results: Sequence[Mapping[str, float]], folder: Workdir, console: Console) -> None:
    """Prints a line for each seed, draws their curves, and raises FloatingPointError for those that failed."""
    for seed, numbers in zip(seeds, results, strict=True):
        gap = numbers["optimality_gap"]
        known = f"   gap {100 * gap:.2f} %" if np.isfinite(gap) else ""
        text = f"{seed.name:10} epoch {seed.progress.epoch:4d}   return {numbers['return_mean']:.5g}{known}"
        console.print(text, markup=False)
    curves: pathlib.Path = folder.path / "learning_curves.png"
    trained = [metrics_log.read(seed.plan.folder.metrics) for seed in seeds]
    figures.save(figures.learning_curves({f"{len(seeds)} seeds": trained}), curves)
    console.print(f"learning curves {os.path.relpath(curves)}", markup=False)
    failed = [f"{seed.name} ({seed.failure})" for seed in seeds if seed.failure]
    if failed:
        cure = f"train them alone, such as --workdir={folder.path}/{failed[0].split()[0]} with its --config.seed"
        raise FloatingPointError(f"not sound, and not trained to the end: {'; '.join(failed)}; {cure}")
