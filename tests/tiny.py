"""Settings with which every algorithm trains in no time."""

from pods_jax import algorithms
from pods_jax.runs import configuration

TINY = {
    "pods": {"batch_size": 8, "guard": {"size": 4}, "regression": {"gradient_steps": 4, "minibatch_size": 16}},
    "bptt": {"batch_size": 8, "minibatch_size": 4},
    "gps": {"batch_size": 4, "regression": {"gradient_steps": 4, "minibatch_size": 16}},
    "ppo": {"batch_size": 8, "optimizer": {"num_minibatches": 2}},
    "sac": {"batch_size": 4, "optimizer": {"gradient_steps": 8, "minibatch_size": 16, "buffer_size": 100}},
    "shac": {
        "batch_size": 8,
        "minibatch_size": 4,
        "window": 3,
        "critic": {"hidden_sizes": (8,), "gradient_steps": 2},
    },
}
"""Of each algorithm of the registry; one that is missing here takes its defaults."""


def hidden(name, size):
    """Two hidden layers for an algorithm whose networks have that setting."""
    return {"hidden_sizes": (size, size)} if "hidden_sizes" in algorithms.settings(name) else {}


def settings(name):
    """The small settings of an algorithm."""
    return hidden(name, 8) | TINY.get(name, {})


def config(name, **changes):
    """A configuration of an algorithm: twelve epochs, five at a time, of a planar pendulum."""
    counts = {"num_epochs": 12, "evaluate_every": 5, "num_test_rollouts": 4, "search_optimum": False}
    env = {"name": "pendulum_2d", "task": "stop", "horizon": 6}
    sections = {"env": env, "algorithm": {"name": name, **settings(name)}}
    return configuration.default_config(name) | counts | sections | changes
