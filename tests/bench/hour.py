"""What happens in a healthy hour, and when."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.testbed.exporter import Exporter
from tests.testbed.postgres import Postgres
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.process import ServerFailed, wait_for
from tests.testbed.river import River

RATE, BURST = 50.0, 1500.0
"""Jobs inserted per second, and within a burst."""

PAUSED = "mail"
"""The queue that is paused, of the second process."""


@dataclass
class Hour:
    """What runs: the process of mixed jobs, the one of quick jobs, and what they are watched by.

    Attributes:
        seconds: how long it is.
        doing: the last event that began.
    """

    postgres: Postgres
    mixed: River
    quick: River
    exporter: Exporter
    database: str
    seconds: float
    doing: str = "the start"

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with self.postgres.connect(self.database) as connection:
            connection.execute(statement.encode())

    def orphans(self) -> int:
        """How many jobs are marked running for longer than the longest of them takes."""
        longest = self.mixed.load.get("long_job_seconds", 0.0) + 30
        query = f"select from river_job where state = 'running' and attempted_at < now() - interval '{longest} s'"
        with self.postgres.connect(self.database) as connection:
            return connection.execute(query.encode()).rowcount

    def linger(self, share: float) -> None:
        """Wait for that share of the hour."""
        time.sleep(share * self.seconds)


@dataclass(frozen=True)
class Plan:
    """One event: when it begins, as a share of the hour, and what is done; `happen` returns when it is over."""

    share: float
    name: str
    happen: Callable[[Hour], None]
    restarts_server: bool = False


def plan() -> list[Plan]:
    """All events in their order."""
    return [
        Plan(0.00, "a burst", _burst),
        Plan(0.06, "an idle gap", _idle),
        Plan(0.14, "a burst after an idle gap", _burst),
        Plan(0.18, "a deploy of the mixed workers", lambda hour: _restart(hour.mixed)),
        Plan(0.24, "a crash of the quick workers", lambda hour: _crash(hour.quick)),
        Plan(0.30, "VACUUM", lambda hour: hour.execute("vacuum analyze river_job")),
        Plan(0.33, "REINDEX CONCURRENTLY", lambda hour: hour.execute("reindex table concurrently river_job")),
        Plan(0.40, "pg_dump", _dump),
        Plan(0.46, "a paused queue", _pause),
        Plan(0.56, "a restart of the exporter", _restart_exporter),
        Plan(0.59, "scrapes that fail", _freeze_exporter),
        Plan(0.62, "a crash of the mixed workers", lambda hour: _crash(hour.mixed)),
        Plan(0.68, "a restart of the server", lambda hour: hour.postgres.restart(), restarts_server=True),
        Plan(0.82, "a deploy of all workers", _restart_all),
        Plan(0.88, "only long jobs", _only_long),
        Plan(0.95, "a burst at the end", _burst),
    ]


def _burst(hour: Hour) -> None:
    hour.mixed.set_rate(BURST)
    time.sleep(3)
    hour.mixed.set_rate(RATE)


def _idle(hour: Hour) -> None:
    for river in (hour.mixed, hour.quick):
        river.set_rate(0)
    hour.linger(0.06)
    hour.mixed.set_rate(RATE)
    hour.quick.set_rate(10)


def _only_long(hour: Hour) -> None:
    """The queue runs dry but for long jobs: nothing completes, and nothing is due."""
    hour.mixed.set_jobs(LongShare=1.0)
    time.sleep(0.2)
    hour.quick.set_rate(0)
    hour.mixed.set_rate(0)
    hour.linger(0.05)
    hour.mixed.set_jobs(LongShare=0.0005)
    hour.mixed.set_rate(RATE)
    hour.quick.set_rate(10)


def _restart(river: River) -> None:
    river.stop()
    river.start()


def _restart_all(hour: Hour) -> None:
    _restart(hour.mixed)
    _restart(hour.quick)


def _crash(river: River) -> None:
    """Killed, and a new one started: what it worked stays `running` until it is rescued."""
    river.kill()
    river.start()


def _restart_exporter(hour: Hour) -> None:
    hour.exporter.server.stop()
    hour.exporter.start()


def _freeze_exporter(hour: Hour) -> None:
    """For long enough that a scrape each 10 s gets no answer."""
    hour.exporter.server.pause()
    time.sleep(22)
    hour.exporter.server.resume()


def _dump(hour: Hour) -> None:
    """Of the whole database, to nowhere; it holds its locks and its snapshot for as long as it runs."""
    home, postgres = postgres_home(hour.postgres.version), hour.postgres
    account = {"PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": "postgres", "PGDATABASE": hour.database}
    done = subprocess.run(
        [home / "bin" / "pg_dump", "--file", os.devnull],
        env={
            **os.environ,
            **environment(home),
            **account,
            "PGPASSWORD": postgres.password,
            "PGDATABASE": hour.database,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"pg_dump failed: {done.stderr.strip().splitlines()[-1]}")


def _pause(hour: Hour) -> None:
    """As River's client does it: the queue's row, and word to whoever listens."""
    _control(hour, "pause", "now()")
    wait_for(lambda: not _runs(hour), 20, f"the queue {PAUSED} to be paused")
    hour.linger(0.06)
    _control(hour, "resume", "null")
    wait_for(lambda: _runs(hour), 20, f"the queue {PAUSED} to go on")


def _control(hour: Hour, action: str, paused_at: str) -> None:
    payload = json.dumps({"action": action, "queue": PAUSED})
    with hour.postgres.connect(hour.database) as connection:
        connection.execute(f"update river_queue set paused_at = {paused_at} where name = %s".encode(), [PAUSED])
        connection.execute("select pg_notify('public.river_control', %s)", [payload])


def _runs(hour: Hour) -> bool:
    """Whether jobs are fetched; what a crash left behind says `running` for long."""
    query = "select from river_job where queue = %s and attempted_at > now() - interval '1 s' limit 1"
    with hour.postgres.connect(hour.database) as connection:
        return bool(connection.execute(query, [PAUSED]).rowcount)
