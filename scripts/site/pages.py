"""The pages of the documentation, for mkdocs: README, changelog, docs/, and the docstrings of each part."""

import ast
import pathlib
import re
import urllib.parse
from collections.abc import Iterable
from html.parser import HTMLParser

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "pods_jax"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds all pages, and whatever they show or link to; a notebook becomes a page."""
    written = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
    for path in linked(written):
        name = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}.get(path.name) if path in written else None
        name = name or path.relative_to(ROOT).as_posix()
        if path.suffix == ".md":
            text = re.sub(r"(notebooks/\w+)\.ipynb", r"\1.md", path.read_text(encoding="utf-8"))
            text = text.replace("](../README.md", "](../index.md")
            files.append(File.generated(config, name, content=text))
        elif path.suffix == ".ipynb":
            content = as_markdown(path.with_suffix(".py").read_text(encoding="utf-8"))
            files.append(File.generated(config, name.replace(".ipynb", ".md"), content=content))
        else:
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for name, modules in parts().items():
        files.append(File.generated(config, f"api/{name}.md", content=page(name, modules)))
    return files


def linked(pages: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """The pages, and all files of the repository that they link to, directly or by others."""
    found: list[pathlib.Path] = []
    waiting = list(pages)
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        found.append(path)
        if path.suffix == ".md":
            links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
            targets = [(path.parent / link).resolve() for link in links]
            waiting += [target for target in targets if target.is_file()]
    return found


def as_markdown(notebook: str) -> str:
    """A notebook in jupytext's form of Python as a page: its text, and its code in blocks."""
    _, *cells = re.split(r"^# %%", notebook, flags=re.MULTILINE)
    parts = []
    for cell in cells:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            parts.append(re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip())
        else:
            parts.append(f"```python\n{body.strip()}\n```")
    return "\n\n".join(parts) + "\n"


class _Links(HTMLParser):
    """Collects where a page leads to, and which places in it can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at one tag."""
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "link":
                self.links.append(value)
            if name in ("id", "name") and value:
                self.places.add(value)


def on_post_build(config: MkDocsConfig) -> None:
    """Raises PluginError where a link of the built site leads nowhere."""
    site = pathlib.Path(config.site_dir)
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    dead = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        if path.name != "404.html"  # its links begin at the root of a server
        for link in page.links
        if not leads_somewhere(path, link, pages)
    ]
    if dead:
        raise PluginError("\n  ".join(["dead links", *dead]))


def leads_somewhere(path: pathlib.Path, link: str, pages: dict[pathlib.Path, _Links]) -> bool:
    """Whether a link of a page leads to a file, and to a place in it that exists; others' sites are not asked."""
    parsed = urllib.parse.urlsplit(link)
    if parsed.scheme or parsed.netloc:
        return True
    target = (path.parent / urllib.parse.unquote(parsed.path)).resolve() if parsed.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return False
    place = urllib.parse.unquote(parsed.fragment)
    return not place or target not in pages or place in pages[target].places


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
