# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Your own simulator
#
# Any pure, differentiable JAX function of state and action can be learned from. Its derivatives are taken by forward
# mode; what cannot work is refused at once, down to the leaf of the state.

# %%
import glob
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("pods_jax") is None:  # a fresh machine
    source = next(glob.iglob("pods_jax-*.whl"), "..")  # a wheel beside the notebook, or the sources above it
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)
SMALL = "PODS_JAX_SMALL" in os.environ  # how the notebook is tested
# %matplotlib inline

# %%
import jax
import jax.numpy as jnp

import pods_jax
from pods_jax import InputError, algorithms, envs
from pods_jax.visual import figures, viewer

# %% [markdown]
# A planar rocket: it tilts, and its thrust points where it tilts to. It shall come to rest at the origin.


# %%
def fly(state, action):
    thrust, torque = action[0] + 9.81, action[1]
    spin = state["spin"] + 0.05 * torque
    tilt = state["tilt"] + 0.05 * spin
    push = jnp.stack([-jnp.sin(tilt), jnp.cos(tilt)]) * thrust - jnp.array([0.0, 9.81])
    velocity = state["velocity"] + 0.05 * push
    return {"place": state["place"] + 0.05 * velocity, "velocity": velocity, "tilt": tilt, "spin": spin}


def anywhere(key):
    place, velocity, tilt = jnp.split(jax.random.uniform(key, (5,), minval=-1.0), [2, 4])
    return {"place": 3 * place, "velocity": velocity, "tilt": 0.3 * tilt[0], "spin": jnp.zeros(())}


def observe(state):
    return jnp.concatenate([state["place"], state["velocity"], jnp.stack([state["tilt"], state["spin"]])])


def come_to_rest(state, action):
    return jnp.concatenate([state["place"], 0.3 * state["velocity"], jnp.stack([state["tilt"]]), 0.05 * action])


def draw(state):  # for the viewer: foot and top, joined, and where to go
    along = jnp.stack([-jnp.sin(state["tilt"]), jnp.cos(state["tilt"])])
    return envs.make_drawing(
        jnp.stack([state["place"], state["place"] + 0.5 * along]), [(0, 1)], num_handles=1, target=jnp.zeros((1, 2))
    )


env = envs.from_step(
    fly,
    anywhere,
    observe,
    residual=come_to_rest,
    action_limit=[8.0, 10.0],
    action_unit="m/s² and 1/s²",
    horizon=10 if SMALL else 60,
    time_step=0.05,
    draw=draw,
    name="rocket",
    task="come to rest",
)

# %%
algorithm = algorithms.make("pods", env, batch_size=4 if SMALL else 200, guard={"size": 2 if SMALL else 100})
train_state, history = pods_jax.train(algorithm, jax.random.key(0), 1 if SMALL else 40, announce=print)
policy = algorithm.policy(train_state)
states = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 5))
flights = jax.vmap(lambda state: pods_jax.rollout(env, policy, state))(states)
figures.action_traces(flights.action, env.action_limit, env.time_step, env.action_unit)

# %%
viewer.view(env, {"trained": flights})

# %%
figures.phase_portrait(flights.state["place"][:, :, 0], flights.state["velocity"][:, :, 0])

# %% [markdown]
# A step that cannot be learned from is refused before anything is trained.

# %%
try:
    envs.from_step(
        lambda state, action: fly(state, jnp.round(action)),
        anywhere,
        observe,
        residual=come_to_rest,
        action_limit=[8.0, 10.0],
        horizon=10,
    )
except InputError as error:
    print(error)

# %% [markdown]
# `pods_jax.compat` does the same for Brax (`from_brax`), MuJoCo models simulated by MJX (`from_mjx`) and environments
# with gymnax's interface (`from_gymnax`). Where bodies touch it is hard: a contact that is open has the derivative zero,
# and one that closes changes it at once.
