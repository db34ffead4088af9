"""Writes docs/configuration.md: every setting, from what `pods_jax.settings` knows of it.

python scripts/site/configuration.py
"""

import pathlib

from pods_jax import algorithms, envs, settings
from pods_jax.storage import files

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "configuration.md"

HEAD = """# Configuration

Made by `python scripts/site/configuration.py` from the code; do not edit.

A configuration has the groups `env` and `algorithm`, and beside them `seed`, `num_epochs`, `evaluate_every` (epochs
in a compiled chunk; between chunks the policy is measured and saved), `num_test_rollouts` (held-out initial states)
and `search_optimum` (whether the best actions for each of these are searched, for the optimality gap). On the command
line a field is `--config.algorithm.guard.size=100`; in Python it is
`algorithms.make("pods", env, guard={"size": 100})` or `envs.make("pendulum_2d", task="stop", mass=2.0)`.
"""


def table(config: settings.Config, path: str) -> str:
    """Settings as a Markdown table."""
    lines = ["| setting | default | allowed | unit | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.path}` | `{row.default}` | {row.allowed} | {row.unit} | {row.meaning} |"
        for row in settings.rows(config, path)
    ]
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Algorithms"]
    for name in algorithms.names():
        parts += [f"### `algorithm.name = {name}`", table(algorithms.config_of(name)(), "algorithm")]
    parts.append("## Environments")
    for name in envs.names():
        tasks = ", ".join(f"`{task}`" for task in envs.tasks(name))
        parts += [f"### `env.name = {name}`", f"Tasks: {tasks}.", table(envs.settings_of(name), "env")]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    files.write_text(PAGE, page())
