"""Every fault is provoked, what doctor prints first is done as it is printed, and completions are committed again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest

from exporter.config import variable
from exporter.doctor.report import Examination
from tests import remedies
from tests.conftest import Database, StartRiver
from tests.faults.test_doctor import LOADS, USUAL
from tests.integration.test_doctor import completed, configuration
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import River

GONE = 20.0
"""Seconds in which a fault is gone once the remedy is done."""


@dataclass(frozen=True)
class Scene:
    """A River that suffers from a fault."""

    database: Database
    worker: River
    proxy: TcpProxy


def restart(scene: Scene) -> None:
    """Do what a step in words asks for: restart River's worker."""
    scene.worker.kill()
    scene.worker.start()


SQL: Mapping[str, tuple[str, str, float | None, float]] = {
    "row-lock": ("locks", "pg_terminate_backend", None, 3),
    "long-update": ("locks", "pg_cancel_backend", None, 3),
    "prepared-transaction": ("locks", "ROLLBACK PREPARED", None, 3),
    "table-lock": ("locks", "pg_terminate_backend", None, 3),
    "ddl": ("locks", "pg_terminate_backend", None, 3),
    "vacuum-full": ("locks", "pg_terminate_backend", None, 3),
    "slow-statement": ("triggers", "DISABLE TRIGGER", 7.0, 3),
    "slow-trigger": ("triggers", "DISABLE TRIGGER", 7.0, 3),
    "missing-index": ("indexes", "CREATE", 100_000.0, 3),
    "bloat": ("dead-rows", "VACUUM", 100_000.0, 31),
    "sync-standby": ("synchronous-standby", "ALTER SYSTEM", None, 15),
    "check-constraint": ("constraints", "DROP CONSTRAINT", None, 10),
    "raising-trigger": ("triggers", "DISABLE TRIGGER", None, 10),
    "read-only": ("read-only", "ALTER SYSTEM", None, 10),
}
"""Faults that are lifted in SQL: the check, a word of it, the intensity, and seconds until doctor is asked."""

STEPS: Mapping[str, tuple[str, str, Callable[[Scene], None] | None]] = {
    "other-river": ("locks", "a session of River's own program", None),
    "pool-exhausted": ("pool-free", "find what holds the connections", restart),
    "transactions-leaked": ("pool-free", "find what holds the connections", restart),
    "pool-held": ("pool-free", "find what holds the connections", None),
    "network-delay": ("network-connect", "look at the way", None),
    "jitter": ("network-connect", "look at the way", None),
    "black-hole": ("network-connect", "look at the way", None),
    "accept-then-stall": ("network-connect", "look at the way", None),
    "refuse": ("network-connect", "look at the way", None),
    "checkpoint-storm": ("checkpoints", "see whether a client runs CHECKPOINT", None),
}
"""Faults that are lifted elsewhere: the check, words of the step, and what does the step; None lifts the fault."""

APART = {"pgbouncer-exhausted"}
"""Named by a test of its own; its remedy is a step in PgBouncer's configuration or in the client that holds on."""


def test_every_fault_there_is_has_a_remedy_that_is_tried() -> None:
    """None is forgotten."""
    assert set(SQL) | set(STEPS) | APART == set(FAULTS)


@pytest.fixture
def proxy(database: Database) -> Iterator[TcpProxy]:
    """Yield a proxy before the test's PostgreSQL."""
    with TcpProxy(database.server.host, database.server.port) as started:
        yield started


@pytest.fixture
def scene(fault: str, river: StartRiver, database: Database, proxy: TcpProxy) -> Scene:
    """Return a River that works well behind the proxy."""
    worker = river(proxy.url(database.superuser_url), **LOADS.get(fault, USUAL))
    wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
    return Scene(database, worker, proxy)


@contextmanager
def provoked(fault: str, scene: Scene, intensity: float | None = None) -> Iterator[ExitStack]:
    """Provoke a fault; the stack that is yielded lifts it. What a remedy ended cannot be ended again by the fault."""
    environment = Environment(scene.database.superuser_url, scene.worker, scene.proxy)
    with suppress(psycopg.Error), ExitStack() as stack:
        stack.enter_context(FAULTS[fault](environment, intensity))
        yield stack


def asked(scene: Scene) -> Examination:
    """What doctor finds, through the proxy as River goes."""
    environment = configuration(scene.database.exporter_url, scene.worker)
    environment[variable("river.url")] = scene.proxy.url(scene.database.exporter_url)
    return remedies.examined(environment)


def newest(database: Database) -> float:
    """When the newest completed job was finished, Unix time."""
    with database.connect() as connection:
        query = (
            "SELECT coalesce(extract(epoch FROM max(finalized_at)), 0)::float8 FROM river_job WHERE state = 'completed'"
        )
        row = connection.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def assert_completing(scene: Scene, since: float) -> None:
    """Jobs that finished after `since` (Unix time) are completed, within GONE seconds."""
    wait_for(lambda: newest(scene.database) > since + 1, GONE, "completions after the remedy")


@pytest.mark.parametrize("fault", SQL)
def test_sql_that_doctor_prints_lifts_the_fault(fault: str, scene: Scene) -> None:
    """The first sentence and the first finding hold it; nothing else is done."""
    check, word, intensity, wait = SQL[fault]
    with provoked(fault, scene, intensity):
        time.sleep(wait)
        found = asked(scene)
        first = found.ordered[0]
        assert (first.check, word in first.sql) == (check, True), first
        assert found.conclusions[0].sentence.endswith(" ".join(first.sql.split()))
        assert found.conclusions[0].state != "ok" or fault in ("bloat", "missing-index", "slow-trigger"), found
        began = time.time()
        remedies.run(first.sql, scene.database)
        assert time.time() - began <= GONE
        assert_completing(scene, time.time())


@pytest.mark.parametrize("fault", STEPS)
def test_step_that_doctor_names_lifts_the_fault(fault: str, scene: Scene) -> None:
    """It is worded as a step, and no statement ends a session of River's."""
    check, words, step = STEPS[fault]
    with provoked(fault, scene, {"jitter": 2.0, "network-delay": 0.3}.get(fault)) as lifted:
        time.sleep(3)
        found = asked(scene)
        (finding, *_) = [
            each for each in found.findings if each.check == check and each.status in ("warning", "problem")
        ]
        assert words in finding.remedy
        assert not [each.sql for each in found.findings if "_backend(" in each.sql]
        if step:
            step(scene)
        else:
            lifted.close()
        assert_completing(scene, time.time())


def test_a_right_that_was_revoked_is_named_and_granted_again(database: Database, river: StartRiver) -> None:
    """River logs in as a user of its own; every completion is refused at once."""
    with database.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS app")
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'app'")
        for kind in ("SCHEMA public", "ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public"):
            connection.execute(f"GRANT ALL ON {kind} TO app".encode())
    worker = river(database.server.url(database.name, "app", "app"), **USUAL)
    wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
    try:
        with database.connect() as connection:
            connection.execute("REVOKE UPDATE ON river_job FROM app")
        time.sleep(10)
        found = remedies.examined(configuration(database.exporter_url, worker))
        first = found.ordered[0]
        assert (first.check, found.conclusions[0].state != "ok") == ("river-privileges", True), found
        assert found.exit_code == 2
        remedies.run(first.sql, database)
        since = time.time()
        wait_for(lambda: newest(database) > since + 1, GONE, "completions after the remedy")
    finally:
        worker.stop()
        with database.connect() as connection:
            connection.execute("DROP OWNED BY app")
            connection.execute("DROP ROLE app")
