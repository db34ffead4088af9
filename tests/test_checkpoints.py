import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from pods_jax import checkpoints
from pods_jax.checkpoints import CheckpointError


@struct.dataclass
class TrainState:
    params: Any
    optimizer_state: Any
    key: jax.Array
    epoch: jax.Array


def make_state(seed, width=3):
    params = {"layer": {"kernel": jax.random.normal(jax.random.key(seed), (2, width)), "bias": jnp.zeros(width)}}
    optimizer_state = optax.adam(1e-3).init(params)
    return TrainState(params, optimizer_state, jax.random.key(seed + 100), jnp.int32(seed))


def bits(tree):
    """Every number of a state as raw bytes; equal only for states that are the same to the last bit."""

    def raw(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return str(leaf.dtype), np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()

    return [raw(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def test_the_state_comes_back_bit_for_bit(folder):
    state = make_state(7)
    checkpoints.save(folder, 5, state)
    epoch, restored = checkpoints.restore(folder, like=make_state(0))
    assert epoch == 5
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert bits(restored) == bits(state)
    # The key is still a typed key, and draws the same numbers.
    assert jax.random.normal(restored.key) == jax.random.normal(state.key)


def test_the_latest_is_restored_and_the_oldest_removed(folder):
    for epoch in (5, 10, 15):
        checkpoints.save(folder, epoch, make_state(epoch))
    assert checkpoints.latest_epoch(folder) == 15
    assert {entry.name for entry in folder.iterdir()} == {"10", "15"}
    assert bits(checkpoints.restore(folder, make_state(0))[1]) == bits(make_state(15))


def test_an_unfinished_save_is_ignored_and_then_cleaned_up(folder):
    checkpoints.save(folder, 5, make_state(5))
    (folder / "10.orbax-checkpoint-tmp").mkdir()
    assert checkpoints.latest_epoch(folder) == 5
    assert checkpoints.restore(folder, make_state(0))[0] == 5
    assert (folder / "10.orbax-checkpoint-tmp").exists()  # reading changes nothing
    checkpoints.save(folder, 10, make_state(10))
    assert {entry.name for entry in folder.iterdir()} == {"5", "10"}


def test_a_relative_folder_works(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    checkpoints.save(pathlib.Path("checkpoints"), 1, make_state(1))
    assert checkpoints.restore(pathlib.Path("checkpoints"), make_state(0))[0] == 1


def test_there_may_be_no_checkpoint(folder):
    assert checkpoints.latest_epoch(folder) is None
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.restore(folder, make_state(0))
    assert not folder.exists()


def test_a_saved_epoch_is_not_overwritten(folder):
    checkpoints.save(folder, 5, make_state(5))
    with pytest.raises(CheckpointError, match="already holds a checkpoint of epoch 5"):
        checkpoints.save(folder, 5, make_state(6))
    assert bits(checkpoints.restore(folder, make_state(0))[1]) == bits(make_state(5))


def test_a_state_of_another_shape_or_structure_is_refused(folder):
    checkpoints.save(folder, 5, make_state(5))
    for other in (make_state(0, width=4), make_state(0).replace(optimizer_state=())):
        with pytest.raises(CheckpointError, match=r"checkpoints/5 cannot be used .*new workdir"):
            checkpoints.restore(folder, like=other)


def test_damaged_files_are_reported_in_one_line(folder):
    checkpoints.save(folder, 5, make_state(5))
    for name in ("meta/metadata", "state/_METADATA", "state/manifest.ocdbt"):
        content = (folder / "5" / name).read_bytes()
        (folder / "5" / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(CheckpointError, match="checkpoints/5 cannot be used") as caught:
            checkpoints.restore(folder, make_state(0))
        assert "\n" not in str(caught.value)
        (folder / "5" / name).write_bytes(content)
    assert checkpoints.restore(folder, make_state(0))[0] == 5


def test_a_newer_format_is_refused_by_its_number(folder):
    checkpoints.save(folder, 5, make_state(5))
    meta = folder / "5" / "meta" / "metadata"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="it has format 99, and this version of pods_jax reads 1"):
        checkpoints.restore(folder, make_state(0))


def test_a_failing_disk_is_an_os_error(folder):
    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="the checkpoint of epoch 5 could not be written"):
        checkpoints.save(folder, 5, make_state(5))
