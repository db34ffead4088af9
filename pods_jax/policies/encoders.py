"""What a policy network makes of observations before its hidden layers: features of pictures, or of a history.

"mlp": the observation as it is, and of a history the newest reading x_0 and the rates (x_i - x_{i+1}) / dt at which
it changed, since motion hides in small differences of numbers that are nearly the same. "cnn": pictures, also with
their changes, go through two layers, each the same for all patches of a grid; all else as before. "gru": a gated
recurrent unit (Cho et al. 2014) reads the history from the oldest reading to the newest, and its last state goes on.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.description import Block
from pods_jax.envs.environment import Environment

NETWORKS = ("mlp", "cnn", "gru")

NETWORK_MEANING = "before the hidden layers: mlp nothing, cnn for pictures, gru for histories, or a flax module"

PATCH, CHANNELS = (4, 2), (16, 32)
"""Of the two layers for pictures: the side of a patch, in pixels or in patches of the first, and numbers for each."""

FEATURES = 64
"""Numbers that a picture becomes, and the size of the state of the recurrent unit."""

Layout = tuple[Block, ...]


class RateEncoder(nn.Module):
    """Histories as the newest reading and the rates of its changes; it has no parameters."""

    layout: Layout
    time_step: float  # [s]

    def __call__(self, observation: jax.Array) -> jax.Array:
        """(..., O) for observations (..., O)."""
        parts = zip(self.layout, parts_of(self.layout, observation), strict=True)
        return jnp.concatenate([self.rates(block, part) for block, part in parts], axis=-1)

    def rates(self, block: Block, part: jax.Array) -> jax.Array:
        """(..., size) of one block (..., size)."""
        if not is_history(block, self.layout):
            return part
        newest, changes = with_changes(part.reshape(*part.shape[:-1], block.shape[0], -1))
        return jnp.concatenate([newest, changes / self.time_step], axis=-2).reshape(part.shape)


class PictureEncoder(nn.Module):
    """Pictures by patches: as convolutions whose stride is their width, which are reshapes and matrix products."""

    others: RateEncoder  # of all that is no picture

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """(..., F) features of observations (..., O)."""
        layout, features = self.others.layout, []
        for block, part in zip(layout, parts_of(layout, observation), strict=True):
            if is_picture(block):
                frames = part.reshape(*part.shape[:-1], block.shape[0], -1)
                frames = jnp.concatenate(with_changes(frames), axis=-2).reshape(*part.shape[:-1], *block.shape)
                features.append(self._features(jnp.moveaxis(frames, -3, -1)))
            else:
                features.append(self.others.rates(block, part))
        return jnp.concatenate(features, axis=-1)

    def _features(self, image: jax.Array) -> jax.Array:
        """(..., FEATURES) of pictures (..., height, width, channels)."""
        for side, size in zip(PATCH, CHANNELS, strict=True):
            image = nn.relu(nn.Dense(size, param_dtype=image.dtype)(patches(image, side)))
        flat = image.reshape(*image.shape[:-3], -1)
        return nn.relu(nn.Dense(FEATURES, param_dtype=flat.dtype)(flat))


class RecurrentEncoder(nn.Module):
    """A recurrent unit that reads the history of all readings."""

    layout: Layout

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """(..., F) features of observations (..., O)."""
        parts = parts_of(self.layout, observation)
        histories, others = [], []
        for block, part in zip(self.layout, parts, strict=True):
            if is_history(block, self.layout):
                histories.append(part.reshape(*part.shape[:-1], block.shape[0], -1))
            else:
                others.append(part)
        readings = jnp.concatenate(histories, axis=-1)  # (..., H, F), newest first
        cell = nn.GRUCell(FEATURES, param_dtype=observation.dtype, dtype=observation.dtype)
        state = jnp.zeros((*readings.shape[:-2], FEATURES), observation.dtype)
        for index in reversed(range(readings.shape[-2])):
            state, _ = cell(state, readings[..., index, :])
        return jnp.concatenate([state, readings[..., 0, :], *others], axis=-1)


def patches(image: jax.Array, side: int) -> jax.Array:
    """(..., h / side, w / side, side side c) the patches of pictures (..., h, w, c), filled up with zeros."""
    height, width, channels = image.shape[-3:]
    fill = [(0, 0)] * (image.ndim - 3) + [(0, -height % side), (0, -width % side), (0, 0)]
    image = jnp.pad(image, fill)
    rows, columns = -(-height // side), -(-width // side)
    image = image.reshape(*image.shape[:-3], rows, side, columns, side, channels)
    return jnp.moveaxis(image, -4, -3).reshape(*image.shape[:-5], rows, columns, side * side * channels)


def with_changes(readings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(..., 1, n) the newest of readings (..., H, n), newest first, and (..., H - 1, n) the changes between them."""
    return readings[..., :1, :], readings[..., :-1, :] - readings[..., 1:, :]


def parts_of(layout: Layout, observation: jax.Array) -> list[jax.Array]:
    """(..., size) the blocks of observations (..., O)."""
    found, end = [], 0
    for block in layout:
        found.append(observation[..., end : end + block.size])
        end += block.size
    return found


def is_picture(block: Block) -> bool:
    """Whether a block of an observation is a history of pictures (H, height, width)."""
    return len(block.shape) == 3


def is_history(block: Block, layout: Layout) -> bool:
    """Whether a block is as many readings as the first one, which is one of a sensor."""
    return len(block.shape) > 1 and block.shape[0] == layout[0].shape[0] > 1 and block.name != "actions"


def make_encoder(network: Any, env: Environment) -> nn.Module | None:
    """The encoder of a network by its name, or a flax module of one's own, which turns (..., O) into (..., F).

    Raises InputError for another name, and where what the network is for is not observed.
    """
    if isinstance(network, nn.Module):
        return network
    layout = env.observation_layout
    checks.choice("algorithm.network", network, NETWORKS)
    if network == "cnn" and not any(is_picture(block) for block in layout):
        raise InputError(
            "algorithm.network",
            network,
            f"needs pictures, and {env.name} observes {_names(layout)}: take 'mlp', or "
            'observe one, envs.observed(env, {"picture": sensors.camera()}, history=2)',
        )
    if network == "gru" and not any(is_history(block, layout) for block in layout):
        raise InputError(
            "algorithm.network",
            network,
            f"needs a history, and {env.name} observes {_names(layout)}: take 'mlp', or "
            "envs.observed(env, ..., history=8)",
        )
    return encoder_of(network, layout, env.time_step)


def encoder_of(name: str, layout: Layout, time_step: float) -> nn.Module | None:
    """The encoder of this name, one of NETWORKS, for observations of this layout, one each time step [s]."""
    rates = RateEncoder(layout, time_step)
    if name == "mlp":
        return rates if any(is_history(block, layout) for block in layout) else None
    return PictureEncoder(rates) if name == "cnn" else RecurrentEncoder(layout)


def _names(layout: Layout) -> str:
    return ", ".join(f"{block.name} {block.shape}" for block in layout)
