"""Every fault is provoked for real, and doctor names it within half a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import PASSWORD, ROLE, Database, StartRiver
from tests.integration.test_doctor import LONGEST, completed, configuration, found
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import Load, River

EXPECTED: dict[str, tuple[str, str, float | None]] = {
    "row-lock": ("locks", "pg_terminate_backend", None),
    "long-update": ("locks", "pg_cancel_backend", None),
    "other-river": ("locks", "River's own program", None),
    "prepared-transaction": ("locks", "ROLLBACK PREPARED", None),
    "table-lock": ("locks", "pg_terminate_backend", None),
    "ddl": ("locks", "pg_terminate_backend", None),
    "vacuum-full": ("locks", "pg_terminate_backend", None),
    "pool-exhausted": ("pool-free", "holds the connections", None),
    "transactions-leaked": ("pool-free", "holds the connections", None),
    "pool-held": ("pool-free", "holds the connections", None),
    "network-delay": ("network-connect", "way between", 0.3),
    "jitter": ("network-connect", "way between", 2.0),
    "black-hole": ("network-connect", "way between", None),
    "accept-then-stall": ("network-connect", "way between", None),
    "refuse": ("network-connect", "way between", None),
    "slow-statement": ("triggers", "DISABLE TRIGGER", 7.0),
    "slow-trigger": ("triggers", "DISABLE TRIGGER", 7.0),
    "missing-index": ("indexes", "CREATE INDEX", 100_000.0),
    "bloat": ("dead-rows", "VACUUM", 100_000.0),
    "check-constraint": ("constraints", "drop it", None),
    "raising-trigger": ("triggers", "disable it", None),
    "read-only": ("read-only", "allow writes", None),
    "sync-standby": ("synchronous-standby", "synchronous_standby_names", None),
    "checkpoint-storm": ("checkpoints", "max_wal_size", None),
}
"""Fault, the check that names it, a word of the remedy, and the intensity if not the strongest."""

USUAL: Load = {"rate": 50, "job_seconds": 0.1, "workers": 8, "pool": 16}
"""A River that works well."""

LOADS: dict[str, Load] = {"pool-held": {"rate": 50, "job_seconds": 0.1, "workers": 20, "pool": 10}}
"""What it does where a fault needs another load."""

APART = {"pgbouncer-exhausted"}
"""Faults with a test of their own."""


@pytest.fixture
def proxy(database: Database) -> Iterator[TcpProxy]:
    """Yield a proxy before the test's PostgreSQL."""
    with TcpProxy(database.server.host, database.server.port) as started:
        yield started


@pytest.fixture
def worker(fault: str, river: StartRiver, database: Database, proxy: TcpProxy) -> River:
    """Return a River that works well behind the proxy."""
    worker = river(proxy.url(database.superuser_url), **LOADS.get(fault, USUAL))
    wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
    return worker


def test_every_fault_there_is_has_a_check() -> None:
    """None is forgotten."""
    assert set(EXPECTED) | APART == set(FAULTS)


@pytest.mark.parametrize("fault", EXPECTED)
def test_fault_is_named(fault: str, database: Database, worker: River, proxy: TcpProxy) -> None:
    """The check that names it warns, with a remedy, in time."""
    check, remedy, intensity = EXPECTED[fault]
    environment = configuration(database.exporter_url, worker)
    environment["RIVER_EXPORTER_RIVER_URL"] = proxy.url(database.exporter_url)
    with FAULTS[fault](Environment(database.superuser_url, worker, proxy), intensity):
        started = time.monotonic()
        findings = found(environment)
        took = time.monotonic() - started
    assert findings[check].status in ("warning", "problem"), findings
    assert remedy in f"{findings[check].remedy}\n{findings[check].sql}"
    assert took <= LONGEST


def test_exhausted_pgbouncer_is_named(database: Database, river: StartRiver) -> None:
    """Its console tells, for River's user; the exporter's own role connects as quickly as ever."""
    users = {ROLE: PASSWORD}
    with ExitStack() as parts:
        pgbouncer = parts.enter_context(PgBouncer(database.server, database.name, users, pool_size=4))
        worker = river(pgbouncer.url(), rate=50, job_seconds=0.1, workers=8, poll_only=True, exec_mode="exec")
        wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
        parts.enter_context(
            FAULTS["pgbouncer-exhausted"](Environment(database.superuser_url, worker, pgbouncer=pgbouncer))
        )
        environment = configuration(database.exporter_url, worker)
        environment["RIVER_EXPORTER_RIVER_URL"] = pgbouncer.url(ROLE)
        environment["RIVER_EXPORTER_PGBOUNCER_URL"] = pgbouncer.console_url
        environment["RIVER_EXPORTER_PGBOUNCER_USER"] = "postgres"
        findings = found(environment)
    assert findings["pool-free"].status == "problem"
    assert "pgbouncer" in findings["pool-free"].summary
