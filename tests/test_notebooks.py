"""Notebooks are made from their .py twins; `make test-notebooks` runs them."""

import json
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
TWINS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_its_twin_says_and_no_outputs(twin):
    notebook = json.loads(twin.with_suffix(".ipynb").read_text(encoding="utf-8"))
    lines = [line.strip() for line in twin.read_text(encoding="utf-8").split("# ---\n", 2)[2].splitlines()]
    text = {line.removeprefix("# ") for line in lines if line and not line.startswith("# %%")} - {"#"}
    shown = {line.strip() for cell in notebook["cells"] for line in "".join(cell["source"]).splitlines()} - {""}
    assert shown == text, "make notebooks"
    assert not any(cell.get("outputs") for cell in notebook["cells"])


def test_there_is_a_twin_for_each_notebook():
    assert [path.stem for path in TWINS] == sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    assert len(TWINS) == 5
