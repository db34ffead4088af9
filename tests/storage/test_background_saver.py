import threading

import jax.numpy as jnp
import pytest

from pods_jax.storage import checkpoints
from pods_jax.storage.background_saver import Saver


def make_state(number):
    return {"params": jnp.full((2, 3), float(number)), "epoch": jnp.int32(number)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def test_training_goes_on_while_it_saves(folder, monkeypatch):
    may_write, original = threading.Event(), checkpoints.save

    def slow(*arguments):
        assert may_write.wait(60)
        original(*arguments)

    monkeypatch.setattr(checkpoints, "save", slow)
    with Saver(folder) as saver:
        saver.save(5, make_state(5), 0.0, {})  # returns at once
        assert checkpoints.latest_epoch(folder) is None
        may_write.set()
        saver.wait()
        assert checkpoints.latest_epoch(folder) == 5
        saver.save(10, make_state(10), 1.0, {"rollbacks": 0})
    assert checkpoints.epochs(folder) == [5, 10]
    assert checkpoints.restore(folder, make_state(0)).record["notes"] == {"rollbacks": 0}


@pytest.mark.parametrize("then", ["save", "wait", "leave"])
def test_a_failure_is_raised_by_what_comes_next(folder, then):
    def use():
        with Saver(folder) as saver:
            saver.save(5, make_state(5), 0.0, {})
            if then == "save":
                saver.save(10, make_state(10), 0.0, {})
            if then == "wait":
                saver.wait()

    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="the checkpoint of epoch 5 could not be written"):
        use()


def test_its_failure_does_not_hide_another(folder):
    def use():
        with Saver(folder) as saver:
            saver.save(5, make_state(5), 0.0, {})
            raise ValueError("something else")

    folder.write_text("a file where the folder should be")
    with pytest.raises(ValueError, match="something else"):
        use()
