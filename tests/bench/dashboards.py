"""How long Prometheus takes for the dashboards' queries: `python -m tests.bench.dashboards`.

Fifteen days of made-up data of two exporters and 50 queues, a sample each 15 s, in a Prometheus of its own, and what
the dashboards' recording rules say about it. Each query is sent as a panel sends it, over the dashboard's own window, a
day, and all of it. The best of five tries counts: what else the machine does only makes it longer.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashboards.generate import FOLDER
from tests.grafana.blocks import DAY, days, make, overlapping, record
from tests.grafana.synthetic import Site, write
from tests.preview.fill import Api, Ask, Window, asks, seconds
from tests.testbed.cache import say
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus

SITE = Site("river-exporter", exporters=2, speakers=1, queues=50)
STEP = 15
LIMIT = 0.2
"""Seconds that a query may take, over each window."""

TRIES = 5


def main() -> int:
    """Measure, print, and return 1 when a query is too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dashboards", description=__doc__)
    parser.add_argument("--days", type=int, default=15, help="how much data (default %(default)s)")
    number = parser.parse_args().days
    server = Prometheus()
    end = int(time.time()) // STEP * STEP
    begin = end - number * DAY
    try:
        _fill(server.folder, begin, end)
        server.start()
        record(server, begin, end, lambda stop: say(f"rules: {(stop - begin) / DAY:.1f} of {number} days"))
        _merge(server)
        return _measure(Api(server.url), end - STEP, number)
    finally:
        server.stop()


def _fill(folder: Path, begin: int, end: int) -> None:
    """Make blocks of what the exporters say, a day at a time."""
    for start, stop in days(begin, end):
        started = time.monotonic()
        text = folder / "day.txt"
        samples = write(text, [SITE], range(start, stop, STEP))
        make(text, folder / "data")
        taken = time.monotonic() - started
        say(f"{(stop - begin) / DAY:.1f} of {(end - begin) / DAY:.0f} days: {samples:,} samples in {taken:.0f} s")


def _merge(server: Prometheus) -> None:
    """Wait until a day is one block, with what was recorded of it, as it always is where rules are loaded in time."""
    wait_for(lambda: not overlapping(server), 1800, "Prometheus to merge what was recorded", server.server, interval=5)


def _measure(api: Api, end: int, number: int) -> int:
    slow = []
    print(f"{'dashboard':<16} {'panel':<40} {'own window':>10} {'1 day':>8} {f'{number} days':>8}  (ms)")
    for path in sorted(FOLDER.glob("*.json")):
        document: dict[str, Any] = json.loads(path.read_text())
        own = seconds(document["time"]["from"].removeprefix("now-"))
        for ask in asks(document):
            taken = [_best(_once(api, ask, Window(end - span, end))) for span in (own, DAY, number * DAY)]
            figures = " ".join(f"{each * 1000:>{width}.0f}" for each, width in zip(taken, (10, 8, 8), strict=True))
            print(f"{path.stem:<16} {ask.where[:40]:<40} {figures}", flush=True)
            if max(taken) > LIMIT:
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
