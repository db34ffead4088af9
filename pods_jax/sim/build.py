"""Building a System from springs, handles and planes, with every value checked."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.sim.system import STANDARD_GRAVITY, Handle, Plane, Planes, Spring, Springs, System


def make_system(
    *,
    mass: Sequence[float],
    springs: Sequence[Spring],
    handles: Sequence[Handle],
    time_step: float,
    planes: Sequence[Plane] = (),
    drag: float | Sequence[float] = 0.0,
    gravity: float | Sequence[float] = STANDARD_GRAVITY,
    dimension: int = 3,
) -> System:
    """Builds a validated System.

    mass: (P,) [kg] > 0 of the free points. drag: [N s/m] >= 0, one number or (P,). gravity: downward
    acceleration [m/s^2] or a vector (d,). time_step: [s] > 0. Raises InputError naming the field, the
    value and what is allowed.
    """
    dimension = checks.integer("dimension", dimension, at_least=2, at_most=3)
    springs = checks.instances("springs", springs, Spring, "sim.Spring(0, 1, stiffness=100.0, rest_length=1.0)")
    handles = checks.instances("handles", handles, Handle, "sim.Handle.on_axis([0.0, 0.0])")
    planes = checks.instances("planes", planes, Plane, "sim.Plane([0, 0], [0, 1], stiffness=1e4)")
    num_points = len(checks.sized("mass", mass))
    if num_points == 0 or not handles:
        raise checks.InputError(
            f"mass has {num_points} entries and handles has {len(handles)}: a system needs at least one of each"
        )
    num_all = num_points + len(handles)
    _check_springs(springs, num_all, len(handles))
    if np.ndim(gravity) == 0:
        gravity = [0.0] * (dimension - 1) + [-checks.scalar("gravity", gravity)]
    origin = [checks.scalars(f"handles[{i}].position", h.position, (dimension,)) for i, h in enumerate(handles)]
    drag_each = [drag] * num_points if np.ndim(drag) == 0 else drag
    system = System(
        mass=jnp.asarray(checks.scalars("mass", mass, (num_points,), above=0.0)),
        drag=jnp.asarray(checks.scalars("drag", drag_each, (num_points,), at_least=0.0)),
        gravity=jnp.asarray(checks.scalars("gravity", gravity, (dimension,))),
        springs=_stack_springs(springs),
        planes=_stack_planes(planes, dimension),
        handle_origin=jnp.stack(origin),
        handle_axes=_handle_axes(handles, dimension),
        time_step=checks.number("time_step", time_step, above=0.0),
    )
    return derived(system)


def derived(system: System) -> System:
    """The System with what follows from its numbers, after some of them were replaced: how its steps are solved.

    Springs are strongly damped if the largest damping c could stop the lightest mass m within a time step h, c h > m.
    Where one of the three is traced, that stays what it was.
    """
    damping, mass = system.springs.damping, system.mass
    if any(map(checks.is_traced, (damping, mass, system.time_step))):
        return system
    strongly_damped = bool(np.max(damping, initial=0.0) * system.time_step > np.min(mass))
    return dataclasses.replace(system, springs=dataclasses.replace(system.springs, strongly_damped=strongly_damped))


def _check_springs(springs: Sequence[Spring], num_all: int, num_handles: int) -> None:
    seen: dict[frozenset[int], int] = {}
    for index, spring in enumerate(springs):
        _check_spring(index, spring, num_all, num_handles)
        other = seen.setdefault(frozenset((spring.first, spring.second)), index)
        if other != index:
            raise checks.InputError(
                f"springs[{index}] joins points {spring.first} and {spring.second}, as springs[{other}] does: "
                "leave one out, or add up their stiffness"
            )


def _check_spring(index: int, spring: Spring, num_all: int, num_handles: int) -> None:
    name = f"springs[{index}]"
    for end in ("first", "second"):
        checks.integer(f"{name}.{end}", getattr(spring, end), at_least=0, at_most=num_all - 1)
    if spring.first == spring.second:
        raise checks.InputError(f"{name} joins point {spring.first} to itself: must join two different points")
    if max(spring.first, spring.second) < num_handles:
        raise checks.InputError(
            f"{name} joins handles {spring.first} and {spring.second}: at least one end must be a free point "
            f"(indices {num_handles} .. {num_all - 1})"
        )
    for field in ("stiffness", "rest_length", "slack_blend"):
        checks.scalar(f"{name}.{field}", getattr(spring, field), above=0.0)
    checks.scalar(f"{name}.damping", spring.damping, at_least=0.0)


def _stack_springs(springs: Sequence[Spring]) -> Springs:
    def column(field: str) -> jax.Array:
        return jnp.asarray([getattr(spring, field) for spring in springs], float)

    return Springs(
        ends=tuple((int(spring.first), int(spring.second)) for spring in springs),
        cable=tuple(bool(spring.cable) for spring in springs),
        # Damping that may be strong is taken for strong, which `derived` leaves where numbers are traced.
        strongly_damped=any(checks.is_traced(spring.damping) or spring.damping > 0 for spring in springs),
        stiffness=column("stiffness"),
        rest_length=column("rest_length"),
        damping=column("damping"),
        slack_blend=column("slack_blend"),
    )


def _stack_planes(planes: Sequence[Plane], dimension: int) -> Planes:
    normals, offsets = np.zeros((len(planes), dimension)), []
    for index, plane in enumerate(planes):
        name = f"planes[{index}]"
        normal = checks.array(f"{name}.normal", plane.normal, (dimension,))
        length = float(np.linalg.norm(normal))
        if length == 0.0:
            raise checks.InputError(f"{name}.normal", plane.normal, "must have a direction, for example 0, 0, 1")
        normals[index] = normal / length
        offsets.append(normals[index] @ checks.scalars(f"{name}.point", plane.point, (dimension,)))
        for field in ("stiffness", "slip_speed", "blend"):
            checks.scalar(f"{name}.{field}", getattr(plane, field), above=0.0)
        checks.scalar(f"{name}.friction", plane.friction, at_least=0.0)

    def column(field: str) -> jax.Array:
        return jnp.asarray([getattr(plane, field) for plane in planes], float)

    fields = {field: column(field) for field in ("stiffness", "friction", "slip_speed", "blend")}
    return Planes(normal=jnp.asarray(normals), offset=jnp.asarray(offsets, float), **fields)


def _handle_axes(handles: Sequence[Handle], dimension: int) -> jax.Array:
    columns = []
    for index, handle in enumerate(handles):
        axes = checks.array(f"handles[{index}].axes", handle.axes, (len(handle.axes), dimension))
        for axis in axes:
            column = np.zeros((len(handles), dimension))
            column[index] = axis
            columns.append(column)
    if not columns:
        raise checks.InputError("handles have no axes: at least one handle must be able to move")
    with jax.ensure_compile_time_eval():  # known while a program is built, whatever else of the system is traced
        return jnp.asarray(np.stack(columns))
