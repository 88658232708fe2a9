"""A healthy hour: everything that is normal and looks alarming, and nothing that may be told of it.

`python -m tests.bench.healthy` lets real River workers run through bursts, idle gaps, long jobs, deploys, crashes,
maintenance of the database and a restart of it, beside the exporter, Prometheus with our rules and Alertmanager. The
ratio must stay below the warning threshold, completions must not be called silent, and nobody may be told anything that
is not true.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.chain import Chain, Notification
from tests.bench.figures import Figure, figure, keep, table
from tests.bench.healthy_page import write
from tests.bench.hour import RATE, Hour, Plan, plan
from tests.bench.precursor import WARNING
from tests.bench.scenarios import DATABASE, PASSWORD, ROLE
from tests.bench.shares import preferred
from tests.testbed.cache import say
from tests.testbed.exporter import Exporter, Metrics
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import ServerFailed
from tests.testbed.river import River

RESULTS = Path("build") / "healthy.json"
SILENCE = 3.0
"""Seconds that completions may be said to stay away."""

SETTLE = 20.0
"""Seconds at the start in which River and the exporter get to know each other; they count as well."""

RESTART_SECONDS = 15.0
"""After the server answers again: until then, and while River's sessions come back, what is said is true."""

TRUE_OF_ORPHANS = "RiverCompletionsLost (warning)"
"""A crash leaves jobs that are marked running; River itself takes none of them back whose worker has no timeout."""

LOOK = 0.5
WINDOW = 60.0
"""Seconds that a peak is held for."""


@dataclass(frozen=True)
class Breach:
    """Something that should not have been said; `at` is seconds from the start, `during` what went on."""

    at: float
    what: str
    during: str

    def __str__(self) -> str:
        return f"{self.at:.0f} s: {self.what} during {self.during}"


@dataclass
class Record:
    """What the exporter said over the hour.

    Attributes:
        excused: spans of the server's own restarts, in seconds from the start; a peak of them is held for a window.
    """

    ratio: float = 0.0
    silence: float = 0.0
    stall: float = 0.0
    looks: int = 0
    unanswered: int = 0
    breaches: list[Breach] = field(default_factory=list)
    excused: list[tuple[float, float]] = field(default_factory=list)

    def look(self, at: float, metrics: Metrics, during: str) -> None:
        """Take one scrape."""
        self.looks += 1
        held, now = (self._excused(at, held) for held in (WINDOW, 0.0))
        ratio = metrics.most("river_completer_budget_used_ratio") or 0.0
        silence = metrics.most("river_completer_silence_seconds") or 0.0
        causes = ", ".join(
            f"{each.labels['cause']} {each.value:.1f} s"
            for each in metrics.samples("river_completer_budget_seconds")
            if each.value >= 0.1
        )
        if not held:
            self._take("ratio", ratio, WARNING, Breach(at, f"ratio {ratio:.2f} ({causes})", during))
        if not now:
            self._take("silence", silence, SILENCE, Breach(at, f"silence of {silence:.1f} s", during))
            self.stall = max(self.stall, metrics.most("river_completer_attempt_seconds") or 0.0)

    def _take(self, name: str, value: float, limit: float, breach: Breach) -> None:
        """Keep the highest; one breach is told once, not at every look while it lasts."""
        highest = getattr(self, name)
        setattr(self, name, max(highest, value))
        if value >= limit and value > highest:
            self.breaches.append(breach)
            say(f"NOT HEALTHY: {breach}")

    def _excused(self, at: float, held: float) -> bool:
        return any(since <= at <= until + held for since, until in self.excused)


class Watching(threading.Thread):
    """Looks at the exporter twice a second until told to stop."""

    def __init__(self, hour: Hour, record: Record, began: float) -> None:
        super().__init__(daemon=True)
        self._hour, self._record, self._began = hour, record, began
        self._ended = threading.Event()

    def run(self) -> None:
        """Look; an exporter that restarts gives no answer for a moment."""
        while not self._ended.wait(LOOK):
            at = time.monotonic() - self._began
            try:
                metrics = self._hour.exporter.metrics()
            except ServerFailed:
                self._record.unanswered += 1
                continue
            self._record.look(at, metrics, self._hour.doing)

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()


@contextmanager
def hour(seconds: float, *, pool_statistics: bool) -> Iterator[tuple[Hour, Chain]]:
    """Two workers' processes on one PostgreSQL 18: short and long jobs of the same kind, some of which fail."""
    with ExitStack() as parts:
        postgres = parts.enter_context(Postgres(18, {"autovacuum_naptime": "15s"}))
        postgres.create_database(DATABASE)
        prepare(postgres, DATABASE, ROLE, PASSWORD)
        long_seconds = min(600.0, seconds / 6)
        rescue = f"{long_seconds * 1.5:.0f}s"
        mixed = River(
            postgres.url(DATABASE), rate=RATE, job_seconds=0.02, job_seconds_jitter=0.5, long_jobs=0.0005,
            long_job_seconds=long_seconds, fail_jobs=0.02, kinds=2, workers=60, pool=80, rescue_after=rescue,
            fetch_poll="30s",
        )  # fmt: skip
        quick = River(
            postgres.url(DATABASE), rate=10, job_seconds=0.25, fail_jobs=0.02, queues={"mail": 20}, pool=25,
            rescue_after=rescue, fetch_poll="30s",
        )  # fmt: skip
        parts.enter_context(mixed)
        parts.enter_context(quick)
        pages = [mixed.metrics_url, quick.metrics_url] if pool_statistics else []
        own = postgres.url(DATABASE, ROLE, PASSWORD)
        exporter = parts.enter_context(Exporter(own, metrics_urls=pages))
        chain = parts.enter_context(Chain.beside(exporter, wanted=True))
        yield Hour(postgres, mixed, quick, exporter, DATABASE, seconds), chain


def told(notifications: Sequence[Notification]) -> list[str]:
    """Every alert that somebody was told of, by name and severity."""
    names = {
        f"{alert['labels']['alertname']} ({alert['labels'].get('severity', 'none')})"
        for notification in notifications
        for alert in notification.alerts
    }
    return sorted(names)


@dataclass(frozen=True)
class Outcome:
    """What is known after the hour: what was said and told, deadlines in River's own log, jobs that are orphans."""

    record: Record
    told: list[str]
    deadlines: int
    orphans: int

    @property
    def untrue(self) -> list[str]:
        """What nobody should have been told: all, but that a crash left jobs behind where it did."""
        return [each for each in self.told if each != TRUE_OF_ORPHANS or not self.orphans]


def run(minutes: float, only: Sequence[str], *, pool_statistics: bool) -> Outcome:
    """The hour."""
    seconds = minutes * 60
    with hour(seconds, pool_statistics=pool_statistics) as (parts, chain):
        began, record = time.monotonic(), Record()
        watching = Watching(parts, record, began)
        watching.start()
        time.sleep(SETTLE)
        for event in chosen(plan(), only):
            _wait(SETTLE + event.share * (seconds - SETTLE), parts, record, began)
            carry_out(event, parts, record, began)
        _wait(seconds, parts, record, began)
        watching.end()
        deadlines = len(parts.mixed.deadlines()) + len(parts.quick.deadlines())
        notifications = chain.receiver.notifications if chain.receiver else []
        return Outcome(record, told(notifications), deadlines, parts.orphans())


def chosen(events: Sequence[Plan], only: Sequence[str]) -> list[Plan]:
    """The events whose name has one of the parts; all without any."""
    return [each for each in events if not only or any(part in each.name for part in only)]


def carry_out(event: Plan, parts: Hour, record: Record, began: float) -> None:
    """Let it happen; a restart of the server excuses what is said meanwhile."""
    at = time.monotonic() - began
    say(f"{at:.0f} s: {event.name}")
    parts.doing = event.name
    if event.restarts_server:
        record.excused.append((at, float("inf")))
    event.happen(parts)
    if event.restarts_server:
        record.excused[-1] = (at, time.monotonic() - began + RESTART_SECONDS)


def _wait(until: float, parts: Hour, record: Record, began: float) -> None:
    """Until so many seconds after the beginning; shows every half a minute how it goes."""
    shown = time.monotonic()
    while time.monotonic() - began < until:
        if time.monotonic() - shown >= 30:
            shown = time.monotonic()
            say(
                f"{shown - began:.0f} s, last {parts.doing}: highest ratio {record.ratio:.2f}, silence "
                f"{record.silence:.1f} s, {len(record.breaches)} breaches"
            )
        time.sleep(0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 when nothing was said."""
    parser = argparse.ArgumentParser(prog="make bench-healthy", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts of events' names; all events unless given")
    parser.add_argument("--minutes", type=float, default=10.0, help="default %(default)s; 60 for the record")
    parser.add_argument("--pool-statistics", action="store_true", help="with River's own pool statistics")
    parser.add_argument("--prefer", action="store_true", help="before others on the processor (root, cgroup v1)")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        if options.prefer and not stack.enter_context(preferred()):
            parser.error("--prefer needs root and cgroup v1")
        outcome = run(options.minutes, options.only, pool_statistics=options.pool_statistics)
    record = outcome.record
    figures: list[Figure] = [
        figure("highest budget used ratio", record.ratio, "", WARNING),
        figure("highest silence", record.silence, "s", SILENCE),
        figure("highest stall", record.stall, "s"),
        figure("alerts that were not true", len(outcome.untrue), "", 0, f"told: {', '.join(outcome.told) or 'nobody'}"),
        figure("jobs that crashes left behind", outcome.orphans, "", None, "marked running, and nobody runs them"),
        figure("deadlines in River's own log", outcome.deadlines, "", None, "a restart of the server may bring some"),
        figure("looks without an answer", record.unanswered, "", None, f"of {record.looks + record.unanswered}"),
    ]
    print(table(figures))
    for breach in record.breaches:
        print(breach)
    keep(figures, RESULTS)
    if not options.only:
        write(figures, plan(), options.minutes, arguments if arguments is not None else sys.argv[1:])
    failed = sum(not each.passed for each in figures)
    print(f"{len(figures) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
