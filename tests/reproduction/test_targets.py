"""Reproductions whose trainings are a toy: what is trained, what is not repeated, what is left on disk."""

import csv
import dataclasses
import json
import math
import shutil

import jax
import jax.numpy as jnp
import pytest

from pods_jax import InputError, algorithms
from pods_jax.algorithms import bptt
from pods_jax.reproduction import best_actions, claims, records, scales, targets
from pods_jax.runs import experiment
from pods_jax.storage import manifest
from scripts import reproduce as script
from tests.faults import toy

NUMBERS = {
    **toy.NUMBERS,
    **{f"{name}{end}": 0.1 for name in records.QUANTITIES[1:] for end in ("", "_std")},
}
FEW = ("PODS 500", "BPTT")


def make_toy(env, config):
    """A toy that says that it simulated a hundred steps in each epoch."""
    algorithm = toy.make_toy(env, config)

    def update(state):
        state, numbers = algorithm.update(state)
        return state, numbers | {"environment_steps": jnp.asarray(100)}

    return dataclasses.replace(algorithm, update=update)


@dataclasses.dataclass
class Toys:
    """Reproductions all of whose trainings are toys."""

    folders: list  # of the trainings that were run
    evaluation: dict  # of each training
    best: list  # magnitudes of the best actions, one for each time they are measured

    @property
    def work(self):
        return targets.Work(self.run, lambda env, num_rollouts: dict(MEASURED), self.measure_best)

    def run(self, config, workdir, console):
        self.folders.append(workdir.name)
        evaluator = toy.evaluator(lambda env, policy, prepared: dict(NUMBERS), self.evaluation)
        return experiment.run(config, workdir, console, evaluator=evaluator)

    def measure_best(self, env, num_rollouts):
        return NUMBERS | {"action_magnitude": self.best.pop(0)}

    def reproduce(self, *arguments, **options):
        return targets.reproduce(*arguments, **options, work=self.work)

    def script(self, *arguments):
        return script.main(["scripts/reproduce.py", *arguments], self.work)


MEASURED = {"indefinite_share": 0.5, "jacobian_ratio": 2.0}


@pytest.fixture
def toys(install_toy):
    install_toy(make_toy, algorithms.names())
    return Toys([], dict(NUMBERS), [0.25])


@pytest.mark.slow
def test_targets_share_trainings_and_finished_ones_are_not_repeated(toys, tmp_path):
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    assert toys.folders == ["pendulum_2d_stop_at_origin_PODS_500_0", "pendulum_2d_stop_at_origin_BPTT_0"]
    toys.reproduce(["figure_3", "table_1"], "quick", tmp_path, FEW, ["pendulum_2d"])
    assert len(toys.folders) == 2


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on(toys, tmp_path):
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    book = tmp_path / "quick" / "records.jsonl"
    first, last = book.read_text().splitlines()
    book.write_text(f"{first}\n{last[:40]}")  # killed while the second was written
    (tmp_path / "quick/trainings/pendulum_2d_stop_at_origin_BPTT_0/evaluation.json").unlink()
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    assert toys.folders[2:] == ["pendulum_2d_stop_at_origin_BPTT_0"]
    assert [record["variant"] for record in records.read(book)] == [*FEW]


@pytest.mark.slow
def test_a_record_replaces_its_training_wherever_it_is_taken(toys, tmp_path):
    toys.reproduce(["figure_3"], "quick", tmp_path / "here", FEW)
    (tmp_path / "there" / "quick").mkdir(parents=True)
    shutil.copy(tmp_path / "here/quick/records.jsonl", tmp_path / "there/quick")
    toys.reproduce(["figure_3"], "quick", tmp_path / "there", FEW)
    assert len(toys.folders) == 2
    claimed = [(tmp_path / place / "quick/figure_3/claims.md").read_text() for place in ("here", "there")]
    assert claimed[0] == claimed[1]


@pytest.mark.slow
def test_a_page_has_all_records_not_only_the_last_ones(toys, tmp_path):
    for variant in FEW:
        toys.reproduce(["figure_3"], "quick", tmp_path, [variant])
    assert len(toys.folders) == 2
    assert "above that of BPTT" in (tmp_path / "quick/figure_3/claims.md").read_text()


@pytest.mark.slow
def test_other_settings_are_not_mistaken_for_the_same_training(toys, tmp_path, monkeypatch):
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    monkeypatch.setitem(scales.TINY, "bptt", {"batch_size": 8})
    with pytest.raises(InputError, match="batch_size"):
        toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    shutil.rmtree(tmp_path / "quick" / "trainings")
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    assert toys.folders[-1] == "pendulum_2d_stop_at_origin_BPTT_0"
    known = records.read(tmp_path / "quick" / "records.jsonl")
    assert [record["config"]["algorithm"]["batch_size"] for record in known] == [scales.TINY["pods"]["batch_size"], 8]


@pytest.mark.slow
def test_a_target_leaves_data_figure_and_claims_and_all_of_them_a_page(toys, tmp_path, capsys):
    arguments = ["--figure=3,8", "--table=1", "--scale=quick", f"--workdir={tmp_path}", f"--variants={','.join(FEW)}"]
    assert toys.script(*arguments) == 0
    folder, lines = tmp_path / "quick" / "table_1", (tmp_path / "quick" / "records.jsonl").read_text().splitlines()
    first, second = [json.loads(line) for line in lines]
    assert (first["variant"], second["variant"]) == FEW
    assert first["epoch"] == [0, 2, 4]
    assert first["steps"] == [0, 200, 400]
    assert first["seconds"][0] == 0 < first["seconds"][1] < first["seconds"][2]
    assert first["made"]["commit"] == manifest.commit()
    rows = list(csv.DictReader((folder / "records.csv").open()))
    assert len(rows) == 2 * 3
    assert float(rows[0]["return"]) == NUMBERS["return_mean"]
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "at least that of BPTT" in (folder / "claims.md").read_text()
    page = (tmp_path / "quick" / "results.md").read_text()
    assert "`python scripts/reproduce.py --table=1 --figure=3,8 --scale=quick`" in page
    assert (folder / "claims.md").read_text().strip() in page
    assert page.count("![") == 3
    assert "no result" in page
    assert f"jax {jax.__version__}" in page
    assert "| pendulum_2d / stop_at_origin: the exact Hessian is often indefinite | often | in 50 %" in page
    assert "table_1: " in capsys.readouterr().out


@pytest.mark.slow
def test_settings_are_tried_once_and_listed(toys, tmp_path):
    tried = ["BPTT (as it is)", "BPTT (optimizer.learning_rate 0.001)"]
    toys.reproduce(["table_tuning"], "quick", tmp_path, tried)
    assert toys.folders == [f"pendulum_2d_stop_at_origin_{name.replace(' ', '_')}_0" for name in tried]
    assert not (tmp_path / "quick/table_tuning/figure.png").exists()
    page = (tmp_path / "quick/results.md").read_text()
    assert "## Table tuning: settings of the baselines" in page
    assert "of 1 others the best is" in page
    assert "![" not in page


@pytest.mark.slow
def test_a_gap_that_is_not_known_is_kept_as_such(toys, tmp_path):
    toys.evaluation["optimality_gap"] = math.nan
    toys.reproduce(["figure_3"], "quick", tmp_path, FEW)
    record = records.read(tmp_path / "quick" / "records.jsonl")[-1]
    assert math.isnan(record["final"]["optimality_gap"])
    assert "| - |" in (tmp_path / "quick" / "results.md").read_text()


@pytest.mark.slow
def test_a_default_that_has_changed_is_another_setting(toys, tmp_path, install_toy):
    toys.reproduce(["figure_3"], "quick", tmp_path, ["BPTT"])
    shutil.rmtree(tmp_path / "quick" / "trainings")
    before = records.complete(scales.configuration(scales.get("quick"), ("pendulum_2d", "stop_at_origin"), "BPTT", 0))
    optimizer = bptt.Config().optimizer
    assert before["algorithm"]["optimizer"]["learning_rate"] == optimizer.learning_rate
    install_toy(make_toy, ["bptt"], optimizer=dataclasses.replace(optimizer, learning_rate=0.5))
    toys.reproduce(["figure_3"], "quick", tmp_path, ["BPTT"])
    assert len(toys.folders) == 2


@pytest.mark.slow
def test_what_is_missing_can_be_skipped(toys, tmp_path, capsys):
    arguments = ["--figure=3", "--missing=skip", f"--workdir={tmp_path}"]
    assert toys.script(*arguments) == 2
    assert "no training of it yet" in capsys.readouterr().err
    toys.reproduce(["figure_3"], "quick", tmp_path, ["BPTT"])
    assert toys.script(*arguments) == 0
    assert len(toys.folders) == 1
    assert "| BPTT |" in (tmp_path / "quick" / "results.md").read_text()


@pytest.mark.slow
def test_the_best_actions_stand_beside_what_was_trained(toys, tmp_path):
    variants, folder = ["PODS 500", "SAC"], tmp_path / "quick" / "figure_10"
    toys.reproduce(["figure_10"], "quick", tmp_path, variants)
    assert "the best actions 0.25" in (folder / "claims.md").read_text()
    assert "best" not in json.loads((tmp_path / "quick" / "records.jsonl").read_text().splitlines()[0])
    toys.best.append(0.5)
    toys.reproduce(["figure_10"], "quick", tmp_path, variants)
    assert "the best actions 0.25" in (folder / "claims.md").read_text()
    known = json.loads((tmp_path / "quick" / best_actions.NAME).read_text())
    known["pendulum_2d / stop_at_origin"]["env"]["time_step"] = 0.1  # another environment
    (tmp_path / "quick" / best_actions.NAME).write_text(json.dumps(known))
    toys.reproduce(["figure_10"], "quick", tmp_path, variants, missing="skip")
    assert "the best actions" not in (folder / "claims.md").read_text()
    toys.reproduce(["figure_10"], "quick", tmp_path, variants)
    assert "the best actions 0.5" in (folder / "claims.md").read_text()
    assert len(toys.folders) == 2


def test_every_target_has_claims():
    assert set(claims.CLAIMS) == set(targets.TARGETS)


def test_unknown_names_are_refused(tmp_path, capsys):
    for flag, words in (("--figure=5", "figure_5"), ("--scale=large", "large"), ("--variants=PODS", "PODS 500")):
        assert script.main(["scripts/reproduce.py", flag, f"--workdir={tmp_path}"]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing is left"):
        targets.reproduce(["figure_6"], "quick", tmp_path, environments=["rope_3d"])


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_everything_at_the_quick_scale(tmp_path):
    assert script.main(["scripts/reproduce.py", f"--workdir={tmp_path}"]) == 0
    page = (tmp_path / "quick" / "results.md").read_text()
    assert page.count("![") == len(targets.TARGETS)
