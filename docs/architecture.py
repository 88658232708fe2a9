"""Draws the exporter's folders from the layers in pyproject.toml: `python -m docs.architecture > picture.svg`.

A row is a layer, and imports only from the rows below it; `lint-imports` checks the same declaration.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"

WIDTH, MARGIN, GAP, LINE, PADDING = 1080, 46, 10, 19, 12
LETTER = 7.0
"""Width of a small letter in a description, in pixels, at the most."""

_STYLE = (
    "text{font-family:system-ui,sans-serif;fill:#1c2127}.name{font-weight:600;font-size:15px}"
    ".text{font-size:13px}.box{fill:#f5f7fa;stroke:#8a94a3}.arrow{stroke:#5f6b7a;stroke-width:2;fill:none}"
)


def layers() -> list[list[str]]:
    """The layers from top to bottom, each with its modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def describe(module: str) -> str:
    """The first sentence of a module's docstring.

    Raises:
        FileNotFoundError: there is no such module.
    """
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".").replace("``", "").replace("`", "")


def picture() -> str:
    """The picture, as SVG."""
    parts: list[str] = []
    top = MARGIN
    for layer in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(layer) - 1)) / len(layer)
        texts = [_wrap(describe(module), width - 2 * PADDING) for module in layer]
        height = 2 * PADDING + LINE * (1 + max(len(text) for text in texts))
        for number, (module, text) in enumerate(zip(layer, texts, strict=True)):
            parts += _box(MARGIN + number * (width + GAP), top, width, height, module, text)
        top += height + GAP
    arrow = f'<path class="arrow" d="M20 {MARGIN} V{top - GAP - 8} m-6 -8 l6 10 l6 -10"/>'
    head = f'<text class="text" x="{MARGIN}" y="28">A row imports only from the rows below it.</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 10}" role="img">',
            "<title>The folders of the exporter, as layers</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{WIDTH}" height="{top + 10}" fill="white"/>',
            head,
            arrow,
            *parts,
            "</svg>\n",
        ]
    )


def _box(left: float, top: float, width: float, height: float, module: str, text: list[str]) -> list[str]:
    x = left + PADDING
    lines = [
        f'<text class="text" x="{x:g}" y="{top + PADDING + 14 + LINE * number:g}">{escape(line)}</text>'
        for number, line in enumerate(text, 1)
    ]
    return [
        f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6"/>',
        f'<text class="name" x="{x:g}" y="{top + PADDING + 13:g}">{escape(module)}</text>',
        *lines,
    ]


def _wrap(text: str, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) * LETTER <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def main() -> int:
    """Print the picture; returns the exit code."""
    print(picture(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
