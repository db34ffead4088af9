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
# # Quickstart
#
# Train a policy that stops a swinging pendulum by moving the point that it hangs from; watch it; see how far it is
# from the best that can be done. Two minutes on two processor cores, less on a GPU.

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
from IPython.display import display

import pods_jax
from pods_jax import algorithms, envs
from pods_jax.evaluation import make_heldout_set
from pods_jax.visual import figures, viewer

# %% [markdown]
# An environment is a value: a mass on a stiff spring below a handle on a rail. The action is the velocity of the handle.

# %%
env = envs.make("pendulum_2d", task="stop")
heldout = make_heldout_set(env, 10 if SMALL else 200)  # states that training never sees, with their best returns
algorithm = algorithms.make("pods", env, batch_size=8 if SMALL else 400, guard={"size": 4 if SMALL else 200})

# %% [markdown]
# Forty epochs: simulate, improve each trajectory by a second-order step, fit the network to what that teaches. The
# first call compiles the program.

# %%
num_epochs = 2 if SMALL else 40
train_state, history = pods_jax.train(algorithm, jax.random.key(0), num_epochs, announce=print)
policy = algorithm.policy(train_state)
{name: history[-1][name] for name in ("value", "value_improved", "value_fitted", "unhealthy_rollouts")}

# %% [markdown]
# How good is it? The optimality gap is how far its mean return is below that of the best actions known.

# %%
pods_jax.evaluate(env, policy, heldout=heldout)

# %% [markdown]
# Watch it: play, scrub, choose another rollout; beside it, a handle that does not move.

# %%
states = jax.tree.map(lambda leaf: leaf[:5], heldout.states)
trained = jax.vmap(lambda state: pods_jax.rollout(env, policy, state))(states)
still = jax.vmap(lambda state: pods_jax.replay(env, state, 0 * trained.action[0]))(states)
viewer.view(env, {"trained": trained, "handle at rest": still})

# %% [markdown]
# What it does with the handle, and the limits that it keeps.

# %%
display(figures.action_traces(trained.action, env.action_limit, env.time_step, env.action_unit))
