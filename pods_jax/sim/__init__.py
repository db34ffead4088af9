"""Physics of mass-spring networks: no task, no policy, no reward."""

from pods_jax.sim import bdf2, build, forces, step_derivative, system
from pods_jax.sim import equilibrium as rest
from pods_jax.sim.bdf2 import State
from pods_jax.sim.build import make_system
from pods_jax.sim.entry import checked
from pods_jax.sim.equilibrium import check_connected
from pods_jax.sim.step_derivative import StepDerivative
from pods_jax.sim.system import STANDARD_GRAVITY, Handle, Plane, Spring, System
from pods_jax.sim.topology import clique, grid, join, line

equilibrium = checked(rest.equilibrium)
force = checked(forces.force)
kinetic_energy, potential_energy = checked(forces.kinetic_energy), checked(forces.potential_energy)
handle_position, handle_velocity = checked(system.handle_position), checked(system.handle_velocity)
initial_state, step, step_error = checked(bdf2.initial_state), checked(bdf2.step), checked(bdf2.step_error)
derived, linearize = checked(build.derived), checked(step_derivative.linearize)

__all__ = [
    "STANDARD_GRAVITY",
    "Handle",
    "Plane",
    "Spring",
    "State",
    "StepDerivative",
    "System",
    "check_connected",
    "clique",
    "derived",
    "equilibrium",
    "force",
    "grid",
    "handle_position",
    "handle_velocity",
    "initial_state",
    "join",
    "kinetic_energy",
    "line",
    "linearize",
    "make_system",
    "potential_energy",
    "step",
    "step_error",
]
