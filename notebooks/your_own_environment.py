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
# # Your own environment
#
# Points, springs, cables and driven handles are data; so is the task. Here a beam hangs from two cables.

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
import numpy as np

import pods_jax
from pods_jax import algorithms, sim
from pods_jax.envs import make_payload, make_weights
from pods_jax.visual import viewer

# %%
points = np.array([[-0.4, 0.0], [0.4, 0.0], [-0.4, -0.5], [0.0, -0.5], [0.4, -0.5]])  # two handles, three masses
cables = sim.join([(0, 2), (1, 4)], points, num_handles=2, stiffness=2e3, cable=True)
beam = sim.join(sim.clique([2, 3, 4]), points, num_handles=2, stiffness=2e3)
system = sim.make_system(
    mass=[0.3, 0.3, 0.3],
    springs=cables + beam,
    handles=[sim.Handle.in_plane(points[0]), sim.Handle.in_plane(points[1])],
    time_step=1 / 30,
    dimension=2,
)

# %% [markdown]
# The task: from a random horizontal velocity, come to rest below the origin of the handles.

# %%
env = make_payload(
    "beam",
    "stop_at_origin",
    system,
    sim.equilibrium(system, np.zeros(4), points[2:]),  # where it hangs at rest
    horizon=10 if SMALL else 50,
    action_limit=2.0,
    initial_speed=1.0,
    initial_displacement=0.3,
    weights=make_weights((5.0, 1.0, 0.3, 0.1)),
    velocity_modes=np.ones((1, 3)),
)

# %%
algorithm = algorithms.make("pods", env, batch_size=4 if SMALL else 200, guard={"size": 2 if SMALL else 100})
train_state, history = pods_jax.train(algorithm, jax.random.key(0), 1 if SMALL else 30, announce=print)
states = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 5))
policy = algorithm.policy(train_state)
viewer.view(env, {"trained": jax.vmap(lambda state: pods_jax.rollout(env, policy, state))(states)})

# %% [markdown]
# A reward of your own replaces the squared residual: any twice differentiable function of the state arrived in and the
# action.

# %%
hurried = env.with_reward(lambda state, action: 1 / (1 + (state.velocity**2).sum()) - 0.01 * (action**2).sum())
start = jax.tree.map(lambda leaf: leaf[0], states)
better = pods_jax.improve(hurried, start, np.zeros((env.horizon, 4)), method="first_order")
float(better.value_before), float(better.value)
