"""Physics of mass-spring networks: no task, no policy, no reward."""

from pods_jax.sim.bdf2 import State, initial_state, step, step_error
from pods_jax.sim.build import make_system
from pods_jax.sim.equilibrium import check_connected, equilibrium
from pods_jax.sim.forces import force, kinetic_energy, potential_energy
from pods_jax.sim.step_derivative import StepDerivative, linearize
from pods_jax.sim.system import STANDARD_GRAVITY, Handle, Plane, Spring, System, handle_position, handle_velocity
from pods_jax.sim.topology import clique, grid, join, line

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
