"""Policies as files that run elsewhere: safetensors, StableHLO, ONNX."""

from pods_jax.export.policy_file import (
    FORMATS,
    LoadedPolicy,
    check_name,
    compare,
    describe,
    description_path,
    load_policy,
    save_policy,
)

__all__ = [
    "FORMATS",
    "LoadedPolicy",
    "check_name",
    "compare",
    "describe",
    "description_path",
    "load_policy",
    "save_policy",
]
