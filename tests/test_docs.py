"""The documents that are made from the code are up to date, and name files that exist."""

import pathlib
import re
import runpy

import pytest

from pods_jax import algorithms, envs, settings

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_page_of_settings_is_made_from_them():
    made = runpy.run_path(str(ROOT / "scripts/site/configuration.py"))["page"]()
    current = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert current == made, "run: python scripts/site/configuration.py"


@pytest.mark.parametrize("name", envs.names())
def test_every_setting_of_an_environment_is_described_and_its_default_is_allowed(name):
    own = envs.settings_of(name)
    assert settings.check(own, "env") == own
    assert all(len(row.meaning) > 5 for row in settings.rows(own, "env"))


def test_the_page_of_settings_has_all_of_them():
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for name in algorithms.names():
        assert all(f"| `{row.path}` |" in page for row in settings.rows(algorithms.config_of(name)(), "algorithm"))


def test_the_architecture_names_files_and_folders_that_exist():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py)?|[a-z_]+\.py)`", text))
    assert len(named) > 40
    missing = [path for path in named if not ((ROOT / "pods_jax" / path).exists() or (ROOT / path).exists())]
    assert not missing


def test_the_map_is_the_table_of_floors():
    floors = runpy.run_path(str(ROOT / "tests/test_project.py"))["FLOORS"]
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for number, names in enumerate(floors, 1):
        (row,) = re.findall(rf"^\| {number} \| (.*?) \|", text, flags=re.MULTILINE)
        shown = {name.strip("`/").removesuffix(".py") for name in row.split()}
        assert shown == set(names)
