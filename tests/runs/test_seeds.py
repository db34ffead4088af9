"""Several seeds in one program: what each leaves is what its own run leaves; interruption, failure, refusals."""

import json
import shutil
import signal

import jax
import numpy as np
import pytest

from pods_jax.checks import InputError
from pods_jax.runs import experiment, metrics_log, seeds
from pods_jax.runs.configuration import check, default_config
from pods_jax.runs.signals import Interrupted
from pods_jax.storage import checkpoints
from pods_jax.storage.checkpoints import CheckpointError
from scripts import evaluate, plot, train
from tests.faults import toy
from tests.tiny import TINY


def config_for(**changes):
    counts = {"num_epochs": 4, "evaluate_every": 1, "num_test_rollouts": 3}
    return default_config("pods", env={"horizon": 3}, settings=TINY["pods"], **{**counts, **changes})


def state_in(folder, config):
    like = check(config).algorithm.init(jax.random.key(0))
    return checkpoints.restore(folder / "checkpoints", like).state


def assert_same(first, second, config, **tolerances):
    one, other = state_in(first, config), state_in(second, config)
    for leaf, same in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, same = jax.random.key_data(leaf), jax.random.key_data(same)
        np.testing.assert_allclose(leaf, same, **tolerances)
    rows, others = (metrics_log.read(folder / "metrics.jsonl") for folder in (first, second))
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in others]
    for row, same in zip(rows, others, strict=True):
        told = {name for name in row if name.startswith(("train/", "test/"))}
        assert told == {name for name in same if name.startswith(("train/", "test/"))}
        for name in told:
            np.testing.assert_allclose(row[name], same[name], **tolerances, err_msg=name)


class TestToy:
    """What happens between the epochs."""

    @pytest.fixture(autouse=True)
    def installed(self, install_toy):
        install_toy()

    def run(self, folder, num_seeds=3, evaluator=toy.EVALUATOR, **changes):
        return seeds.run(config_for(**changes), folder, num_seeds, evaluator=evaluator)

    @pytest.mark.slow
    def test_each_is_its_own_run(self, tmp_path, capsys):
        assert self.run(tmp_path / "all", seed=5) == [toy.NUMBERS] * 3
        assert "seed_6     epoch    4   return -2   gap 25.00 %" in capsys.readouterr().out
        for number in (5, 6, 7):
            config = config_for(seed=number)
            alone = tmp_path / f"alone_{number}"
            experiment.run(config, alone, evaluator=toy.EVALUATOR)
            together = tmp_path / "all" / f"seed_{number}"
            assert_same(together, alone, config, rtol=0)
            assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}
            assert json.loads((together / "config.json").read_text())["seed"] == number
        assert (tmp_path / "all" / "learning_curves.png").is_file()

    @pytest.mark.slow
    def test_they_go_on_from_the_epoch_that_all_have_saved(self, tmp_path, capsys):
        self.run(tmp_path / "parts", num_epochs=3)
        shutil.rmtree(tmp_path / "parts" / "seed_1" / "checkpoints" / "3")  # as a kill between two saves leaves it
        self.run(tmp_path / "parts")
        assert "seed_0 goes back to epoch 2, which all seeds have" in capsys.readouterr().out
        self.run(tmp_path / "whole")
        for number in range(3):
            folders = (tmp_path / name / f"seed_{number}" for name in ("parts", "whole"))
            assert_same(*folders, config_for(seed=number), rtol=0)

    @pytest.mark.slow
    def test_those_that_are_done_are_only_evaluated(self, tmp_path):
        self.run(tmp_path, num_seeds=1)
        before = (tmp_path / "seed_0" / "metrics.jsonl").read_bytes()
        self.run(tmp_path, num_seeds=2)
        assert (tmp_path / "seed_0" / "metrics.jsonl").read_bytes() == before
        assert checkpoints.epochs(tmp_path / "seed_1" / "checkpoints")[-1] == 4

    @pytest.mark.slow
    def test_a_signal_saves_all_and_the_same_command_goes_on(self, tmp_path):
        sent = []

        def monitor(env, policy, prepared):
            if not sent:  # a second one would end this process
                sent.append(signal.raise_signal(signal.SIGTERM))
            return dict(toy.NUMBERS)

        with pytest.raises(Interrupted, match="saved epoch 1 of each seed"):
            self.run(tmp_path / "parts", evaluator=toy.evaluator(monitor))
        self.run(tmp_path / "parts")
        self.run(tmp_path / "whole")
        for number in range(3):
            folders = (tmp_path / name / f"seed_{number}" for name in ("parts", "whole"))
            assert_same(*folders, config_for(seed=number), rtol=0)

    @pytest.mark.slow
    def test_one_that_fails_stays_where_it_was_sound_and_the_others_go_on(self, tmp_path):
        third = check(config_for()).algorithm
        third = [third.policy(third.update(third.update(third.init(jax.random.key(1)))[0])[0])(None)]

        def monitor(env, policy, prepared):  # of seed 1 after its second epoch
            bad = np.array_equal(policy(None), third[0])
            return toy.NUMBERS | ({"return_mean": float("nan")} if bad else {})

        with pytest.raises(FloatingPointError, match=r"seed_1 \(epochs 2 to 2: .* is nan\); train them alone"):
            self.run(tmp_path, evaluator=toy.evaluator(monitor))
        ends = [checkpoints.epochs(tmp_path / f"seed_{number}" / "checkpoints")[-1] for number in range(3)]
        assert ends == [4, 1, 4]
        experiment.run(config_for(seed=1), tmp_path / "seed_1", evaluator=toy.EVALUATOR)  # alone
        assert checkpoints.epochs(tmp_path / "seed_1" / "checkpoints")[-1] == 4

    def test_what_cannot_be_is_refused(self, tmp_path, capsys):
        experiment.run(config_for(), tmp_path / "single", evaluator=toy.EVALUATOR)
        with pytest.raises(InputError, match="it holds the run of one seed; name another folder"):
            self.run(tmp_path / "single")
        with pytest.raises(InputError, match="num_seeds = 0: must be a whole number, at least 1"):
            self.run(tmp_path / "new", num_seeds=0)
        with pytest.raises(InputError, match=r"config.seed = 'x': must be a whole number"):
            self.run(tmp_path / "new", seed="x")
        assert not (tmp_path / "new").exists()
        flags = ["train.py", "--config=pods", "--num_seeds=2", f"--workdir={tmp_path / 'new'}"]
        assert train.main([*flags, "--dry_run"]) == 2
        assert "dry_run = True: is for one seed; leave out --num_seeds" in capsys.readouterr().err

    @pytest.mark.slow
    def test_one_that_was_trained_alone_cannot_always_go_back(self, tmp_path):
        self.run(tmp_path, num_seeds=2, num_epochs=2)
        experiment.run(config_for(num_epochs=9), tmp_path / "seed_0", evaluator=toy.EVALUATOR)
        with pytest.raises(CheckpointError, match="seed_0/checkpoints holds no checkpoint of epoch 2; there are"):
            self.run(tmp_path, num_seeds=2, num_epochs=10)
        assert checkpoints.epochs(tmp_path / "seed_0" / "checkpoints")[-1] == 9

    @pytest.mark.slow
    def test_the_scripts_know_the_folder_of_all(self, tmp_path, capsys):
        self.run(tmp_path / "all")
        out = tmp_path / "a.png"
        assert plot.main(["plot.py", f"--workdir={tmp_path / 'all'}", f"--out={out}"]) == 0
        assert out.is_file()
        assert evaluate.main(["evaluate.py", f"--workdir={tmp_path / 'all'}"]) == 3
        assert f"it holds those of 3 seeds, such as {tmp_path / 'all' / 'seed_0'}" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_a_tiny_pods_of_three_seeds_is_three_of_one_to_rounding(tmp_path):
    flags = ["--config=pods", "--config.num_epochs=2", "--config.evaluate_every=1", "--config.num_test_rollouts=3"]
    flags += ["--config.env.horizon=5", "--config.algorithm.batch_size=8", "--config.algorithm.guard.size=4"]
    flags += ["--config.algorithm.regression.gradient_steps=4"]
    together = ["train.py", *flags, "--num_seeds=3", f"--workdir={tmp_path / 'all'}"]
    assert train.main(together) == 0
    assert train.main(["train.py", *flags, "--config.seed=2", f"--workdir={tmp_path / 'alone'}"]) == 0
    config = json.loads((tmp_path / "alone" / "config.json").read_text())
    assert_same(tmp_path / "all" / "seed_2", tmp_path / "alone", config, rtol=1e-6, atol=1e-9)
