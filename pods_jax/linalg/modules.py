"""NumPy where numbers are known while a program is built, jax.numpy where they are traced."""

from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from pods_jax import checks


def module_of(*values: Any) -> ModuleType:
    """jax.numpy if one of the values, numbers or pytrees of them, is traced; else NumPy, which is exact to 1e-16."""
    return jnp if checks.is_traced(*values) else np
