"""Trains the three pendulums on both tasks with several settings of PODS, and draws them side by side.

python scripts/compare.py --out=scripts/results/pendulums.json

What is in the file already is not trained again, so an interrupted comparison goes on where it stopped.
"""

import json
import pathlib
import platform
import sys

import jax
from absl import app, flags

from pods_jax import algorithms, envs, plotting
from pods_jax.comparison import record_training
from pods_jax.evaluation import make_test_bed
from pods_jax.workdir import write_json

VARIANTS = {
    "visited states": {},
    "improved states": {"regression": "improved_states"},
    "first order": {"method": "first_order"},
    "dense, visited states": {"method": "gauss_newton"},
}
OUT = flags.DEFINE_string("out", "scripts/results/pendulums.json", "Where the records go; the figure lies beside.")
ENVIRONMENTS = flags.DEFINE_list("environments", envs.names(), "Names of environments.")
TASKS = flags.DEFINE_list("tasks", ["stop", "stop_at_origin"], "Names of tasks.")
SETTINGS = flags.DEFINE_list("variants", list(VARIANTS)[:3], f"Some of {list(VARIANTS)}.")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the trainings.")
EPOCHS = flags.DEFINE_integer("num_epochs", 100, "Epochs of each training.")


def main(argv: list[str]) -> None:
    """Trains what is missing, one record after the other, and draws the figure."""
    path = pathlib.Path(OUT.value)
    book = json.loads(path.read_text()) if path.exists() else {"records": []}
    book |= {"jax": jax.__version__, "device": f"{jax.devices()[0].device_kind}, {platform.processor()}"}
    done = {(r["environment"], r["task"], r["variant"], r["seed"]) for r in book["records"]}
    for name in ENVIRONMENTS.value:
        for task in TASKS.value:
            wanted = [(v, int(s)) for v in SETTINGS.value for s in SEEDS.value if (name, task, v, int(s)) not in done]
            env = envs.make(name, task)
            if not wanted:
                continue
            test_bed = make_test_bed(env)
            for variant, seed in wanted:
                algorithm = algorithms.make("pods", env, **VARIANTS[variant])
                record = record_training(algorithm, seed, EPOCHS.value, test_bed)
                book["records"].append({"variant": variant, **record})
                write_json(path, book)
                print(name, task, variant, seed, f"gap {100 * record['final']['optimality_gap']:.2f} %", flush=True)
    plotting.save(plotting.comparison(book["records"]), path.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(app.run(main))
