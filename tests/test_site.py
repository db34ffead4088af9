"""The site: pages bring what they link to, notebooks are pages, and a dead link is found."""

import pathlib
import types

import pytest

pytest.importorskip("mkdocs", reason="pip install 'pods_jax[docs]' to test it")

from scripts.site import pages

ROOT = pathlib.Path(__file__).parents[1]


def test_what_pages_link_to_comes_with_them():
    found = {path.relative_to(ROOT).as_posix() for path in pages.linked([ROOT / "README.md"])}
    assert {"README.md", "docs/results.md", "scripts/results/reproduction/cpu/results.md"} <= found
    assert "notebooks/quickstart.ipynb" in found
    assert all((ROOT / name).is_file() for name in found)


def test_a_notebook_is_text_and_code():
    notebook = "# ---\n# jupyter:\n# ---\n\n# %% [markdown]\n# # Title\n# text\n\n# %%\nx = 1\n"
    assert pages.as_markdown(notebook) == "# Title\ntext\n\n```python\nx = 1\n```\n"


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("b/", False),
        ("b/#there", False),
        ("b/#gone", True),
        ("#here", False),
        ("#gone", True),
        ("picture.png", False),
        ("gone.png", True),
        ("gone/", True),
        ("https://example.org/gone", False),
        ("mailto:somebody@example.org", False),
    ],
)
def test_a_dead_link_is_found(tmp_path, link, dead):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.html").write_text('<h1 id="there">b</h1>')
    (tmp_path / "picture.png").write_text("")
    (tmp_path / "index.html").write_text(f'<h1 id="here">a</h1><a href="{link}">b</a>')
    config = types.SimpleNamespace(site_dir=str(tmp_path))
    if dead:
        with pytest.raises(pages.PluginError, match=r"dead links\n  index.html: "):
            pages.on_post_build(config)
    else:
        pages.on_post_build(config)
