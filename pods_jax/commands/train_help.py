"""What `--help` and `--list` of the command that trains say: environments, algorithms, configurations, fields."""

from collections.abc import Iterator, Sequence
from typing import Any

from pods_jax import algorithms, envs, settings
from pods_jax.commands import config_files
from pods_jax.envs import registry
from pods_jax.runs.configuration import RunSettings


def listing() -> str:
    """The names that --config, --config.env.name and --config.algorithm.name take, a line for each."""
    blocks = (
        ("Configurations, --config=NAME:", {name: _about(path) for name, path in config_files.names().items()}),
        ("Environments, --config.env.name=NAME:", {name: _environment(name) for name in envs.names()}),
        ("Algorithms, --config.algorithm.name=NAME:", {name: algorithms.about(name) for name in algorithms.names()}),
    )
    lines = [
        line
        for head, named in blocks
        for line in ("", head, *(f"  {name:20} {about}" for name, about in named.items()))
    ]
    return "\n".join([*lines[1:], "", "Your own environment: --config.env.name=my_package:make_it."])


def text(argv: Sequence[str]) -> str:
    """`listing`, and each field of the configuration that a command line names: default, meaning, what is allowed.

    Raises InputError for a name that there is not.
    """
    config = _configuration(argv)
    env, algorithm = config["env"]["name"], config["algorithm"]["name"]
    heading = f"Fields, each a flag; those of {env} and {algorithm} (name others to see theirs):"
    lines = ["", listing(), "", heading]
    lines += [*_rows(RunSettings(), "config", config), f"  --config.env.name={env}"]
    lines += [f"  --config.env.task={config['env']['task']}"] if "task" in config["env"] else []
    lines += _rows(envs.settings_of(env), "config.env", config["env"])
    lines.append(f"  --config.algorithm.name={algorithm}")
    lines += _rows(algorithms.config_of(algorithm)(), "config.algorithm", config["algorithm"])
    return "\n".join(lines)


def _configuration(argv: Sequence[str]) -> dict[str, Any]:
    """The configuration that a command line begins with, with the environment and the algorithm that it names."""
    chosen = config_files.flags_of(argv)
    config = config_files.load(chosen.get("config") or "pods")
    for section, known in (("env", envs.settings), ("algorithm", algorithms.settings)):
        name = chosen.get(f"config.{section}.name")
        if name and name != config[section]["name"]:
            if section == "env":
                envs.load(name)
                task = registry.tasks(name)[:1]
                config["env"] = {"name": name, **known(name), **({"task": task[0]} if task else {})}
            else:
                config["algorithm"] = {"name": name, **known(name)}
    return config


def _rows(described: Any, path: str, values: dict[str, Any]) -> Iterator[str]:
    """One line for each setting, with its value in the configuration."""
    for row in settings.rows(described, path):
        value: Any = values
        for name in row.path[len(path) + 1 :].split("."):
            value = value.get(name, row.default) if isinstance(value, dict) else value
        unit = f" [{row.unit}]" if row.unit else ""
        meaning = f"{row.meaning}{unit}; " if row.meaning else ""
        yield f"  --{row.path}={value}: {meaning}{row.allowed}"


def _environment(name: str) -> str:
    tasks = ", ".join(envs.tasks(name)) if name in registry.ready() else ""
    return f"{registry.about(name)} Tasks: {tasks}." if tasks else registry.about(name)


def _about(path: Any) -> str:
    """The first line of the text at the top of a file."""
    first: str = path.read_text(encoding="utf-8").lstrip('r"').splitlines()[0]
    return first
