"""Takes the pictures of the status page from a real incident: `python -m tests.screenshots [FOLDER]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import requests
from playwright.sync_api import ViewportSize

from tests.browser import chromium
from tests.testbed.cache import say
from tests.testbed.faults import FAULTS
from tests.testbed.process import wait_for
from tests.testbed.stage import Stage, stage

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SIZE = ViewportSize(width=1040, height=770)
PHONE = ViewportSize(width=390, height=844)


def incident(scene: Stage) -> None:
    """Seven minutes of ups and downs, each provoked for real, so that the chart has something to show."""
    for fault, intensity, hold, rest in (
        ("slow-trigger", 1.5, 20, 110),
        ("network-delay", 0.4, 20, 110),
        ("row-lock", 3.0, 16, 110),
    ):
        say(f"{fault} for {hold} s, then {rest} s of rest")
        with FAULTS[fault](scene.environment, intensity):
            time.sleep(hold)
        time.sleep(rest)


def main(folder: Path = PICTURES) -> int:
    """Provoke, take the pictures, lift; returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with stage(rate=50, job_seconds=0.1, workers=8, pool=16) as scene, chromium() as browser:
        url = f"{scene.exporter.url}/"
        wait_for(lambda: "on time" in requests.get(url, timeout=5).text, 30, "the exporter to know something")
        incident(scene)
        say("a row lock, and the pictures of it")
        with FAULTS["row-lock"](scene.environment):
            wait_for(lambda: "held by pid" in requests.get(url, timeout=5).text, 30, "the page to name the lock")
            time.sleep(4)
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5)
                page.goto(url)
                page.screenshot(path=folder / f"status-{scheme}.png")
            page = browser.new_page(viewport=PHONE, device_scale_factor=2)
            page.goto(url)
            page.screenshot(path=folder / "status-phone.png")
    say(f"the pictures are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
