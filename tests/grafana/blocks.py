"""Makes blocks of Prometheus' storage: of OpenMetrics text, and of what the recording rules say about other blocks."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import yaml

from dashboards.queries import RECORDED_EVERY
from tests.preview.fill import seconds
from tests.testbed.prometheus import Prometheus, promtool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "alerts.yaml"

EVERY = int(seconds(RECORDED_EVERY))
"""Seconds between two evaluations of the rules."""

DAY = 86400


def recorded() -> dict[str, str]:
    """Every recording rule that a dashboard reads: its expression by its name.

    A rule that reads what another one recorded gets that one's expression in its place, as nothing is recorded yet.
    """
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"] if "record" in rule}
    for name, expr in rules.items():
        for other, inner in rules.items():
            rules[name] = expr = expr.replace(other, f"({inner})") if other != name else expr
    drawn = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dashboards").glob("*.json"))
    return {name: expr for name, expr in rules.items() if f"{name}{{" in drawn}


def days(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Split a time in Unix seconds at midnights: a block ends there, and promtool reads a file once for each block."""
    yield from pairwise((begin, *range(begin // DAY * DAY + DAY, end, DAY), end))


def make(text: Path, folder: Path) -> None:
    """Make blocks of a file in OpenMetrics' format, and remove it."""
    command = [str(promtool()), "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=24h"]
    subprocess.run([*command, str(text), str(folder)], check=True, capture_output=True)
    text.unlink()


def record(server: Prometheus, begin: int, end: int, done: Callable[[int], None] = lambda _: None) -> None:
    """Have a running server evaluate the dashboards' rules on all it has, as often as they are, and keep what they say.

    The server is started again with it. `done` is told up to when it is recorded.
    """
    folder = server.folder / "recorded"
    for start, stop in days(-(-begin // EVERY) * EVERY, end):
        text = server.folder / "recorded.txt"
        with text.open("w") as file:
            for name, expr in recorded().items():
                for series in server.range(expr, start, stop - 1, EVERY):
                    labels = ",".join(f'{key}="{value}"' for key, value in series.labels.items())
                    file.writelines(f"{name}{{{labels}}} {value!r} {moment:.0f}\n" for moment, value in series.points)
            file.write("# EOF\n")
        make(text, folder)
        done(stop)
    server.server.stop()
    for block in folder.iterdir():
        shutil.move(block, server.folder / "data" / block.name)
    server.start()


def overlapping(server: Prometheus) -> int:
    """How many blocks begin before the one before ended: as many as the server has yet to merge."""
    metas = [json.loads(path.read_text()) for path in (server.folder / "data").glob("*/meta.json")]
    times = sorted((meta["minTime"], meta["maxTime"]) for meta in metas)
    return sum(later[0] < earlier[1] for earlier, later in pairwise(times))
