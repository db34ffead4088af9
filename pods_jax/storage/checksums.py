"""Fingerprints of what is stored: no storage format notices a flipped bit in the numbers by itself.

Orbax restores a file in which one bit was flipped without a word, with wrong numbers. A sha256 of each leaf, stored
beside the state, tells; and the record that holds them is sealed by one of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pods_jax.devices.host import to_host

Leaves = Mapping[str, list[Any]]
"""Path of a leaf -> [type, shape, sha256 of its bytes]; types and shapes in the form that JSON gives back."""


def of_leaves(tree: Any) -> Leaves:
    """Returns the fingerprint of each leaf of a tree of arrays; random keys by their data."""
    return {
        jax.tree_util.keystr(path): [str(leaf.dtype), list(leaf.shape), hashlib.sha256(_raw(leaf)).hexdigest()]
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def mismatches(stored: Leaves, like: Any) -> list[str]:
    """Lists the leaves that differ from those of `like` in name, type or shape, as `path: stored, expected`."""
    expected = {
        jax.tree_util.keystr(path): [str(leaf.dtype), list(leaf.shape)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(like)
    }
    found = []
    for path in sorted({*stored, *expected}):
        before, now = stored.get(path, ["nothing"])[:2], expected.get(path, ["nothing"])
        if before != now:
            found.append(f"{path}: {_text(before)} is stored, {_text(now)} expected")
    return found


def damaged(stored: Leaves, tree: Any) -> list[str]:
    """Lists the paths of the leaves whose bytes are not those that were stored."""
    return [path for path, fingerprint in of_leaves(tree).items() if stored.get(path) != fingerprint]


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record together with its fingerprint."""
    return {"record": record, "sha256": of_json(record)}


def unseal(sealed: Any) -> dict[str, Any]:
    """Returns the record of `seal`; raises ValueError if it is not what was sealed."""
    record = sealed.get("record") if isinstance(sealed, Mapping) else None
    if not isinstance(record, dict) or sealed.get("sha256") != of_json(record):
        raise ValueError("its record does not match the sha256 of it")
    return record


def of_json(record: Mapping[str, Any]) -> str:
    """Returns the sha256 of a record in its JSON form, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _raw(leaf: jax.Array) -> bytes:
    return np.ascontiguousarray(to_host(leaf)).tobytes()


def _text(kind: list[Any]) -> str:
    return " ".join(map(str, kind))
