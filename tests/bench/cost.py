"""What the exporter costs: the database's time, processor, memory, connections, and how fast it answers.

`python -m tests.bench.cost` measures beside a real River on a real PostgreSQL 18 and writes docs/cost.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import requests
from psycopg.conninfo import make_conninfo

from exporter.collectors.discovery import names as collector_names
from exporter.config import load, variable
from exporter.postgres.address import addresses
from tests.bench import statements, usage
from tests.bench.cost_page import Pair, beside, write
from tests.bench.figures import Figure, figure, keep, quantile, table
from tests.bench.finished import fill
from tests.bench.peer import ROLE as PEER_ROLE
from tests.bench.peer import VERSION as PEER_VERSION
from tests.bench.peer import Peer, binary, peer
from tests.bench.scenarios import DATABASE, PASSWORD, ROLE
from tests.bench.scrapes import Scrapes, scrape
from tests.bench.shares import TWENTIETH, limited, preferred, urgent
from tests.testbed.cache import PartMissing, say
from tests.testbed.exporter import Exporter, Metrics
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import ServerFailed, wait_for
from tests.testbed.river import River

RESULTS = Path("build") / "cost.json"
SAMPLE = ("sessions", "completions", "election")
"""The statements of every second; the election has one only while there is something to be won."""

SESSIONS = 50
WARM_UP, WINDOW, WINDOWS = 10.0, 12.0, 5
OFTEN = {
    f"collectors.{name}.interval": "2s"
    for name in collector_names()
    if name not in {"sessions", "completions", "election", "locks", "probe", "budget"}
}
"""So that each statement is called several times within a window; the second's own stay as they are."""

SETTINGS = (
    "application_name",
    "default_transaction_read_only",
    "max_parallel_workers_per_gather",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "tcp_user_timeout",
)
"""Those of our sessions that a database administrator asks for."""

SERVER: dict[str, str | int] = {
    "pg_stat_statements.track_planning": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": 120,
}


@dataclass
class Bench:
    """What runs, and what was found.

    Attributes:
        idle: cores that the exporter uses beside a River at rest.
        prefer: whether what is timed goes before others on the processor.
    """

    postgres: Postgres
    river: River
    figures: list[Figure] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    idle: float = 0.0
    prefer: bool = False

    @property
    def own(self) -> str:
        """The exporter's own address."""
        return self.postgres.url(DATABASE, ROLE, PASSWORD)

    def add(self, name: str, value: float, unit: str = "", limit: float | None = None, note: str = "") -> None:
        """Keep a figure and show it."""
        taken = figure(name, value, unit, limit, note)
        self.figures.append(taken)
        keep(self.figures, RESULTS)
        say(f"{name}: {value:.3g} {unit} {taken.verdict}".rstrip())


@contextmanager
def bench() -> Iterator[Bench]:
    """PostgreSQL and River with 50 sessions, at rest: 50 jobs of 250 ms a second."""
    with ExitStack() as parts:
        postgres = parts.enter_context(Postgres(18, SERVER))
        postgres.create_database(DATABASE)
        prepare(postgres, DATABASE, ROLE, PASSWORD)
        url = f"{postgres.url(DATABASE)}?pool_min_conns={SESSIONS - 1}"  # and one that listens
        river = River(url, rate=50, job_seconds=0.25, workers=20, pool=SESSIONS, kinds=4)
        parts.callback(river.close)
        yield Bench(postgres, river)


def database_time(parts: Bench, rows: int) -> dict[str, statements.Cost]:
    """The cost of each statement at that many finished rows: the lowest mean of all windows."""
    with parts.postgres.connect(DATABASE) as connection:
        if parts.river.alive:
            parts.river.stop()
        fill(connection, rows)
        parts.river.start()
        with Exporter(parts.own, settings=OFTEN):
            say(f"{rows:,} rows: measuring for {WARM_UP + WINDOW * WINDOWS:.0f} s")
            time.sleep(WARM_UP)
            windows = []
            before = statements.read(connection, ROLE)
            for _ in range(WINDOWS):
                time.sleep(WINDOW)
                after = statements.read(connection, ROLE)
                windows.append(statements.costs(before, after, parts.postgres.version))
                before = after
    return statements.best(windows)


def costs(parts: Bench, steps: Sequence[int]) -> None:
    """The second's sample and the whole cycle at each number of finished rows."""
    cycles: dict[int, float] = {}
    for rows in steps:
        found = database_time(parts, rows)
        cycles[rows] = sum(cost.milliseconds for cost in found.values())
        dearest = sorted(found.items(), key=lambda item: -item[1].milliseconds)
        note = ", ".join(f"{name} {cost.milliseconds:.2f}" for name, cost in dearest[:4])
        missing = [name for name in ("sessions", "completions") if name not in found]
        if missing:
            raise ServerFailed(f"pg_stat_statements shows no {', '.join(missing)} of role {ROLE}")
        sample = sum(found[name].milliseconds for name in SAMPLE if name in found)
        parts.add(f"database time of a second's sample, {rows:,} finished jobs", sample, "ms", 1.0)
        limit = 50.0 if rows <= 2_000_000 else None
        parts.add(f"database time of a whole cycle, {rows:,} finished jobs", cycles[rows], "ms", limit, note)
    least, most = min(steps), max(steps)
    if least != most:
        parts.add(f"cycle at {most:,} over {least:,} finished jobs", cycles[most] / cycles[least], "", 1.2)


def start_up(parts: Bench) -> None:
    """From the command to the first answer, and to a /metrics that every collector has written to."""
    began = time.monotonic()
    with Exporter(parts.own) as exporter:
        answered = time.monotonic() - began
        wait_for(lambda: _complete(exporter.metrics()), 60, "every collector's first run", exporter.server)
        parts.add("start to the first answer", answered, "s", 5.0)
        parts.add("start to a full /metrics", time.monotonic() - began, "s", 10.0)
    starve(parts)


def starve(parts: Bench) -> None:
    """The same with a twentieth of a core, as a container's limit of 50m gives it."""
    exporter = Exporter(parts.own)
    with limited(TWENTIETH) as place:
        if place is None:
            say("not measured at 0.05 cores: it needs root and cgroup v1")
            return
        try:
            began = time.monotonic()
            exporter.server.start()
            place(exporter.server.pid)
            wait_for(lambda: _answers(exporter), 120, "the exporter to answer", exporter.server)
            parts.add("start to the first answer at 0.05 cores", time.monotonic() - began, "s", 20.0)
            slow = scrape(f"{exporter.url}/metrics", 20, 1.0)
            parts.add("scrape at 0.05 cores, slowest of 20", _quantile(slow, 1.0) / 1000, "s", 1.0)
        finally:
            exporter.close()


def _answers(exporter: Exporter) -> bool:
    try:
        return requests.get(f"{exporter.url}/-/healthy", timeout=30).ok
    except requests.ConnectionError:
        return False


def _complete(metrics: Metrics) -> bool:
    """Whether each collector that runs here has succeeded; the pool's and PgBouncer's have nothing to look at."""
    done = {each.labels["collector"] for each in metrics.samples("river_exporter_collector_success") if each.value}
    return set(collector_names()) - {"pgxpool", "pgbouncer"} <= done


def rest(parts: Bench, minutes: float, peer_too: bool) -> None:
    """Minutes beside a River at rest, scraped every 15 s; then scrapes in a row, at rest and while the server hangs."""
    with ExitStack() as stack:
        exporter = stack.enter_context(Exporter(parts.own))
        other = stack.enter_context(peer(parts.postgres, DATABASE)) if peer_too else None
        with parts.postgres.connect(DATABASE) as connection:
            stay(parts, exporter, other, minutes, connection)
        timed = [exporter.server.pid, os.getpid(), *([other.server.pid] if other else [])]
        with urgent(timed if parts.prefer else []):
            scrapes(parts, exporter, other)


def session_settings(parts: Bench) -> str:
    """What the server says of a session that is opened as the exporter opens the two on its database."""
    database, _, _ = addresses(load(None, {variable("database.url"): parts.own}), {})
    with psycopg.connect(make_conninfo("", **database.parameters())) as connection:
        values = [connection.execute("select current_setting(%s)", [name]).fetchone() for name in SETTINGS]
    return ", ".join(f"{name} {value[0]}" for name, value in zip(SETTINGS, values, strict=True) if value)


def stay(parts: Bench, exporter: Exporter, other: Peer | None, minutes: float, connection: psycopg.Connection) -> None:
    """Processor, memory and connections over the minutes."""
    settings = session_settings(parts)
    say(f"at rest for {minutes:g} min")
    time.sleep(WARM_UP)
    pid, began, looked = exporter.server.pid, time.monotonic(), 0
    own = usage.processor_seconds(pid)
    servers, most = usage.ProcessorTime(), 0
    before = statements.read(connection, ROLE)
    peers = statements.read(connection, PEER_ROLE)
    shown = began
    while (past := time.monotonic() - began) < minutes * 60:
        pids = [row[0] for row in connection.execute("select pid from pg_stat_activity where usename = %s", [ROLE])]
        most = max(most, len(pids))
        servers.look(usage.processor_seconds_of(pids))
        if past // 15 >= looked:
            looked += 1
            for url in [f"{exporter.url}/metrics", *([other.url] if other else [])]:
                scrape(url, 1, 0)
        if time.monotonic() - shown >= 30:
            shown = time.monotonic()
            say(f"{past:.0f} s: {usage.memory(pid).resident:.1f} MiB")
        time.sleep(1)
    past, memory = time.monotonic() - began, usage.memory(pid)
    found = statements.costs(before, statements.read(connection, ROLE), parts.postgres.version)
    spent = sum(cost.calls * cost.milliseconds for cost in found.values())
    parts.add("connections to the database, the probe's with them", most, "", 3, settings)
    note = f"{memory.own:.1f} its own, {memory.files:.1f} mapped from files; aim 48"
    parts.add(f"resident memory after {minutes:g} min", memory.resident, "MiB", 56.0, note)
    parts.idle = (usage.processor_seconds(pid) - own) / past
    parts.add("processor of the exporter", 100 * parts.idle, "% of a core", 2.0)
    note = f"{spent / past:.2f} ms of statements a second"
    parts.add("processor of the database for it", 100 * servers.total() / past, "% of a core", 1.0, note)
    if other:
        theirs = statements.costs(peers, statements.read(connection, PEER_ROLE), parts.postgres.version)
        asked = sum(cost.calls * cost.milliseconds for cost in theirs.values()) / looked
        resident = usage.memory(other.server.pid).resident
        parts.pairs += [
            Pair(f"resident memory after {minutes:g} min", memory.resident, resident, "MiB"),
            Pair("database time in 15 s", spent / past * 15, asked, "ms"),
        ]


def scrapes(parts: Bench, exporter: Exporter, other: Peer | None) -> None:
    """500 of ours at rest and while every process of the server is halted; fewer of the other's, which ask it."""
    where, pid = f"{exporter.url}/metrics", exporter.server.pid
    began, spent = time.monotonic(), usage.processor_seconds(pid)
    found = scrape(where, 500, 0.02)
    spent = usage.processor_seconds(pid) - spent - parts.idle * (time.monotonic() - began)
    size = f"{found.size / 1024:.0f} KiB, {found.compressed / 1024:.1f} compressed"
    parts.add("series of /metrics", found.series, "", None, size)
    parts.add("processor time of one scrape", spent / 500 * 1000, "ms")
    parts.add("scrape at rest, p50 of 500", _quantile(found, 0.5), "ms")
    parts.add("scrape at rest, p99 of 500", _quantile(found, 0.99), "ms", 10.0)
    if other:
        theirs = scrape(other.url, 100, 0.05)
        parts.pairs += [
            Pair("series", found.series, theirs.series),
            *(
                Pair(f"scrape at rest, p{share * 100:.0f}", _quantile(found, share), _quantile(theirs, share), "ms")
                for share in (0.5, 0.99)
            ),
        ]
    say("halting the server")
    parts.postgres.pause()
    try:
        time.sleep(3)
        hung = scrape(where, 500, 0.02)
        parts.add("scrape while the database hangs, p50 of 500", _quantile(hung, 0.5), "ms")
        parts.add("scrape while the database hangs, p99 of 500", _quantile(hung, 0.99), "ms", 10.0)
        if other:
            theirs = scrape(other.url, 1, 0)
            ours = _quantile(hung, 0.99)
            parts.pairs.append(Pair("scrape while the database hangs (10 s at most)", ours, _quantile(theirs, 1), "ms"))
    finally:
        parts.postgres.resume()


def _quantile(found: Scrapes, share: float) -> float:
    """In milliseconds; no answer at all takes forever."""
    return float("inf") if found.unanswered or not found.seconds else quantile(found.seconds, share) * 1000


def with_pool_statistics(parts: Bench) -> None:
    """Memory where River's own pool is read too, which needs an HTTP client."""
    with Exporter(parts.own, metrics_urls=[parts.river.metrics_url]) as exporter:
        say("with River's pool statistics for 1 min")
        for _ in range(60):
            time.sleep(1)
            requests.get(f"{exporter.url}/metrics", timeout=5)
        memory = usage.memory(exporter.server.pid)
        note = f"{memory.own:.1f} its own, {memory.files:.1f} mapped from files"
        parts.add("resident memory with river.metrics_urls, after 1 min", memory.resident, "MiB", 64.0, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 when every limit is kept."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="finished jobs at most (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=2.0, help="at rest (default %(default)s; 10 for the record)")
    parser.add_argument("--no-peer", action="store_true", help="without postgres_exporter")
    parser.add_argument("--prefer", action="store_true", help="before others on the processor (root, cgroup v1)")
    options = parser.parse_args(arguments)
    steps = [rows for rows in (10_000, 2_000_000, 10_000_000) if rows < options.rows] + [options.rows]
    peer_too = not options.no_peer
    if peer_too:
        try:
            binary()
        except PartMissing as error:
            say(f"without postgres_exporter {PEER_VERSION}: {error}")
            peer_too = False
    with ExitStack() as stack:
        if options.prefer and not stack.enter_context(preferred()):
            parser.error("--prefer needs root and cgroup v1")
        parts = stack.enter_context(bench())
        parts.prefer = options.prefer
        parts.river.start()
        start_up(parts)
        costs(parts, steps)
        with_pool_statistics(parts)
        rest(parts, options.minutes, peer_too)
        print(table(parts.figures))
        print(beside(parts.pairs))
        write(parts.figures, parts.pairs, arguments if arguments is not None else sys.argv[1:])
    failed = sum(not each.passed for each in parts.figures)
    print(f"{len(parts.figures) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
