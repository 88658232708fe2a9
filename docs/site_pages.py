"""What mkdocs needs beside docs/*.md: pages made of other files, and links that lead out of the folder.

A link to a file that has no page goes to the repository; a file that is not there ends the build.
"""

from __future__ import annotations

import os.path
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/river-exporter/river-exporter/blob/main/"

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "helm/river-exporter/README.md": "chart.md",
    "examples/README.md": "examples.md",
    "config/exporter.yaml": "configuration.md",
    "docs/runbooks": "runbooks/index.md",
}
"""Files of the repository, and the runbooks' folder, that become a page."""

_SOURCES = {page: source for source, page in PAGES.items()}
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made of other files."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found, unused-ignore] # is in a lock file of its own

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=content(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead each link where the site has what it names, else to the repository."""
    name: str = page.file.src_uri
    source = _SOURCES.get(name, f"docs/{name}")
    folder = source if source == "docs/runbooks" else posixpath.dirname(source)
    parts = _CODE.split(markdown)
    parts[::2] = [
        _LINK.sub(lambda found: found[1] + _target(found[2], folder, name) + found[3], text) for text in parts[::2]
    ]
    return "".join(parts)


def content(source: str) -> str:
    """The Markdown of a file or folder of the repository."""
    path = ROOT / source
    if path.is_dir():
        names = sorted(each.stem for each in path.glob("*.md"))
        return "\n".join(["# Runbooks", "", "One for each alert.", "", *(f"- [{each}]({each}.md)" for each in names)])
    text = path.read_text(encoding="utf-8")
    return text if path.suffix == ".md" else f"# Configuration\n\nEvery key with its default.\n\n```yaml\n{text}```\n"


def _target(link: str, folder: str, page: str) -> str:
    """The link of a page for one that a file of `folder` has.

    Raises:
        ValueError: it names no file of the repository.
    """
    if re.match(r"[a-z]+:|#", link):
        return link
    path, mark, heading = link.partition("#")
    named = posixpath.normpath(posixpath.join(folder, path))
    if not (ROOT / named).exists():
        raise ValueError(f"{page}: {link} leads nowhere")
    if named in PAGES:
        there = PAGES[named]
    elif named.startswith("docs/"):
        there = named.removeprefix("docs/")
    else:
        return f"{REPOSITORY}{named}{mark}{heading}"
    return f"{os.path.relpath(there, posixpath.dirname(page) or '.')}{mark}{heading}"
