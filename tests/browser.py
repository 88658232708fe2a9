"""A real Chromium, driven by Playwright: Debian's package, unpacked into the cache where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from tests.testbed.cache import fetch, unpack_npm
from tests.testbed.debian import debian_program, environment, unpacked_folder

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
)  # fmt: skip
"""So that it runs as root in a container, and looks nothing up outside."""

AXE = "axe-core@4.10.3"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a Chromium.

    Raises:
        PartMissing: it can't be had on this machine.
    """
    program = debian_program("chromium", ["chromium"], (100,), (1000,), beside=["chromium-common", "fonts-dejavu-core"])
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        variables = {**os.environ, **environment(program), **_fonts(program, Path(folder))}
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS), env=dict(variables))
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """The script of axe-core, which finds what people with a disability cannot use.

    Raises:
        PartMissing: it can't be had on this machine.
    """
    folder = fetch(AXE.replace("@", "-"), lambda into: unpack_npm(AXE, "axe-core", into))
    return next(folder.rglob("axe.min.js")).read_text(encoding="utf-8")


def _fonts(program: Path, folder: Path) -> dict[str, str]:
    """Where an unpacked Chromium finds letters."""
    unpacked = unpacked_folder(program)
    if unpacked is None:
        return {}
    file = folder / "fonts.conf"
    file.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{unpacked}/usr/share/fonts</dir><cachedir>{folder}</cachedir></fontconfig>"
    )
    return {"FONTCONFIG_FILE": str(file)}
