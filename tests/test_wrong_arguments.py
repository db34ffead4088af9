"""No public function ends in an error of jax, numpy or flax for a wrong argument: it refuses it by its name.

The functions are found by their public names, so that a new one without a line in `calls` fails. Quick: what is of
no sensible type is refused for every argument, before anything is compiled. Slow: seventeen values for every
argument; what is no mistake for some of them may pass, but nothing ends in another error than InputError.
"""

import inspect
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import InputError, algorithms, compat, envs, export, sensors, sim, viewer
from pods_jax.evaluation import HeldOutSet

MODULES = {
    "pods_jax": pods_jax,
    "algorithms": algorithms,
    "envs": envs,
    "compat": compat,
    "export": export,
    "sensors": sensors,
    "sim": sim,
}

WRONG = {
    "nothing": None,
    "a word": "x",
    "an object": object(),
    "a negative number": -1,
    "a huge number": 2**70,
    "nan": float("nan"),
    "infinity": float("inf"),
    "an empty list": [],
    "a mixed list": [1, "a"],
    "three axes": np.zeros((2, 3, 4)),
    "seven numbers": np.zeros(7),
    "words": np.array(["a"]),
    "a flag": True,
    "a complex number": 1j,
    "a dictionary": {},
    "a fraction": 0.5,
    "a function of words": lambda *given, **named: "x",
}

FREE = {("compat.from_gymnax", "params")}
"""What the other library defines: anything may be right."""

CALLED = {
    "values": "weights",
    "policy": "action",
    "points": "segments",
    "path": "out",
    "position": "point",
    "springs": "mass",
    "names": "parameters",
}
"""Other words for an argument: what it is for, or what a function that was given returned."""

WITHOUT_ARGUMENTS = {"algorithms.names", "envs.names"}
WITHOUT_ARGUMENTS |= {f"sensors.{name}" for name in ("positions", "velocities", "handle", "factors")}

NEED_PACKAGES = {"compat.from_brax", "compat.from_mjx"}
"""Bridges whose argument is an object of another library, see tests/compat."""

TRIED_ELSEWHERE = {"pods_jax.identify"}
"""See tests/identification, where what is wrong with recordings, parameters and bounds is tried."""


@dataclass(frozen=True)
class Settings:
    size: int = 1


class Walk:
    """What gymnax asks of an environment."""

    default_params = None

    def action_space(self, params):
        return SimpleNamespace(low=-1.0, high=1.0, shape=(1,))

    def reset_env(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def step_env(self, key, state, action, params):
        after = state + action
        return after, after, -jnp.sum(after**2), False, {}


def verbs(env, state, actions):
    played = pods_jax.replay(env, state, actions)
    states, trajectories = jax.tree.map(lambda leaf: leaf[None], (state, played))
    toy = algorithms.Algorithm(
        "toy",
        env,
        None,
        init=jax.jit(lambda key: {"key": key, "count": jnp.zeros(())}),
        update=lambda state: ({**state, "count": state["count"] + 1}, {"count": state["count"]}),
        policy=lambda state: lambda observation: observation[:1],
    )
    how = {"method": "riccati", "damping": 0.1}
    held_out = HeldOutSet(states, jnp.full(1, jnp.nan), searched=False)
    counts = {"num_rollouts": 2, "seed": 0, "num_restarts": 0}
    policy = toy.policy(None)
    return {
        "replay": (pods_jax.replay, {"env": env, "state": state, "actions": actions}),
        "rollout": (pods_jax.rollout, {"env": env, "policy": policy, "state": state}),
        "improve": (pods_jax.improve, {"env": env, "state": state, "actions": actions, "num_steps": 1, **how}),
        "improve_batch": (
            pods_jax.improve_batch,
            {"env": env, "states": states, "trajectories": trajectories, "chunk_size": 0, **how},
        ),
        "optimize": (
            pods_jax.optimize,
            {
                "env": env,
                "state": state,
                "actions": actions,
                "max_steps": 1,
                "tolerance": 1e-5,
                "guess": played.state,
            },
        ),
        "evaluate": (
            pods_jax.evaluate,
            {"env": env, "policy": policy, "heldout": held_out, "test_bed": None, **counts},
        ),
        "summary": (pods_jax.summary, {"metrics": {"return_mean": -1.0}, "env": env}),
        "train": (
            pods_jax.train,
            {"algorithm": toy, "key": jax.random.key(0), "num_epochs": 1, "callbacks": (), "epochs_per_chunk": 1}
            | {"train_state": None, "first_epoch": 0, "announce": str, "devices": (), "program": None},
        ),
    }


def of_algorithms(env):
    config = algorithms.config_of("pods")()
    settings = {"batch_size": 4, "hidden_sizes": (2,), "guard": {"size": 2}}
    named = {name: (getattr(algorithms, name), {"name": "pods"}) for name in ("config_of", "moved", "settings")}
    return named | {
        "make": (algorithms.make, {"name": "pods", "env": env, **settings}),
        "from_config": (algorithms.from_config, {"name": "pods", "env": env, "config": config}),
        "unregister": (algorithms.unregister, {"name": "wrong_arguments"}),
        "register": (
            algorithms.register,
            {"name": "wrong_arguments", "Config": Settings, "make": print, "replace": True},
        ),
    }


def of_envs(env, position):
    named = {name: (getattr(envs, name), {"name": "pendulum_2d"}) for name in ("settings", "settings_of", "tasks")}
    drawing = {"points": np.zeros((2, 2)), "segments": [(0, 1)], "slack": [True], "cables": [True], "num_handles": 1}
    planes = {"normals": [[0.0, 1.0]], "offsets": [0.0], "target": [[0.0, 0.0]]}
    own = {
        "step": lambda state, action: state + action,
        "reset": lambda key: jax.random.normal(key, (1,)),
        "observe": lambda state: state,
        "residual": lambda state, action: state,
        "measure": lambda state: {"place": state[0]},
        "energy": lambda state: envs.Energy(state[0], state[0]),
        "draw": lambda state: envs.make_drawing(jnp.zeros((1, 2))),
        "observation_layout": (),
        "goal": np.zeros(1),
    }
    texts = {"action_unit": "N", "name": "walk", "task": "stand"}
    payload = {"name": "own", "task": "stop", "system": env.parameters.system, "rest_position": position}
    sizes = {"horizon": 2, "action_limit": 1.0, "initial_speed": 1.0, "initial_displacement": 1.0}
    start = {"start_handle": np.zeros(1), "start_position": position, "velocity_modes": np.eye(1)}
    return named | {
        "load": (envs.load, {"name": "pendulum_2d"}),
        "register": (envs.register, {"name": "wrong_arguments", "make": lambda: env, "replace": True}),
        "unregister": (envs.unregister, {"name": "wrong_arguments"}),
        "make": (
            envs.make,
            {"name": "pendulum_2d", "task": "stop", "terminal_only": False, "horizon": 2, "stiffness": 100.0},
        ),
        "replaced": (envs.replaced, {"env": env, "values": {"mass": [2.0]}}),
        "values": (envs.values, {"env": env, "names": ["mass"]}),
        "observed": (
            envs.observed,
            {"env": env, "sensors": {"p": sensors.positions()}, "history": 2, "delay": 1, "warm_up": 0}
            | {"noise": {"p": 0.1}},
        ),
        "randomized": (envs.randomized, {"env": env, "ranges": {"mass": 0.3}}),
        "split": (envs.split, {"env": env, "observation": np.zeros(env.observation_size)}),
        "make_weights": (envs.make_weights, {"values": (1, 1, 1, 1)}),
        "make_drawing": (envs.make_drawing, drawing | planes),
        "from_step": (envs.from_step, {**own, **texts, "action_limit": [1.0], "horizon": 2, "time_step": 1.0}),
        "make_payload": (envs.make_payload, {**payload, **sizes, **start, "weights": env.parameters.weights}),
    }


def of_sensors():
    picture = {"size": 8, "follow": "handle", "half_width": 1.0, "view": "front", "spot": 1.0}
    return {
        "part": (sensors.part, {"name": "position"}),
        "camera": (sensors.camera, picture),
        "noise": (sensors.noise, {"deviation": 0.1, "bias": 0.1, "dropped": 0.5}),
    }


def of_environment(env, state, action):
    pair, triple = {"state": state, "action": action}, {"state": state, "action": action, "next_state": state}
    return {
        "reset": (env.reset, {"key": jax.random.key(0)}),
        **{name: (getattr(env, name), pair) for name in ("step", "residual", "reward")},
        **{name: (getattr(env, name), triple) for name in ("linearize", "step_error")},
        **{
            name: (getattr(env, name), {"state": state})
            for name in ("observe", "measure", "energy", "draw", "completed", "core")
        },
        "with_noise": (env.with_noise, {"state": state, "key": jax.random.key(0)}),
        "as_state": (env.as_state, {"state": state}),
        "as_action": (env.as_action, {"action": action}),
        "as_actions": (env.as_actions, {"actions": action[None]}),
        "reward_weights": (env.reward_weights, {"num_steps": 2}),
        "with_reward": (env.with_reward, {"reward": lambda state, action: action[0]}),
    }


def of_compat(env, action):
    found = {
        "from_gymnax": (
            compat.from_gymnax,
            {"env": Walk(), "params": None, "horizon": 2, "residual": lambda state, action: action},
        )
    }
    if pods_jax_has("brax"):
        found["to_brax"] = (compat.to_brax, {"env": env})
    if pods_jax_has("gymnasium"):
        one, several = compat.to_gymnasium(env), compat.to_gymnasium_vector(env, 2)
        one.reset(seed=0), several.reset(seed=0)
        found |= {
            "to_gymnasium": (compat.to_gymnasium, {"env": env, "render_mode": None}),
            "to_gymnasium_vector": (compat.to_gymnasium_vector, {"env": env, "num_envs": 2}),
            "to_gymnasium.step": (one.step, {"action": action}),
            "to_gymnasium.reset": (one.reset, {"seed": 0, "options": None}),
            "to_gymnasium_vector.step": (several.step, {"actions": np.zeros((2, 1))}),
            "to_gymnasium_vector.reset": (several.reset, {"seed": 0, "options": None}),
        }
    return found


def of_export(env, played, folder):
    algorithm = algorithms.make("pods", env, batch_size=2, guard={"size": 1}, hidden_sizes=(2,))
    policy = algorithm.policy(algorithm.init(jax.random.key(0)))
    good, other = folder / "good.safetensors", folder / "other.safetensors"
    export.save_policy(good, env, policy, "safetensors")
    loaded = export.load_policy(good)
    format = "safetensors"
    written = {"path": other, "env": env, "policy": policy, "format": format, "notes": {}}
    page = viewer.view(env, {"zero": played})
    return {
        "export.save_policy": (export.save_policy, written),
        "export.load_policy": (export.load_policy, {"path": good, "env": env, "network": None}),
        "export.check_name": (export.check_name, {"path": good, "format": format}),
        "export.compare": (export.compare, {"loaded": loaded, "env": env, "policy": policy}),
        "export.describe": (export.describe, {"env": env, "policy": policy, "format": format}),
        "export.description_path": (export.description_path, {"path": good}),
        "export.load_policy()": (loaded, {"observation": np.zeros(env.observation_size)}),
        "viewer.view": (viewer.view, {"env": env, "rollouts": {"zero": played}, "title": ""}),
        "viewer.view.save": (page.save, {"path": folder / "page.html"}),
        "viewer.check_name": (viewer.check_name, {"path": folder / "page.html"}),
    }


def of_sim(system, state, action):
    pair = {"system": system, "state": state, "action": action}
    place, handles = state.position, np.zeros((1, 2))
    springs, rails = [sim.Spring(0, 1, 100.0, 1.0)], [sim.Handle.on_axis([0.0, 0.0])]
    built = {"mass": [1.0], "springs": springs, "handles": rails, "planes": [], "time_step": 0.1, "dimension": 2}
    joined = {"pairs": [(0, 1)], "position": np.eye(2), "num_handles": 1, "stiffness": 1.0}
    return {
        "make_system": (sim.make_system, {**built, "drag": 0.0, "gravity": 9.81}),
        "check_connected": (sim.check_connected, {"system": system}),
        "clique": (sim.clique, {"points": [1, 2]}),
        "line": (sim.line, {"points": [1, 2]}),
        "grid": (sim.grid, {"points": np.arange(4).reshape(2, 2)}),
        "join": (sim.join, {**joined, "damping": 0.0, "cable": False}),
        "equilibrium": (sim.equilibrium, {"system": system, "handle": np.zeros(1), "guess": place}),
        "force": (
            sim.force,
            {"system": system, "position": place, "velocity": place}
            | {"handle_position": handles, "handle_velocity": handles},
        ),
        "handle_position": (sim.handle_position, {"system": system, "handle": np.zeros(1)}),
        "handle_velocity": (sim.handle_velocity, {"system": system, "action": action}),
        "initial_state": (
            sim.initial_state,
            {"system": system, "handle": np.zeros(1), "position": place, "velocity": place},
        ),
        "kinetic_energy": (sim.kinetic_energy, {"system": system, "velocity": place}),
        "potential_energy": (
            sim.potential_energy,
            {"system": system, "position": place, "handle_position": handles},
        ),
        "step": (sim.step, pair),
        "step_error": (sim.step_error, {**pair, "next_state": state}),
        "linearize": (sim.linearize, {**pair, "next_state": state}),
        "derived": (sim.derived, {"system": system}),
    }


def pods_jax_has(package):
    """Whether an optional package is installed."""
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def prefixed(prefix, found):
    return {f"{prefix}.{name}": call for name, call in found.items()}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """By name: a function, and arguments by which it works."""
    env = envs.make("pendulum_2d", horizon=2)
    state, action = env.reset(jax.random.key(0)), np.zeros(1)
    actions = np.zeros((2, 1))
    return {
        **prefixed("pods_jax", verbs(env, state, actions)),
        **prefixed("algorithms", of_algorithms(env)),
        **prefixed("envs", of_envs(env, state.position)),
        **prefixed("sensors", of_sensors()),
        **prefixed("Environment", of_environment(env, state, action)),
        **prefixed("compat", of_compat(env, action)),
        **of_export(env, pods_jax.replay(env, state, actions), tmp_path_factory.mktemp("export")),
        **prefixed("sim", of_sim(env.parameters.system, state, action)),
    }


@pytest.fixture(autouse=True)
def registry():
    """Takes away whatever a test has registered."""
    before = {part: set(part.names()) for part in (algorithms, envs)}
    yield
    for part, names in before.items():
        for name in set(part.names()) - names:
            part.unregister(name)


def public():
    """The public functions, by names as in `calls`."""
    found = {
        f"{prefix}.{name}"
        for prefix, module in MODULES.items()
        for name in module.__all__
        if callable(getattr(module, name)) and not isinstance(getattr(module, name), type | ModuleType)
    }
    methods = {name for name, value in vars(envs.Environment).items() if inspect.isfunction(value)}
    # `drawing_function` takes no argument, and the rest is flax's.
    return found | {f"Environment.{name}" for name in methods - {"drawing_function", "replace"} if name[0] != "_"}


def outcome(calls, name, argument, wrong):
    """The message of the refusal, or None if the value was no mistake; fails for any other error."""
    function, right = calls[name]
    message = None
    try:
        function(**{**right, argument: wrong})
    except InputError as error:
        message = str(error)
    if message is not None:
        words = [*right, *(CALLED[each] for each in right if each in CALLED), f"{wrong}.json"]
        assert any(word in message for word in words), f"{name}({argument}={wrong!r}): {message}"
    return message


def test_every_public_function_is_tried(calls):
    assert public() - set(calls) == WITHOUT_ARGUMENTS | NEED_PACKAGES | TRIED_ELSEWHERE


def test_what_has_no_sensible_type_is_refused_for_every_argument(calls):
    for name, (_, right) in calls.items():
        for argument in right:
            if (name, argument) not in FREE:
                message = outcome(calls, name, argument, WRONG["an object"])
                assert message is not None, f"{name} takes an object for {argument}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("what", [*MODULES, "Environment", "viewer"])
def test_no_wrong_argument_ends_in_another_error(calls, what):
    chosen = [name for name in calls if name.startswith(f"{what}.")]
    assert chosen
    for name in chosen:
        for argument in calls[name][1]:
            refused = [outcome(calls, name, argument, wrong) is not None for wrong in WRONG.values()]
            assert (name, argument) in FREE or sum(refused) >= 8, f"{name} takes nearly anything for {argument}"
