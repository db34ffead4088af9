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
# # How it works
#
# One trajectory, taken apart: simulate, differentiate, improve, learn.

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
from IPython.display import display

import pods_jax
from pods_jax import envs
from pods_jax.visual import figures
from pods_jax.visual.jacobians import jacobians

horizon = 10 if SMALL else 50
env = envs.make("pendulum_2d", task="stop", horizon=horizon)
state = env.reset(jax.random.key(1))

# %% [markdown]
# ## Simulate
#
# Steps are implicit (BDF2), so that a stiff spring needs no small time step. `replay` takes given actions; here none,
# and the pendulum swings on.

# %%
nothing = jnp.zeros((horizon, env.action_size))
swinging = pods_jax.replay(env, state, nothing)
display(figures.phase_portrait(swinging.state.position[None, :, 0, 0], swinging.state.velocity[None, :, 0, 0]))

# %% [markdown]
# ## Differentiate
#
# The derivative of a step is that of the equation which it solves (the implicit function theorem). `jax.jacfwd` sees
# through it; so does `env.linearize`, for a fraction of the cost. An action changes later states only, hence the shape.

# %%
print(jax.jacfwd(lambda action: env.step(state, action).velocity)(nothing[0]))
parts = jacobians(env, state, nothing)
display(
    figures.matrices({"states by actions": parts.jacobian}, "component of the actions", "component of the states")
)

# %% [markdown]
# ## Two Hessians
#
# The exact Hessian of the cost is often indefinite: its Newton step may lead uphill. Gauss-Newton keeps the part that
# is never negative.

# %%
both = {"Gauss-Newton": parts.gauss_newton, "exact": parts.hessian}
display(figures.matrices(both, "component of the actions", "component of the actions"))
print("smallest eigenvalues:", {name: float(jnp.linalg.eigvalsh(matrix)[0]) for name, matrix in both.items()})

# %% [markdown]
# ## Improve
#
# One step of first and one of second order, from the same actions, each with its line search. `value` is the return.

# %%
first = pods_jax.improve(env, state, nothing, method="first_order")
second = pods_jax.improve(env, state, nothing, method="riccati")
{"nothing": float(first.value_before), "first order": float(first.value), "second order": float(second.value)}

# %% [markdown]
# ## Why limits belong inside the step
#
# The step above is the best one *within* the action limits. The step of a looser environment, clipped afterwards, is
# another one, and a worse one.

# %%
loose = env.replace(action_limit=100 * env.action_limit)
clipped = jnp.clip(
    pods_jax.improve(loose, state, nothing, method="riccati").actions, -env.action_limit, env.action_limit
)
print("inside:", float(second.value), "clipped afterwards:", float(pods_jax.replay(env, state, clipped).reward.sum()))
display(figures.action_traces(jnp.stack([second.actions, clipped]), env.action_limit, env.time_step, env.action_unit))
