"""What an environment may tell of itself, for people to look at: what is observed, its energy, a drawing.

Training needs none of it. Pictures, policy files and the doctor know nothing else of an environment.
"""

from dataclasses import dataclass

import jax
from flax import struct


@dataclass(frozen=True)
class Block:
    """Neighbouring components of an observation that mean the same thing."""

    name: str
    unit: str  # such as "m/s", or "unknown"
    size: int  # how many components
    meaning: str  # one phrase


@struct.dataclass
class Energy:
    """The mechanical energy of one state."""

    kinetic: jax.Array  # () [J]
    potential: jax.Array  # () [J]
