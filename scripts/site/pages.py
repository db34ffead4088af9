"""The pages of the documentation, for mkdocs: README, changelog, docs/, and the docstrings of each part."""

import ast
import pathlib

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "pods_jax"
SHOWN = ("scripts/results/**/*.png", "scripts/results/**/*.gif", "notebooks/*.ipynb")
"""What the README shows or links to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds all pages, and the pictures of the README."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    files.append(File.generated(config, "changelog.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs").glob("*.md")):
        files.append(File.generated(config, f"docs/{path.name}", content=path.read_text(encoding="utf-8")))
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for name, modules in parts().items():
        files.append(File.generated(config, f"api/{name}.md", content=page(name, modules)))
    return files


def parts() -> dict[str, list[pathlib.Path]]:
    """The files of each part of the package: a folder, or a module of its own."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault("pods_jax" if first == "__init__" else first, []).append(path)
    return found


def page(name: str, modules: list[pathlib.Path]) -> str:
    """Markdown: the docstrings of modules; of one that only collects names, what it says itself."""
    title = name if name == "pods_jax" else f"pods_jax.{name}"
    lines = [f"# {title}", ""]
    for path in modules:
        if path.name == "__init__.py":
            lines += [ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "", ""]
        else:
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            lines += [f"::: {dotted}", ""]
    return "\n".join(lines)
