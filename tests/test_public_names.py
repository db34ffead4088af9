"""What `import pods_jax` gives, what it leaves alone until it is asked for, and where moved modules went."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import types

import pytest

import pods_jax
from pods_jax import compat, export, viewer

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("algorithms", "compat", "devices", "envs", "export", "identification", "sim", "trajopt", "visual")
ELSEWHERE = {"sensors": "envs.observation.sensors", "viewer": "visual.viewer"}
VERBS = ("evaluate", "identify", "improve", "improve_batch", "optimize", "replay", "rollout", "summary", "train")
TYPES = ("Identification", "Improvement", "InputError", "Report", "Trajectory")
HEAVY = ("brax", "mujoco", "gymnasium", "matplotlib", "onnx", "orbax")


def resolve(name):
    """What a dotted name that begins with pods_jax stands for, after it is imported where it is a module."""
    found, place = pods_jax, "pods_jax"
    for part in name.split(".")[1:]:
        place = f"{place}.{part}"
        if not hasattr(found, part) and importlib.util.find_spec(place):
            importlib.import_module(place)
        found = getattr(found, part)
    return found


def in_own_process(program):
    """What a program prints that begins with a fresh interpreter: here, other tests have imported everything."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_import_gives_all_public_names():
    assert set(pods_jax.__all__) == {*PARTS, *ELSEWHERE, *VERBS, *TYPES}
    assert set(pods_jax.__all__) <= set(dir(pods_jax))
    assert all(isinstance(getattr(pods_jax, name), types.ModuleType) for name in (*PARTS, *ELSEWHERE))
    assert all(callable(getattr(pods_jax, name)) for name in (*VERBS, *TYPES))
    assert (pods_jax.compat, pods_jax.export, pods_jax.viewer) == (compat, export, viewer)
    assert pods_jax.viewer is pods_jax.visual.viewer


@pytest.mark.slow
def test_parts_are_attributes_before_anybody_imported_them():
    names = (*PARTS, *ELSEWHERE)
    program = f"import pods_jax\nfor name in {names}: print(getattr(pods_jax, name).__name__)"
    expected = [f"pods_jax.{ELSEWHERE.get(name, name)}" for name in names]
    assert in_own_process(program).split() == expected


@pytest.mark.slow
@pytest.mark.parametrize("then", ["", "pods_jax.compat, pods_jax.export, pods_jax.viewer"])
def test_it_loads_no_library_that_only_some_need(then):
    program = f"import sys, pods_jax\n{then}\nprint([name for name in {HEAVY} if name in sys.modules])"
    assert in_own_process(program).strip() == "[]"


def test_a_moved_module_names_its_new_place():
    with pytest.raises(AttributeError, match=r"^pods_jax\.cores is now pods_jax\.devices\.cpu$"):
        pods_jax.cores  # noqa: B018
    with pytest.raises(AttributeError, match=r"^module 'pods_jax' has no attribute 'croes'$"):
        pods_jax.croes  # noqa: B018


@pytest.mark.parametrize("name", sorted(pods_jax._MOVED))
def test_the_new_place_exists_and_the_old_one_does_not(name):
    place = ROOT.joinpath("pods_jax", *pods_jax._MOVED[name].split("."))
    assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
    assert not hasattr(pods_jax, name)


def names_in(text):
    """The dotted names below pods_jax in the code of a text, inline and in blocks; what is quoted is another name."""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    return sorted({name for part in code for name in re.findall(r"(?<!\")\bpods_jax(?:\.[A-Za-z_]\w*)+", part)})


@pytest.mark.parametrize(
    "name",
    names_in(
        "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    ),
)
def test_names_in_the_readme_exist(name):
    assert resolve(name) is not None


def test_the_search_for_names_sees_inline_code_and_blocks():
    text = 'pods_jax.no `pods_jax.viewer.view(env)` and `x`, `a."pods_jax.group"`\n'
    text += "```python\nenv = pods_jax.envs.make()\n```\n"
    assert names_in(text) == ["pods_jax.envs.make", "pods_jax.viewer.view"]
