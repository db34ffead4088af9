"""Physics of mass-spring networks: no task, no policy, no reward."""

from pods_jax.sim.bdf2 import State, initial_state, step, step_error
from pods_jax.sim.forces import force, kinetic_energy, potential_energy
from pods_jax.sim.system import (
    STANDARD_GRAVITY,
    Handle,
    Spring,
    System,
    handle_position,
    handle_velocity,
    make_system,
)

__all__ = [
    "STANDARD_GRAVITY",
    "Handle",
    "Spring",
    "State",
    "System",
    "force",
    "handle_position",
    "handle_velocity",
    "initial_state",
    "kinetic_energy",
    "make_system",
    "potential_energy",
    "step",
    "step_error",
]
