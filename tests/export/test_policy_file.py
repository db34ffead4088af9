"""A policy in a file: the same function, and nothing that was damaged or mixed up is run."""

import dataclasses
import errno
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs, export
from pods_jax.checks import InputError
from pods_jax.export import policy_file
from pods_jax.policies.network import PolicyNetwork, standardize
from pods_jax.policies.policy_model import PolicyModel
from pods_jax.storage import checksums

PACKAGES = {"safetensors": "safetensors", "stablehlo": "flatbuffers", "onnx": "onnxruntime"}


@pytest.fixture(scope="module")
def env():
    return envs.make("pendulum_3d", horizon=5)


@pytest.fixture(scope="module")
def policy(env):
    key_network, key_output, key_observations = jax.random.split(jax.random.key(3), 3)
    network = PolicyNetwork((16, 8), env.action_size)
    observations = 3 + 2 * jax.random.normal(key_observations, (50, env.observation_size))
    variables = standardize(network.init(key_network, observations[0], env.action_limit), observations)
    kernel = variables["params"]["Dense_2"]["kernel"]
    # Larger than at the start, so that actions reach from limit to limit.
    variables["params"]["Dense_2"]["kernel"] = jax.random.normal(key_output, kernel.shape, kernel.dtype)
    return PolicyModel(env, network).policy(variables)


@pytest.fixture(scope="module", params=export.FORMATS)
def saved(request, tmp_path_factory, env, policy):
    pytest.importorskip(PACKAGES[request.param], reason=f"pip install 'pods_jax[{request.param}]' to test it")
    path = tmp_path_factory.mktemp("policy") / f"policy.{request.param}"
    assert export.save_policy(str(path), env, policy, request.param, {"epoch": 4}) <= 1e-6
    return path


def copied(saved, folder):
    for path in (saved, export.description_path(saved)):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / saved.name


@pytest.mark.slow
def test_a_reloaded_policy_is_the_same_function(saved, env, policy):
    loaded = export.load_policy(saved, env)
    observations = 3 + 2 * jax.random.normal(jax.random.key(9), (20, env.observation_size))
    expected = jnp.stack([policy(one) for one in observations])
    assert np.ptp(expected) > 0.5 * float(env.action_limit[0])  # it would not do to compare zeros
    np.testing.assert_allclose([loaded(one) for one in observations], expected, atol=1e-5)
    state = env.reset(jax.random.key(0))
    followed, original = pods_jax.rollout(env, loaded, state), pods_jax.rollout(env, policy, state)
    np.testing.assert_allclose(followed.action, original.action, atol=1e-4)
    with pytest.raises(InputError, match="observation has shape"):
        loaded(jnp.zeros(3))


@pytest.mark.slow
def test_the_description_says_what_the_numbers_mean(saved, env):
    description = export.load_policy(saved).description
    layout = description["observation"]["layout"]
    state = env.reset(jax.random.key(1))
    observed, first = env.observe(state), 0
    parts = {}
    for block in layout:
        parts[block["name"]] = observed[first : first + block["size"]]
        first += block["size"]
    assert first == env.observation_size
    np.testing.assert_array_equal(parts["handle"], state.handle)
    np.testing.assert_array_equal(parts["velocity"], state.velocity.reshape(-1))
    assert [block["unit"] for block in layout] == ["m", "m", "m/s"]
    assert description["action"] == {"size": 3, "unit": "m/s", "limit": np.asarray(env.action_limit).tolist()}
    assert description["rate"]["value"] == pytest.approx(1 / env.time_step)
    assert description["notes"] == {"epoch": 4}
    assert description["versions"]["jax"] == jax.__version__


def test_units_and_meaning_are_those_that_the_environment_gives(policy, env):
    silent = env.replace(action_unit="", functions=dataclasses.replace(env.functions, observation_layout=None))
    description = export.describe(silent, policy, "onnx")
    assert description["action"]["unit"] == "unknown"
    size = env.observation_size
    layout = [{"name": "observation", "unit": "unknown", "size": size, "meaning": "", "shape": (size,)}]
    assert description["observation"]["layout"] == layout
    assert export.describe(env.replace(action_unit="N"), policy, "onnx")["action"]["unit"] == "N"


@pytest.mark.slow
def test_damage_anywhere_is_refused(saved, tmp_path):
    size = saved.stat().st_size
    for position in np.linspace(0, size - 1, 12).astype(int):
        path = copied(saved, tmp_path)
        content = bytearray(path.read_bytes())
        content[position] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            export.load_policy(path)
        path.write_bytes(bytes(content[:position]))
        with pytest.raises(InputError, match="damaged"):
            export.load_policy(path)


def test_a_damaged_description_is_refused(saved, tmp_path):
    path = copied(saved, tmp_path)
    place = export.description_path(path)
    text = place.read_text()
    for wrong in (text.replace("m/s", "m/h", 1), text[:100], "", "[]"):
        place.write_text(wrong)
        with pytest.raises(InputError, match="damaged"):
            export.load_policy(path)
    place.unlink()
    with pytest.raises(InputError, match="no such file"):
        export.load_policy(path)


def test_files_of_the_first_version_which_knew_no_encoder_are_read(saved, tmp_path, env, policy):
    path = copied(saved, tmp_path)
    place = export.description_path(path)
    record = json.loads(place.read_text())["record"] | {"format_version": 1}
    assert record["network"].pop("encoder") == "mlp"
    for block in record["observation"]["layout"]:
        del block["shape"]
    place.write_text(json.dumps(checksums.seal(record)))
    seen = 3 + jax.random.normal(jax.random.key(9), (env.observation_size,))
    np.testing.assert_allclose(export.load_policy(path, env)(seen), policy(seen), atol=1e-10)


def test_another_version_or_environment_is_refused(saved, tmp_path, env):
    path = copied(saved, tmp_path)
    place = export.description_path(path)
    record = json.loads(place.read_text())["record"] | {"format_version": 99}
    place.write_text(json.dumps(checksums.seal(record)))
    with pytest.raises(InputError, match="format 99"):
        export.load_policy(path)
    record = json.loads(place.read_text())["record"] | {"format_version": 1, "format": "of_tomorrow"}
    place.write_text(json.dumps(checksums.seal(record)))
    with pytest.raises(InputError, match="format = 'of_tomorrow': must be one of safetensors, stablehlo, onnx"):
        export.load_policy(path)
    other = envs.make("pendulum_3d", task="stop_at_origin", action_limit=0.5)
    with pytest.raises(InputError, match=r"another environment: task stop, now stop_at_origin; action limit"):
        export.load_policy(saved, other)


def test_what_cannot_be_exported_is_refused(tmp_path, env, policy):
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        export.save_policy(tmp_path / "a.onx", env, policy, "onx")
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export.save_policy(tmp_path / "a.bin", env, policy, "onnx")
    with pytest.raises(InputError, match="must be the policy of a train state"):
        export.save_policy(tmp_path / "a.onnx", env, lambda observation: observation[:2], "onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("format", "extra"), [("safetensors", "export"), ("stablehlo", "export"), ("onnx", "onnx")])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, env, policy, format, extra):
    for module in ("safetensors.numpy", "flatbuffers", "onnx"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"is not installed: pip install 'pods_jax\[{extra}\]'"):
        export.save_policy(tmp_path / f"a.{format}", env, policy, format)


def test_a_refused_export_leaves_the_good_files_as_they_were(monkeypatch, saved, tmp_path, env, policy):
    path = copied(saved, tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    format = path.suffix[1:]
    with monkeypatch.context() as patch:
        patch.setattr(policy_file, "compare", lambda *arguments: float("nan"))
        with pytest.raises(FloatingPointError, match=r"differs from the policy by nan .*; nothing was replaced"):
            export.save_policy(path, env, policy, format)
    for wrong in ({"loss": float("nan")}, {"array": jnp.zeros(2)}, {"when": {1, 2}}):
        with pytest.raises(InputError, match="notes hold what JSON cannot"):
            export.save_policy(path, env, policy, format, wrong)
    (network,) = policy.args
    broken = jax.tree_util.Partial(policy.func, jax.tree.map(lambda leaf: leaf * jnp.nan, network))
    with pytest.raises(FloatingPointError, match="differs from the policy by nan"):
        export.save_policy(path, env, broken, format)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    assert export.load_policy(path, env).description["notes"] == {"epoch": 4}


def test_a_disk_that_fills_during_an_export_leaves_the_good_files(monkeypatch, saved, tmp_path, env, policy):
    path = copied(saved, tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    write = pathlib.Path.write_text

    def full(place, text, **options):
        write(place, text[: len(text) // 2], **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    with pytest.raises(
        OSError, match=r"could not be written: .*No space left on device; what was there is as it was"
    ):
        export.save_policy(path, env, policy, path.suffix[1:])
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_missing_description_is_called_missing(tmp_path):
    with pytest.raises(InputError, match=r"^\S*policy\.onnx\.json: no such file; a policy file") as caught:
        export.load_policy(tmp_path / "policy.onnx")
    assert "damaged" not in str(caught.value)
