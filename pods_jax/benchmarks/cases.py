"""What is measured: simulating, differentiating and improving batches of trajectories, and whole epochs."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import pods_jax
from pods_jax import algorithms, envs
from pods_jax.benchmarks import peers, textbook
from pods_jax.benchmarks.measure import Program, least_seconds, measure
from pods_jax.devices import sharding
from pods_jax.envs.environment import Environment
from pods_jax.rollouts import step_starts

AT_ONCE = 250
"""On a CPU, so many rollouts have their dense sensitivities in memory at once in the textbook form; elsewhere all."""

OURS = "pods_jax"


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement."""

    quantity: str  # one of PROGRAMS
    environment: str
    batch: int
    horizon: int
    beside: str = ""  # what else is measured: "textbook", or "mjx" for simulating
    settings: tuple[tuple[str, Any], ...] = ()  # of the environment

    def make(self) -> Environment:
        """Its environment."""
        return envs.make(self.environment, horizon=self.horizon, **dict(self.settings))


def swings(env: Environment, batch: int) -> jax.Array:
    """(batch, T, A) [m/s] smooth actions: sinusoids of random phase, whose amplitudes reach up to half the limit."""
    key_amplitude, key_phase = jax.random.split(jax.random.key(1))
    shape = (batch, 1, env.action_size)
    amplitude = jax.random.uniform(key_amplitude, shape, minval=-0.5, maxval=0.5) * env.action_limit[None, None]
    phase = jax.random.uniform(key_phase, shape, maxval=2 * jnp.pi)
    time = env.time_step * jnp.arange(env.horizon)[None, :, None]
    return amplitude * jnp.sin(2 * jnp.pi * time + phase)


def simulate(env: Environment, batch: int, beside: str) -> dict[str, Program]:
    """Returns of given actions; of MJX only the positions are asked for."""
    args = (env, *inputs(env, batch))

    def ours(env, states, actions):
        return jax.vmap(lambda state, actions: pods_jax.replay(env, state, actions).reward)(states, actions)

    def naive(env, states, actions):
        def reward(state, actions):
            return jax.vmap(env.reward)(textbook.simulate(env, state, actions), actions)

        return jax.vmap(reward)(states, actions)

    if beside == "mjx":
        matched = peers.as_accurate(env, *args[1:])
        theirs = jax.vmap(peers.mjx_simulator(env), in_axes=(0, 0, None))
        label = (
            f"MJX, {matched.num_substeps} substeps (error {matched.their_error:.2g} m, ours {matched.error:.2g} m)"
        )
        return {OURS: Program(ours, args), label: Program(theirs, (*args[1:], matched.num_substeps))}
    return chosen(beside, ours, args, naive, args)


def differentiate(env: Environment, batch: int, beside: str) -> dict[str, Program]:
    """Derivatives of all steps of known trajectories; in the textbook form of all states by all actions."""
    states, actions = inputs(env, batch)
    played = jax.jit(jax.vmap(lambda state, actions: pods_jax.replay(env, state, actions)))(states, actions)

    def ours(env, states, played):
        def models(state, played):
            return jax.vmap(env.linearize)(step_starts(state, played.state), played.action, played.state)

        return jax.vmap(models)(states, played)

    def naive(env, states, actions):
        def size(pair):  # a sum of squares, since all of them would not fit into memory at once
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(textbook.jacobian(env, *pair)))

        return jax.lax.map(size, (states, actions), batch_size=textbook_at_once(batch))

    return chosen(beside, ours, (env, states, played), naive, (env, states, actions))


def improve(env: Environment, batch: int, beside: str) -> dict[str, Program]:
    """One second-order improvement: rollout, sensitivities, step within the limits, line search."""
    args = (env, *inputs(env, batch))

    def ours(env, states, actions):
        played = jax.vmap(partial(pods_jax.replay, env))(states, actions)
        found = pods_jax.improve_batch(env, states, played, method="riccati")
        return found.actions, found.value

    def naive(env, states, actions):
        return jax.lax.map(
            lambda pair: textbook.improve(env, *pair), (states, actions), batch_size=textbook_at_once(batch)
        )

    return chosen(beside, ours, args, naive, args)


def epoch(env: Environment, batch: int, beside: str) -> dict[str, Program]:
    """One epoch of PODS with its default settings: improvement, regression, guard."""
    del beside  # the textbook has no epochs
    algorithm = algorithms.make("pods", env, batch_size=batch, guard={"size": min(200, batch)})
    return {OURS: Program(algorithm.update, (jax.jit(algorithm.init)(jax.random.key(0)),))}


def chosen(beside: str, ours: Any, args: Any, naive: Any, naive_args: Any) -> dict[str, Program]:
    """Our program, and the textbook's if that is asked for."""
    programs = {OURS: Program(ours, args)}
    return programs | ({"textbook": Program(naive, naive_args)} if beside == "textbook" else {})


def shared(program: Program, quantity: str, devices: Sequence[jax.Device]) -> Program:
    """The same, its rollouts divided among devices; an epoch divides them by itself."""
    if quantity == "epoch":
        return Program(program.function, sharding.put_replicated(program.args, devices), devices)
    env, *batch = program.args

    def share(env, batch):
        return sharding.shard_map_rollouts(lambda env, batch: program.function(env, *batch))(env, batch)

    return Program(share, (sharding.put_replicated(env, devices), sharding.put_sharded(batch, devices)), devices)


def textbook_at_once(batch: int) -> int:
    """How many rollouts the textbook form differentiates together."""
    return min(batch, AT_ONCE) if jax.default_backend() == "cpu" else batch


def inputs(env: Environment, batch: int) -> tuple[Any, jax.Array]:
    """Initial states, leaves (batch, ...), and actions (batch, T, A)."""
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), batch))
    return states, swings(env, batch)


PROGRAMS: Mapping[str, Callable[[Environment, int, str], dict[str, Program]]] = {
    "simulate": simulate,
    "differentiate": differentiate,
    "improve": improve,
    "epoch": epoch,
}

PENDULUMS_AND_ROPE = ("pendulum_2d", "pendulum_3d", "double_pendulum_3d", "rope_3d")

BATCHES = (1, 50, 500, 2000, 8000, 16000)
HORIZONS = (25, 50, 100, 200, 400, 800)


def suites(environments: Sequence[str] = PENDULUMS_AND_ROPE[:1]) -> dict[str, list[Case]]:
    """The named collections of cases; "smoke" takes seconds and shows that everything runs.

    environments: those of the suites "batch" and "horizon".
    """
    forms = ("simulate", "differentiate", "improve")
    return {
        "smoke": [Case(form, "pendulum_2d", 10, 5, "textbook" if form != "epoch" else "") for form in PROGRAMS],
        "textbook": [Case(form, name, 4000, 50, "textbook") for name in PENDULUMS_AND_ROPE for form in forms],
        "peers": [Case("simulate", name, 4000, 50, "mjx") for name in ("double_pendulum_3d", "rope_3d")],
        "horizon": [Case("improve", name, 200, horizon) for name in environments for horizon in HORIZONS],
        "batch": [Case(form, name, batch, 50) for name in environments for form in forms for batch in BATCHES],
        "points": [
            Case("simulate", "rope_3d", 4000, 50, settings=(("num_points", count),)) for count in (5, 10, 20, 40)
        ],
        "environments": [Case(form, name, 100, 50) for name in envs.names() for form in forms],
        "epochs": [Case("epoch", name, batch, 50) for batch in (400, 4000) for name in PENDULUMS_AND_ROPE],
    }


def records(
    cases: Iterable[Case], limits: Mapping[str, float], budget: float, devices: Sequence[jax.Device] = ()
) -> Iterator[dict[str, Any]]:
    """Measures the cases one after the other; one record, a flat dictionary, for each form of each.

    devices: if there are several, they are also measured together.
    """
    for case in cases:
        env = case.make()
        programs = PROGRAMS[case.quantity](env, case.batch, case.beside)
        forms = {OURS: programs[OURS]}
        if len(devices) > 1 and case.batch % len(devices) == 0:
            forms[f"{OURS}, {len(devices)} devices"] = shared(programs[OURS], case.quantity, devices)
        timings = measure(forms | programs, budget)
        others = [timing.seconds for form, timing in timings.items() if form not in forms]
        for form, timing in timings.items():
            record = dataclasses.asdict(case) | {"form": form, "task": env.task} | dataclasses.asdict(timing)
            record |= {"steps_per_second": case.batch * case.horizon / timing.seconds}
            record |= {"times_faster": None, "fraction_of_limit": None}
            if form in forms:
                record["times_faster"] = others[0] / timing.seconds if others else None
                record["fraction_of_limit"] = least_seconds(programs[OURS], limits) / timing.seconds
            yield record
