"""Election: of several exporters one speaks for the database, and another takes over within seconds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.postgres.sessions import Unreachable
from tests.collecting import Exporter as Collecting
from tests.conftest import Database
from tests.testbed.exporter import Exporter
from tests.testbed.process import wait_for

ONCE = ("river_jobs", "river_sessions", "river_session_seconds_total", "river_statement_calls_total")
"""Series that two exporters would double."""


@pytest.fixture
def pair(database: Database) -> Iterator[tuple[Exporter, Exporter]]:
    """Yield the exporter that was elected and one that was not."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(Exporter(database.exporter_url)) for _ in range(2))
        wait_for(lambda: leads(first) or leads(second), 20, "one to be elected")
        wait_for(lambda: known(first) and known(second), 20, "the other to know")
        yield (first, second) if leads(first) else (second, first)


def known(exporter: Exporter) -> bool:
    """Whether it knows if it leads."""
    return bool(exporter.metrics().samples("river_exporter_is_leader", schema="public"))


def leads(exporter: Exporter) -> bool:
    """Whether it says that it leads."""
    return exporter.metrics().total("river_exporter_is_leader", schema="public") == 1


def test_one_speaks_for_the_database_and_each_for_its_own_pod(pair: tuple[Exporter, Exporter]) -> None:
    """No series twice; network and pool of its own pod each gives."""
    leader, other = pair
    assert leads(leader)
    assert not leads(other)
    wait_for(lambda: leader.metrics().samples("river_statement_calls_total"), 30, "the leader's series")
    assert [name for name in ONCE if other.metrics().samples(name)] == []
    for exporter in pair:
        wait_for(lambda: exporter.metrics().samples("river_budget_source", cause="network"), 10, "its own network")  # noqa: B023
    causes = {each.labels["cause"] for each in other.metrics().samples("river_completer_budget_seconds")}
    assert causes <= {"network", "pool"}


def test_another_takes_over_within_five_seconds_when_the_leader_is_killed(pair: tuple[Exporter, Exporter]) -> None:
    """Its sessions end with its process, and with them the lock."""
    leader, other = pair
    os.kill(leader.server.pid, signal.SIGKILL)
    began = time.monotonic()
    wait_for(lambda: leads(other), 10, "the other to take over", interval=0.05)
    assert time.monotonic() - began <= 5
    wait_for(lambda: other.metrics().samples("river_sessions"), 10, "its series", interval=0.05)


def test_a_leader_that_ends_in_order_hands_over_too(pair: tuple[Exporter, Exporter]) -> None:
    """A rolling update makes no gap longer than that."""
    leader, other = pair
    os.kill(leader.server.pid, signal.SIGTERM)
    began = time.monotonic()
    wait_for(lambda: leads(other), 10, "the other to take over", interval=0.05)
    assert time.monotonic() - began <= 5


END_HOLDER = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def test_a_leader_that_loses_its_session_does_not_know_who_leads(database: Database) -> None:
    """Its lock is gone with the session; it does not give way before another one is seen to lead."""
    with Collecting(database.exporter_url) as exporter, database.connect() as superuser:
        assert exporter.context.led() == ("public",)
        superuser.execute(END_HOLDER)
        with pytest.raises(Unreachable):
            exporter.run("election")
        assert exporter.context.led() == ()
        assert not exporter.context.superseded()
        exporter.run("election")  # a new session, and the lock is free
        assert exporter.context.led() == ("public",)


def test_one_that_finds_the_lock_taken_gives_way(database: Database) -> None:
    """And takes over once it is free."""
    with Collecting(database.exporter_url) as exporter, database.connect() as other:
        other.execute(END_HOLDER)
        other.execute("SELECT pg_advisory_lock(1380537938, hashtext('public'))")
        with pytest.raises(Unreachable):
            exporter.run("election")
        assert exporter.run("election")["river_exporter_is_leader"] == {("public",): 0}
        assert exporter.context.led() == ()
        assert exporter.context.superseded()
        other.execute("SELECT pg_advisory_unlock_all()")
        assert exporter.run("election")["river_exporter_is_leader"] == {("public",): 1}
        assert exporter.context.led() == ("public",)
        assert not exporter.context.superseded()


def test_schemas_are_led_one_by_one(database: Database) -> None:
    """Each has a lock of its own, so that two exporters may watch two Rivers of one database."""
    with Collecting(database.exporter_url) as exporter, database.connect() as superuser:
        rows = superuser.execute(
            "SELECT classid, objid::int8, objsubid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
        assert [row[::2] for row in rows] == [(1380537938, 2)]  # two int4 keys, the first one ours
        assert exporter.context.led() == ("public",)
        assert exporter.run("election")["river_exporter_is_leader"] == {("public",): 1}
