"""Is this machine fit for training: its versions, devices, arithmetic and disk."""

import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from pods_jax import envs
from pods_jax.diagnostics import probes
from pods_jax.envs import Environment, registry
from pods_jax.runs.progress import make_console
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import manifest

PROBE = ((jnp.float32, 40_000), (jnp.float64, 20_001))
"""Types and numbers of rows at which jax 0.10.2 computes wrong numbers on the CPU (jax#39103)."""

ORDERS = {
    "cartpole": 1,
    "acrobot": 4,
    "pendubot": 4,
    "double_pendulum": 4,
    "quadrotor": 1,
    "quadrotor_payload": 1,
    "hopper_slip": 1,
}
"""By what power of the time step motions converge, where not by 2, as BDF2: semi-implicit Euler, Runge-Kutta."""

RUNGE_KUTTA_COARSEST = 2
"""The first refinement for order four, whose errors are soon lost in rounding."""

HOVERING = ("quadrotor", "quadrotor_payload")

MAX_SWING = 0.2
"""By how much of the largest kinetic energy the energy may grow for a while, by errors of the order of the method."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is good, and what was seen."""

    name: str
    good: bool
    seen: str


def examine(
    workdir: str | None = None, env: str | None = None, task: str | None = None, console: Console | None = None
) -> list[Finding]:
    """Examines this machine, a folder and an environment by name, prints what it finds and returns it.

    Raises InputError for a name that does not exist, OSError for a folder that cannot be written to, and
    FloatingPointError if anything computes what it should not.
    """
    if env is not None:
        envs.load(env)
        registry.check_name(env)
    findings = machine()
    if workdir is not None:
        findings.append(disk(Workdir(workdir)))
    if env is not None:
        findings += environment(env, task)
    _show(findings, console or make_console())
    bad = [finding.name for finding in findings if not finding.good]
    if bad:
        raise FloatingPointError(f"not as it should be: {', '.join(bad)}")
    return findings


def machine() -> list[Finding]:
    """Versions, devices, the wrong-result probe of jax 0.10.2, the precision of float32 products."""
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions().items())
    devices = ", ".join(str(device) for device in jax.devices())
    return [Finding("versions", True, versions), Finding("devices", True, devices), sums_of_squares(), products()]


def sums_of_squares() -> Finding:
    """Whether jax sums small products of large batches correctly."""
    wrong = 0
    with jax.enable_x64(True):
        for dtype, rows in PROBE:
            matrix = jax.random.normal(jax.random.key(0), (3, 3), dtype)
            vectors = jax.random.normal(jax.random.key(1), (rows, 3), dtype)
            got = _squares(matrix, vectors)
            expected = np.sum((np.asarray(vectors, float) @ np.asarray(matrix, float).T) ** 2, axis=1)
            tolerance = 100 * float(jnp.finfo(dtype).eps)
            wrong += int(np.sum(np.abs(got - expected) > tolerance * (1 + np.abs(expected))))
    return Finding("sums of squares", wrong == 0, f"{wrong} rows wrong" + ("; see jax#39103" if wrong else ""))


def products() -> Finding:
    """How exact float32 matrix products are; the simulator asks for the highest precision, networks do not."""
    left, right = (np.random.default_rng(seed).normal(size=(256, 256)).astype(np.float32) for seed in (0, 1))
    exact = left.astype(float) @ right.astype(float)
    errors = {}
    for precision in ("default", "highest"):
        product = jnp.matmul(jnp.asarray(left), jnp.asarray(right), precision=precision)
        errors[precision] = float(np.max(np.abs(product - exact)) / np.max(np.abs(exact)))
    seen = f"error {errors['default']:.1e} by default, {errors['highest']:.1e} at the highest precision"
    note = "; networks use TF32 or less" if errors["default"] > 1e-5 else ""
    return Finding("float32 products", errors["highest"] < 1e-5, seen + note)


def disk(folder: Workdir) -> Finding:
    """Whether a folder can hold a run; leaves nothing behind. Raises InputError or OSError, with the cure."""
    folder.check_usable()
    existing = next(path for path in (folder.path, *folder.path.parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(2**20))
    except OSError as error:
        raise OSError(f"workdir = '{folder.path}': a file of 1 MiB cannot be written: {error}") from error
    return Finding("folder", True, f"{pathlib.Path(existing)} can be written to")


def environment(name: str, task: str | None) -> list[Finding]:
    """What `probes` measures of an environment, in float64, each against what it should be."""
    with jax.enable_x64(True):
        env = envs.make(name, task)
        error = probes.derivative_error(env)
        smallest, condition = probes.conditioning(env)
        return [
            Finding("derivative", error < 1e-5, f"differs by {error:.1e} from finite differences"),
            order(name, env),
            energy(env),
            Finding("Gauss-Newton", smallest > 0, f"smallest eigenvalue {smallest:.1e}, condition {condition:.1e}"),
        ]


def order(name: str, env: Environment) -> Finding:
    """Whether halving the time step divides the error as the integrator promises; left out where nobody knows it."""
    if registry.is_own(name):
        return Finding("order", True, f"of convergence left out: nobody told the order of {name}")
    expected = ORDERS.get(name, 2)
    found = probes.order_of_convergence(name, env.task, *([RUNGE_KUTTA_COARSEST] if expected == 4 else []))
    seen = f"of convergence {found:.2f}, where its integrator has {expected}"
    return Finding("order", abs(found - expected) < expected / 10, seen)


def energy(env: Environment) -> Finding:
    """Whether the energy of the free motion is kept or falls; left out where there is none, or no free motion."""
    if env.functions.energy is None:
        return Finding("energy", True, f"left out: {env.name} gives none")
    if env.name in HOVERING:
        return Finding("energy", True, "left out: without actions its rotors push as for hovering")
    growth, change = probes.energy_drift(env)
    seen = f"of the free motion changes by {100 * change:+.2f} %, and grows by {100 * growth:.2f} % at most meanwhile"
    return Finding("energy", change < 0.01 and growth < MAX_SWING, seen)


@jax.jit
def _squares(matrix: jax.Array, vectors: jax.Array) -> jax.Array:
    return jax.vmap(lambda vector: jnp.sum((matrix @ vector) ** 2))(vectors)


def _show(findings: Sequence[Finding], console: Console) -> None:
    table = Table(show_header=False)
    for finding in findings:
        table.add_row("good" if finding.good else "BAD", finding.name, finding.seen)
    console.print(table)
