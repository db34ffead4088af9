import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from pods_jax.storage import checkpoints, checksums
from pods_jax.storage.checkpoints import CheckpointError


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
    found = checkpoints.restore(folder, like=make_state(0))
    restored = found.state
    assert found.epoch == 5
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert bits(restored) == bits(state)
    # The key is still a typed key, and draws the same numbers.
    assert jax.random.normal(restored.key) == jax.random.normal(state.key)


def test_the_latest_three_and_the_best_are_kept(folder):
    for epoch, score in ((1, 0.0), (2, 5.0), (3, 5.0), (4, 1.0), (5, 2.0), (6, 4.0)):
        checkpoints.save(folder, epoch, make_state(epoch), score, {"rollbacks": epoch})
    assert checkpoints.epochs(folder) == [3, 4, 5, 6]
    latest = checkpoints.restore(folder, make_state(0))
    assert bits(latest.state) == bits(make_state(6))
    assert (latest.record["best_epoch"], latest.record["best_score"]) == (3, 5.0)
    assert latest.record["notes"] == {"rollbacks": 6}
    assert bits(checkpoints.restore(folder, make_state(0), "best").state) == bits(make_state(3))
    assert checkpoints.restore(folder, make_state(0), "5").epoch == 5
    with pytest.raises(CheckpointError, match="no checkpoint of epoch 2; there are 3, 4, 5, 6"):
        checkpoints.restore(folder, make_state(0), "2")


def test_an_unfinished_save_is_ignored_and_then_cleaned_up(folder):
    checkpoints.save(folder, 5, make_state(5))
    (folder / "10.orbax-checkpoint-tmp").mkdir()
    assert checkpoints.latest_epoch(folder) == 5
    assert checkpoints.restore(folder, make_state(0)).epoch == 5
    assert (folder / "10.orbax-checkpoint-tmp").exists()  # reading changes nothing
    checkpoints.save(folder, 10, make_state(10))
    assert {entry.name for entry in folder.iterdir()} == {"5", "10"}


def test_a_relative_folder_works(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    checkpoints.save(pathlib.Path("checkpoints"), 1, make_state(1))
    assert checkpoints.restore(pathlib.Path("checkpoints"), make_state(0)).epoch == 1


def test_there_may_be_no_checkpoint(folder):
    assert checkpoints.latest_epoch(folder) is None
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.restore(folder, make_state(0))
    assert not folder.exists()


def test_a_saved_epoch_is_not_overwritten(folder):
    checkpoints.save(folder, 5, make_state(5))
    with pytest.raises(CheckpointError, match="already holds a checkpoint of epoch 5"):
        checkpoints.save(folder, 5, make_state(6))
    assert bits(checkpoints.restore(folder, make_state(0)).state) == bits(make_state(5))


def test_a_state_of_another_shape_structure_or_type_is_refused(folder):
    state = make_state(5)
    checkpoints.save(folder, 5, state)
    others = {
        r"\['bias'\]: float64 \[3\] is stored, float64 \[4\] expected": make_state(0, width=4),
        r"is stored, nothing expected": state.replace(optimizer_state=()),
        r"float64 \[3\] is stored, float32 \[3\] expected": jax.tree.map(
            lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf, state
        ),
    }
    for message, other in others.items():
        with pytest.raises(CheckpointError, match=r"(?s)checkpoints/5 cannot be used.*" + message):
            checkpoints.restore(folder, like=other)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(folder):
    for epoch in (5, 10):
        checkpoints.save(folder, epoch, make_state(epoch))
    for name in ("record/metadata", "state/_METADATA", "state/manifest.ocdbt"):
        content = (folder / "10" / name).read_bytes()
        (folder / "10" / name).write_bytes(content[: len(content) // 2])
        warnings = []
        found = checkpoints.restore(folder, make_state(0), warn=warnings.append)
        assert (found.epoch, bits(found.state)) == (5, bits(make_state(5)))
        (warning,) = warnings
        assert warning.startswith(f"damaged checkpoint {folder / '10'}: ")
        assert warning.endswith("; using that of epoch 5")
        (folder / "10" / name).write_bytes(content)
    assert checkpoints.restore(folder, make_state(0)).epoch == 10


def test_a_flipped_bit_in_the_numbers_is_found_and_named(folder):
    checkpoints.save(folder, 5, make_state(5))
    (data,) = (path for path in (folder / "5" / "state" / "d").iterdir())
    flip(data, 8 * (data.stat().st_size // 2))
    with pytest.raises(
        CheckpointError, match=r"(?s)no checkpoint can be used, and nothing was changed.*checkpoints/5"
    ):
        checkpoints.restore(folder, make_state(0))
    with pytest.raises(CheckpointError, match="checkpoints/5 cannot be used"):
        checkpoints.restore(folder, make_state(0), "5")


def test_damage_does_not_stop_the_saving(folder):
    for epoch in (5, 10, 15):
        checkpoints.save(folder, epoch, make_state(epoch), score=epoch)
    (folder / "15" / "record" / "metadata").write_bytes(b"")
    aside = folder.parent / "damaged"
    checkpoints.set_aside(folder, 10, aside)
    checkpoints.save(folder, 15, make_state(16), score=1.0)
    (folder / "15" / "record" / "metadata").write_bytes(b"")
    checkpoints.set_aside(folder, 10, aside)
    assert sorted(path.name for path in aside.iterdir()) == ["15-0", "15-1"]
    checkpoints.save(folder, 15, make_state(17), score=1.0)
    (folder / "15" / "record" / "metadata").write_bytes(b"")
    checkpoints.save(folder, 20, make_state(20), score=2.0)
    assert checkpoints.restore(folder, make_state(0)).record["best_epoch"] == 10


def test_a_record_that_was_changed_is_damaged(folder):
    checkpoints.save(folder, 5, make_state(5), score=-2.0)
    path = folder / "5" / "record" / "metadata"
    path.write_text(path.read_text().replace('"best_epoch": 5', '"best_epoch": 4'))
    with pytest.raises(CheckpointError, match="its record does not match the sha256 of it"):
        checkpoints.restore(folder, make_state(0))


def test_a_renamed_checkpoint_is_not_that_epoch(folder):
    checkpoints.save(folder, 5, make_state(5))
    (folder / "5").rename(folder / "50")
    with pytest.raises(CheckpointError, match="it was saved as that of epoch 5"):
        checkpoints.restore(folder, make_state(0))


def test_a_newer_format_is_refused_by_its_number(folder):
    checkpoints.save(folder, 5, make_state(5))
    path = folder / "5" / "record" / "metadata"
    record = checksums.unseal(json.loads(path.read_text()))
    path.write_text(json.dumps(checksums.seal(record | {"format_version": 99})))
    with pytest.raises(CheckpointError, match=r"it has format 99, and this version of pods_jax reads \d; install"):
        checkpoints.restore(folder, make_state(0))


def test_a_failing_disk_is_an_os_error(folder):
    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="the checkpoint of epoch 5 could not be written"):
        checkpoints.save(folder, 5, make_state(5))


def test_arrays_without_numbers_come_back_as_they_were(tmp_path):
    state = {"past": jnp.zeros((3, 0, 9)), "count": jnp.asarray(4), "actions": jnp.zeros((0, 2), jnp.float32)}
    checkpoints.save(tmp_path, 1, state)
    restored = checkpoints.restore(tmp_path, jax.tree.map(jnp.zeros_like, state)).state
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert jax.tree.map(jnp.shape, restored) == jax.tree.map(jnp.shape, state)
