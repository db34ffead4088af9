"""Trains the three pendulums on both tasks with several settings of PODS, and draws them side by side.

python scripts/compare.py --evaluate_every=4
What is in the file already is not trained again: an interrupted comparison goes on where it stopped.
"""

import json
import os
import pathlib
import sys

import jax
from absl import app, flags

from pods_jax import algorithms, envs, plotting
from pods_jax.comparison import markdown_table, record_training
from pods_jax.evaluation import make_test_bed
from pods_jax.workdir import write_json

VARIANTS: dict = {
    "visited states": {},
    "improved states": {"regression": "improved_states", "guard_size": 0},  # Algorithm 1 as printed
    "first order": {"method": "first_order", "guard_size": 0},
    "dense visited states": {"method": "gauss_newton"},
}
OUT = flags.DEFINE_string("out", "scripts/results/pendulums.json", "Where the records go; the figure lies beside.")
ENVIRONMENTS = flags.DEFINE_list("environments", list(envs.names())[:3], "Names of environments.")
TASKS = flags.DEFINE_list("tasks", ["stop", "stop_at_origin"], "Names of tasks.")
TRAININGS = flags.DEFINE_list(
    "trainings", [f"{name}:{seed}" for name in list(VARIANTS)[:3] for seed in range(3)], "Each a setting:seed."
)
EPOCHS = flags.DEFINE_integer("num_epochs", 100, "Epochs of each training.")
EVERY = flags.DEFINE_integer("evaluate_every", 1, "Epochs between two looks at the policy.")


def main(argv: list[str]) -> None:
    """Trains what is missing, one record after the other, and draws the figure."""
    path = pathlib.Path(OUT.value)
    book = json.loads(path.read_text()) if path.exists() else {"records": []}
    book |= {"jax": jax.__version__, "device": f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores"}
    done = {(r["environment"], r["task"], r["variant"], r["seed"]) for r in book["records"]}
    for name in ENVIRONMENTS.value:
        for task in TASKS.value:
            trainings = [entry.split(":") for entry in TRAININGS.value if entry]
            wanted = [(variant, int(s)) for variant, s in trainings if (name, task, variant, int(s)) not in done]
            env = envs.make(name, task)
            if wanted:
                bed = make_test_bed(env)
            for variant, seed in wanted:
                algorithm = algorithms.make("pods", env, **VARIANTS[variant])
                record = {"variant": variant, **record_training(algorithm, seed, EPOCHS.value, bed, EVERY.value)}
                book["records"].append(record)
                write_json(path, book)
                print(name, task, variant, seed, f"gap {100 * record['final']['optimality_gap']:.2f} %", flush=True)
    print(markdown_table(book["records"]))
    plotting.save(plotting.comparison(book["records"]), path.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(app.run(main))
