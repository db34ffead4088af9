"""The rules that hold for the package as a whole: its floors, what it never does, one source of defaults."""

import ast
import dataclasses
import pathlib
import subprocess
import sys

import pytest

from configs import pods as pods_config
from pods_jax.algorithms.pods import algorithm

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "pods_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The floors of the house, one row each: a module imports strictly lower floors and its own folder.
FLOORS = (
    ("checks", "types", "thresholds"),
    ("linalg", "devices", "settings"),
    ("sim", "trajopt", "storage"),
    ("envs",),
    ("rollouts",),
    ("improvement", "policies", "visual"),
    ("algorithms", "compat", "export", "identification"),
    ("training", "evaluation", "summaries"),
    ("runs",),
    ("diagnostics", "reproduction", "benchmarks"),
    ("commands",),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def part_of(path: pathlib.Path) -> str:
    """The first name below the package: "sim" for pods_jax/sim/bdf2.py, "" for pods_jax/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_names(tree: ast.AST) -> set[str]:
    """What a module imports, such as "pods_jax.sim.bdf2", wherever in the module the import stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported_parts(tree: ast.AST) -> set[str]:
    """The parts of the package that a module imports."""
    return {name.split(".")[1] for name in imported_names(tree) if name.startswith("pods_jax.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_strictly_lower_floors(path):
    part = part_of(path)
    if not part:
        return  # the package's own __init__ shows the public names of every layer
    assert part in FLOOR_OF, f"give {part} its floor in this file"
    for imported in imported_parts(ast.parse(path.read_text())) - {part}:
        assert FLOOR_OF[imported] < FLOOR_OF[part], f"{path} imports {imported}"


def test_the_layering_check_sees_imports_of_every_form():
    code = "import pods_jax.sim.bdf2\ndef f():\n  from pods_jax import envs\n  from pods_jax.commands import run"
    assert imported_parts(ast.parse(code)) == {"sim", "envs", "commands"}


def executing(code: str) -> set[str]:
    """What a module uses that could execute what it reads."""
    tree = ast.parse(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    imported = {name.split(".")[0] for name in imported_names(tree) if not name.startswith("importlib.metadata")}
    return (
        (names & {"eval", "exec", "compile", "__import__"})
        | (keywords & {"allow_pickle", "Loader"})
        | (imported & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "importlib", "torch", "yaml"})
        | (imported & {"pkgutil", "runpy"})
    )


NAMED_BY_USERS = {"pods_jax/envs/factory.py": {"pkgutil"}, "pods_jax/commands/config_files.py": {"runpy"}}
"""Modules and configuration files that a user names, on a command line or in Python, are programs."""


EXECUTED = sorted(path for folder in ("pods_jax", "scripts", "configs") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_data(path):
    assert executing(path.read_text()) == NAMED_BY_USERS.get(str(path.relative_to(ROOT)), set())


def test_the_check_of_executed_data_sees_every_form():
    code = "import pickle\nfrom dill import loads\nimport importlib.util\neval(x)\nnp.load(x, allow_pickle=True)"
    assert executing(code) == {"pickle", "dill", "importlib", "eval", "allow_pickle"}
    assert not executing("import importlib.metadata\nre.compile(x)")


WRITING = sorted({*EXECUTED, *(ROOT / "notebooks").rglob("*.py")} - {PACKAGE / "storage" / "files.py"})
TEXT_METHODS, BYTE_METHODS = {"read_text", "write_text"}, {"write_bytes", "savefig", "savez", "to_csv"}


def careless(code: str) -> list[str]:
    """The calls that read or write text in a locale's encoding, JSON with NaN, or a file past `storage.files`."""
    tree, found = ast.parse(code), []
    inside = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and any("replacing(" in ast.unparse(item.context_expr) for item in block.items)
        for node in ast.walk(block)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if ast.unparse(call.func) == "os.open":
            continue  # a descriptor, such as that of os.devnull, and no file of text
        named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        positional = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        mode = "".join(value for value in positional if isinstance(value, str) and len(value) <= 3)
        text = name in TEXT_METHODS or (name in {"open", "fdopen"} and "b" not in mode)
        writes = name in {"write_text", *BYTE_METHODS} or (name == "open" and {*mode} & {"w", "x"})
        if text and "encoding" not in named and not ast.unparse(call.func).startswith("files."):
            found.append(f"{ast.unparse(call)}: name the encoding")
        if name in {"dump", "dumps"} and named.get("allow_nan") != "False":
            found.append(f"{ast.unparse(call)}: allow_nan=False")
        if writes and id(call) not in inside and not ast.unparse(call.func).startswith("files."):
            found.append(f"{ast.unparse(call)}: write it by storage.files")
    return found


@pytest.mark.parametrize("path", WRITING, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_has_an_encoding_json_no_nan_and_files_are_written_completely(path):
    assert not careless(path.read_text(encoding="utf-8"))


def test_the_check_of_files_sees_every_form():
    for code in (
        "open(path)",
        "path.open('a')",
        "path.read_text()",
        "json.dumps(row)",
        "json.dump(row, file, allow_nan=True)",
        "path.write_text(text, encoding='utf-8')",
        "path.write_bytes(content)",
        "open(path, 'wb')",
        "figure.savefig(path)",
    ):
        assert careless(code), code
    fine = """
with files.replacing(path) as (place,), place.open("wb") as file:
    place.write_text(json.dumps(row, allow_nan=False), encoding="utf-8")
files.write_text(path, text)
path.open("a", encoding="utf-8")
open(path, "rb")
"""
    assert not careless(fine)


@pytest.mark.parametrize("name", ["evaluate", "render", "plot", "export"])
def test_what_looks_at_a_run_reads_no_configuration_file(name):
    imported = imported_names(ast.parse((PACKAGE / "commands" / f"{name}.py").read_text()))
    assert not any("ml_collections" in module or "configs" in module for module in imported)


@pytest.mark.slow
def test_importing_the_package_changes_nothing():
    # In a process of its own: here, other tests have used devices and may have changed settings.
    program = """
import os, jax
before, settings = dict(os.environ), dict(jax.config.values)
import pods_jax, pods_jax.runs.experiment, pods_jax.commands.command_line
from jax._src import xla_bridge
assert not xla_bridge._backends, "a device was used"
assert {name: jax.config.values[name] for name in settings} == settings
assert dict(os.environ) == before
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_configuration_file_repeats_no_defaults():
    settings = pods_config.get_config().algorithm.to_dict()
    assert settings == {"name": "pods", **dataclasses.asdict(algorithm.Config())}


@pytest.mark.parametrize("path", sorted(ROOT.glob("scripts/*.py")), ids=lambda path: path.name)
def test_scripts_are_thin(path):
    assert len(path.read_text().splitlines()) <= 60
