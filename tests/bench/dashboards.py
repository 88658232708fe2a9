"""How long Prometheus takes for the dashboards' queries: `python -m tests.bench.dashboards`.

Fifteen days of made-up data of two exporters and 50 queues, a sample each 15 s, in a Prometheus of its own. Each query
is sent as a panel sends it, over the dashboard's own window, a day, and all of it. The best of five tries counts: what
else the machine does only makes it longer.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from dashboards.fill import Api, Ask, Window, asks
from dashboards.generate import FOLDER
from dashboards.preview import seconds
from exporter.demo.cache import say
from exporter.demo.prometheus import Prometheus, promtool
from tests.grafana.synthetic import Site, write

SITE = Site("river-exporter", exporters=2, speakers=1, queues=50)
DAY, STEP = 86400, 15
LIMIT = 0.2
"""Seconds that a query may take over its dashboard's own window, and over a day."""

TRIES = 5


def main() -> int:
    """Measure, print, and return 1 when a query is too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dashboards", description=__doc__)
    parser.add_argument("--days", type=int, default=15, help="how much data (default %(default)s)")
    days = parser.parse_args().days
    server = Prometheus()
    try:
        end = _fill(server.folder, days)
        server.start()
        return _measure(Api(server.url), end, days)
    finally:
        server.stop()


def _fill(folder: Path, days: int) -> int:
    """Make blocks of the days up to now, a day at a time; returns the last moment."""
    end = int(time.time()) // STEP * STEP
    begin = end - days * DAY
    midnights = range(begin // DAY * DAY + DAY, end, DAY)  # a block ends there, and promtool reads a file once for each
    text = folder / "day.txt"
    command = [str(promtool()), "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=24h"]
    for start, stop in pairwise((begin, *midnights, end)):
        started = time.monotonic()
        samples = write(text, [SITE], range(start, stop, STEP))
        subprocess.run([*command, str(text), str(folder / "data")], check=True, capture_output=True)
        say(f"{(stop - begin) / DAY:.1f} of {days} days: {samples:,} samples in {time.monotonic() - started:.0f} s")
    text.unlink()
    return end - STEP


def _measure(api: Api, end: int, days: int) -> int:
    slow = []
    print(f"{'dashboard':<16} {'panel':<40} {'own window':>10} {'1 day':>8} {f'{days} days':>8}  (ms)")
    for path in sorted(FOLDER.glob("*.json")):
        document: dict[str, Any] = json.loads(path.read_text())
        own = seconds(document["time"]["from"].removeprefix("now-"))
        for ask in asks(document):
            taken = [_best(_once(api, ask, Window(end - span, end))) for span in (own, DAY, days * DAY)]
            figures = " ".join(f"{each * 1000:>{width}.0f}" for each, width in zip(taken, (10, 8, 8), strict=True))
            print(f"{path.stem:<16} {ask.where[:40]:<40} {figures}", flush=True)
            if max(taken[:2]) > LIMIT:
                slow.append(f"{path.stem}: {ask.where}: {ask.expr}")
    for each in slow:
        print(f"over {LIMIT * 1000:.0f} ms: {each}", file=sys.stderr)
    return bool(slow)


def _once(api: Api, ask: Ask, window: Window) -> Callable[[], object]:
    return lambda: api.ask(ask, window)


def _best(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(TRIES):
        started = time.monotonic()
        call()
        taken.append(time.monotonic() - started)
    return min(taken)


if __name__ == "__main__":
    sys.exit(main())
