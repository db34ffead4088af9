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
# # Results
#
# Drawn from the records in `scripts/results/reproduction/`, which `python scripts/reproduce.py --scale=cpu` makes, and from
# your own in `runs/reproduction/` where there are any. Nothing is trained here.

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
import pathlib

from IPython.display import Markdown, display

from pods_jax.reproduction import records, report
from pods_jax.visual import figures

root = next(path for path in (pathlib.Path.cwd(), *pathlib.Path.cwd().parents) if (path / "scripts").is_dir())
known = records.read(root / "scripts/results/reproduction/cpu/records.jsonl")
print(report.origin(known))

# %% [markdown]
# How far each training is from the best actions that are known, as it goes on; dotted: one percent.

# %%
figures.comparison(known)

# %%
Markdown(report.table(known))

# %% [markdown]
# The tables and figures of the paper, at each scale that was run.

# %%
for path in sorted(root.glob("runs/reproduction/*/results.md")):
    display(Markdown(path.read_text(encoding="utf-8")))
