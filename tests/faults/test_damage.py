"""Checkpoints whose files are damaged: never restored to something else than what was saved."""

import random
import shutil

import jax
import jax.numpy as jnp
import optax
import pytest

from pods_jax.storage import checkpoints
from pods_jax.storage.checkpoints import CheckpointError
from tests.faults.processes import fingerprint


def make_state(seed):
    params = {"kernel": jax.random.normal(jax.random.key(seed), (40, 30)), "bias": jnp.zeros(30)}
    return {
        "params": params,
        "adam": optax.adam(1e-3).init(params),
        "key": jax.random.key(seed),
        "epoch": jnp.int32(7),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with one checkpoint, to be copied, and what was saved in it."""
    folder = tmp_path_factory.mktemp("damage") / "checkpoints"
    state = make_state(3)
    checkpoints.save(folder, 7, state)
    return folder, fingerprint(state)


def flip(path, draw):
    content = bytearray(path.read_bytes())
    bit = draw.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def truncate(path, draw):
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def delete(path, draw):
    path.unlink()


def outcome(saved, tmp_path, damage, draw, largest_only=False):
    """What restoring gives after one damage: "refused" or "harmless"; fails on a wrong state."""
    folder, expected = saved
    copy = tmp_path / "checkpoints"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    chosen = max(files, key=lambda path: path.stat().st_size) if largest_only else draw.choice(files)
    damage(chosen, draw)
    try:
        found = checkpoints.restore(copy, make_state(0))
    except CheckpointError:
        return "refused"
    assert (found.epoch, fingerprint(found.state)) == (7, expected), f"{damage.__name__} of {chosen} went unnoticed"
    return "harmless"


def outcomes(saved, tmp_path, num_flips, num_others):
    draw = random.Random(num_flips)
    damages = [flip] * num_flips + [truncate, delete] * (num_others // 2)
    found = [outcome(saved, tmp_path, damage, draw) for damage in damages]
    return found.count("refused"), found.count("harmless")


def test_damage_is_refused_or_harmless(saved, tmp_path):
    outcomes(saved, tmp_path, num_flips=10, num_others=6)


@pytest.mark.parametrize("damage", [truncate, delete])
def test_numbers_that_are_cut_or_gone_are_refused(saved, tmp_path, damage):
    """Which small file a drawn damage hits depends on Orbax's random names; the largest file holds the numbers."""
    assert outcome(saved, tmp_path, damage, random.Random(0), largest_only=True) == "refused"


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_sixty_flips_and_thirty_truncations_and_deletions_restore_nothing_wrong(saved, tmp_path):
    refused, harmless = outcomes(saved, tmp_path, num_flips=60, num_others=30)
    assert refused > 0
    assert harmless > 0
    print(f"{refused} damages refused, {harmless} harmless, 0 restored wrongly")
