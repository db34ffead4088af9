"""Recordings of machines whose parameters are known, with the noise of sensors."""

import jax
import jax.numpy as jnp
import numpy as np

import pods_jax
from pods_jax import identification
from pods_jax.identification.recording import components
from pods_jax.rollouts import random_actions
from pods_jax.trajopt import flatten

HIDDEN = ("previous_position", "previous_velocity")
"""Parts of a state that nobody measures."""


def recordings(env, key, count=20, noise=0.01, effort=1.0, num_steps=None, without=()):
    """`count` noisy recordings of an episode under random actions, and the noise of each component.

    noise: by the standard deviation of each component over all rollouts. effort: of the random actions.
    """
    key_start, key_action, key_noise = jax.random.split(key, 3)
    starts = jax.vmap(env.reset)(jax.random.split(key_start, count))
    actions = effort * random_actions(env, key_action, count, True)[:, :num_steps]
    after = jax.vmap(lambda state, actions: pods_jax.replay(env, state, actions).state)(starts, actions)
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[:, None], rest], axis=1), starts, after)
    flat = np.asarray(jax.vmap(jax.vmap(lambda state: flatten(state)[0]))(states))  # (count, T + 1, n)
    names = components(env)
    kept = [i for i, name in enumerate(names) if name.partition("[")[0] not in (*HIDDEN, *without)]
    deviation = {names[i]: max(noise * float(np.std(flat[..., i])), 1e-9) for i in kept}
    drawn = np.asarray(jax.random.normal(key_noise, flat.shape))
    found = []
    for rollout in range(count):
        measured = {names[i]: flat[rollout, :, i] + deviation[names[i]] * drawn[rollout, :, i] for i in kept}
        held = np.concatenate([actions[rollout], actions[rollout][-1:]])
        time = env.time_step * np.arange(len(held))
        found.append(identification.make_recording(time, held, measured, name=f"rollout {rollout}"))
    return found, deviation
