"""What the README and the documents show is what the package does."""

import json
import pathlib
import re

import jax
import numpy as np
import pytest

from pods_jax.reproduction import best_actions, records, report, scales

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
OWN_ENVIRONMENTS = (ROOT / "docs/own_environments.md").read_text(encoding="utf-8")
OBSERVATIONS = (ROOT / "docs/observations.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_python_runs_from_top_to_bottom(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README + OWN_ENVIRONMENTS, flags=re.DOTALL)
    code = "\n".join(blocks)
    for long, short in (
        ("num_epochs=40", "num_epochs=1"),
        ('make("pods", env)', 'make("pods", env, batch_size=8, guard={"size": 4})'),
        ("evaluate(env, policy)", "evaluate(env, policy, num_rollouts=4)"),
        ("key(2), 500", "key(2), 5"),
    ):
        assert long in code
        code = code.replace(long, short)
    names = {}
    exec(compile(code, "README.md", "exec"), names)  # our own text
    assert "optimality gap" in capsys.readouterr().out
    assert names["by_action"].shape == (1, 2, 1)
    assert names["many"].reward.shape == (5, 50)
    assert names["better"].value > names["better"].value_before
    assert names["own_env"].observation_size == 4 + 12
    assert np.all(np.isfinite(names["own_trajectory"].reward))
    assert names["gentle"].value > names["gentle"].value_before


@pytest.mark.slow
def test_the_python_of_what_a_policy_sees_runs():
    names = {}
    code = "\n".join(re.findall(r"```python\n(.*?)```", OBSERVATIONS, flags=re.DOTALL))
    exec(compile(code, "docs/observations.md", "exec"), names)  # our own text
    env, policy = names["env"], names["algorithm"].policy(names["algorithm"].init(jax.random.key(0)))
    assert names["pods_jax"].rollout(env, policy, env.reset(jax.random.key(1))).action.shape == (50, 1)
    assert names["unknown"].reset(jax.random.key(0)).factors.shape == (1,)


def test_its_tables_are_made_from_the_committed_records():
    folder = ROOT / "scripts/results/reproduction/cpu"
    known = best_actions.beside(records.read(folder / "records.jsonl"), folder / best_actions.NAME)
    known = [row for row in known if row["variant"] in scales.VARIANTS and row["environment"] != scales.SHEET[0]]
    assert report.overview(known, "PODS 500") in RESULTS
    ours = ("PODS 500", "PODS fine-tuned", "Algorithm 1", "first order")
    assert report.table([record for record in known if record["variant"] in ours]) in RESULTS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scripts/results").glob("*/evaluation.json")), ids=lambda p: p.parent.name
)
def test_its_gallery_says_what_the_evaluations_say(path):
    numbers = json.loads(path.read_text(encoding="utf-8"))
    name, task = re.fullmatch(r"(.*_[23]d)_(.*)", path.parent.name).groups()
    (row,) = (line for line in RESULTS.splitlines() if line.startswith(f"| {name} / {task} | `configs/"))
    gap, distance = f"{100 * numbers['optimality_gap']:.2f} %", f"{100 * numbers['terminal_distance']:.1f} cm"
    assert [cell.strip() for cell in row.split("|")[3:5]] == [gap, distance]


@pytest.mark.parametrize("target", ["make train", "make test"])
def test_the_two_commands_exist(target):
    name = target.split()[1]
    assert re.search(rf"^{target}\b", README, flags=re.MULTILINE)
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_it_can_be_read_in_ten_minutes():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_its_links_lead_to_files(path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing
