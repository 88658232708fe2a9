"""The health of river_job and what holds back its vacuum, on tables that are really unhealthy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from exporter.river.facts import INDEXES
from tests.collecting import Exporter
from tests.conftest import Database
from tests.testbed.process import wait_for

PUBLIC = ("public",)


@pytest.fixture
def exporter(database: Database) -> Iterator[Exporter]:
    """Yield an elected exporter with the least-privilege role."""
    with Exporter(database.exporter_url) as exporter:
        yield exporter


def fill(connection: psycopg.Connection, jobs: int) -> None:
    """Insert finished jobs, and forbid autovacuum to meddle."""
    connection.execute("ALTER TABLE river_job SET (autovacuum_enabled = off)")
    connection.execute(
        "INSERT INTO river_job (state, finalized_at, kind, max_attempts, args)"
        " SELECT 'completed', now(), 'k', 1, '{}' FROM generate_series(1, %s)",
        [jobs],
    )
    connection.execute("VACUUM ANALYZE river_job")


def test_a_healthy_table(exporter: Exporter, database: Database) -> None:
    """Rows, sizes and indexes are those of the catalogue; nothing is overdue."""
    with database.connect() as connection:
        fill(connection, 5000)
        found = exporter.until(
            "table", lambda now: "river_table_last_vacuum_timestamp_seconds" in now, "the statistics to arrive"
        )
        size = connection.execute("SELECT pg_relation_size('river_job'), pg_indexes_size('river_job')").fetchone()
    assert size == (
        found["river_table_size_bytes"]["public", "heap"],
        found["river_table_size_bytes"]["public", "indexes"],
    )
    assert size is not None
    assert found["river_table_rows"]["public", "live"] == 5000
    assert found["river_table_bytes_per_row"][PUBLIC] == size[0] / 5000
    assert found["river_table_rows"]["public", "dead"] == 0
    assert found["river_table_vacuum_overdue_ratio"][PUBLIC] == 0
    assert found["river_table_vacuum_running"][PUBLIC] == 0
    assert 0 <= found["river_table_wraparound_ratio"][PUBLIC] < 0.01
    assert abs(found["river_table_last_vacuum_timestamp_seconds"]["public", "vacuum"] - time.time()) < 60
    assert found["river_index_valid"] == {("public", index): 1 for index in INDEXES}
    assert found["river_indexes_invalid"][PUBLIC] == 0


def test_scans_and_updates_count_from_zero(database: Database) -> None:
    """A sequential scan, an index scan and updates show by type as what they are."""
    with database.connect() as connection:
        fill(connection, 1000)
    with Exporter(database.exporter_url) as exporter:
        first = exporter.run("table")
        assert set(first["river_table_scans_total"].values()) == {0}
        with database.connect() as connection:
            connection.execute("SELECT count(args) FROM river_job")
            connection.execute("SET enable_seqscan = off")
            connection.execute("SELECT args FROM river_job WHERE id = (SELECT min(id) FROM river_job)")
            connection.execute("UPDATE river_job SET priority = 2 WHERE id = (SELECT min(id) FROM river_job)")
        found = exporter.until(
            "table", lambda now: sum(now["river_table_updates_total"].values()) == 1, "the update to be counted"
        )
    assert found["river_table_updates_total"]["public", "other"] == 1
    assert found["river_table_scans_total"]["public", "sequential"] == 1
    assert found["river_table_rows_read_total"]["public", "sequential"] == 1000
    assert found["river_table_scans_total"]["public", "index"] == 4
    assert found["river_index_scans_total"]["public", "river_job_pkey"] == 4


def test_dead_rows_are_overdue_by_the_tables_own_threshold(exporter: Exporter, database: Database) -> None:
    """1,000 dead rows are 4 times a threshold of 50 and 0.2 of 1,000, and 10 times one of 100 and nothing."""
    with database.connect() as connection:
        fill(connection, 1000)
        connection.execute("UPDATE river_job SET metadata = '{\"a\": 1}'")
    found = exporter.until("table", lambda now: now["river_table_rows"]["public", "dead"] == 1000, "dead rows")
    assert found["river_table_vacuum_overdue_ratio"][PUBLIC] == 4
    with database.connect() as connection:
        connection.execute(
            "ALTER TABLE river_job SET (autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0)"
        )
    assert exporter.run("table")["river_table_vacuum_overdue_ratio"][PUBLIC] == 10


def test_indexes_that_are_broken_or_missing(exporter: Exporter, database: Database) -> None:
    """A reindex that fails leaves an invalid index, folded into `other`; a dropped index of River's is missed."""
    with database.connect() as connection:
        fill(connection, 10)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY river_job_kind_ccnew ON river_job (kind)")
        connection.execute("DROP INDEX river_job_kind")
    found = exporter.run("table")
    assert found["river_indexes_invalid"][PUBLIC] == 1
    assert found["river_index_valid"]["public", "river_job_kind"] == 0
    assert found["river_index_valid"]["public", "river_job_pkey"] == 1
    assert found["river_index_size_bytes"]["public", "other"] >= 0
    assert ("public", "river_job_kind") not in found["river_index_size_bytes"]


def test_the_pending_lists_of_gin_indexes_show_where_the_extension_is(exporter: Exporter, database: Database) -> None:
    """Each insert adds to the list, VACUUM empties it; without pgstattuple, or with it closed, nothing is said."""
    exporter.run("target")
    assert "river_index_gin_pending_pages" not in exporter.run("table")
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA tools")
        connection.execute("CREATE EXTENSION pgstattuple SCHEMA tools")
        exporter.run("target")
        assert "river_index_gin_pending_pages" not in exporter.run("table")
        connection.execute("GRANT USAGE ON SCHEMA tools TO PUBLIC")
        exporter.run("target")
        fill(connection, 10)
        empty = exporter.run("table")["river_index_gin_pending_pages"]
        connection.execute(
            "INSERT INTO river_job (state, finalized_at, kind, max_attempts, args)"
            " SELECT 'completed', now(), 'k', 1, jsonb_build_object('n', n::text) FROM generate_series(1, 5000) n"
        )
        assert exporter.run("table")["river_index_gin_pending_pages"]["public", "river_job_args_index"] > 10
    assert empty == {("public", "river_job_args_index"): 0, ("public", "river_job_metadata_index"): 0}


def test_a_vacuum_under_way_shows(exporter: Exporter, database: Database) -> None:
    """While a slow vacuum runs, the table says so."""
    with database.connect() as connection:
        fill(connection, 20000)
        connection.execute("UPDATE river_job SET metadata = '{\"a\": 1}'")

    def vacuum() -> None:
        with database.connect() as connection:
            connection.execute("SET vacuum_cost_delay = 100")
            connection.execute("SET vacuum_cost_limit = 1")
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("VACUUM river_job")

    thread = threading.Thread(target=vacuum)
    thread.start()
    try:
        exporter.until("table", lambda now: now["river_table_vacuum_running"][PUBLIC] == 1, "the vacuum to show")
    finally:
        with database.connect() as connection:
            connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum")
        thread.join()
    exporter.until("table", lambda now: now["river_table_vacuum_running"][PUBLIC] == 0, "the vacuum to end")


def test_nobody_holds_back_vacuum(exporter: Exporter) -> None:
    """On a quiet server each kind of holder is there with next to nothing."""
    found = exporter.until(
        "vacuum", lambda now: max(now["river_vacuum_held_back_seconds"].values()) < 1, "a quiet server"
    )
    assert found["river_vacuum_held_back_seconds"].keys() == {
        ("session",),
        ("slot",),
        ("prepared_transaction",),
        ("standby",),
    }
    assert found["river_autovacuum_workers"]["max",] >= 3


def test_an_open_transaction_holds_back_vacuum(exporter: Exporter, database: Database) -> None:
    """A session that stays in its transaction is the holder, for as long as it does."""
    with database.connect() as connection, psycopg.connect(database.superuser_url) as open_one:
        open_one.execute("CREATE TABLE mine ()")
        started = time.monotonic()
        for _ in range(20):
            connection.execute("CREATE TABLE other ()")
            connection.execute("DROP TABLE other")
        found = exporter.until("vacuum", lambda now: now["river_vacuum_held_back_seconds"]["session",] > 1, "a holder")
        assert found["river_vacuum_held_back_seconds"]["session",] < time.monotonic() - started + 1
        assert found["river_vacuum_held_back_transactions"]["session",] >= 40
        open_one.rollback()
        exporter.until("vacuum", lambda now: now["river_vacuum_held_back_seconds"]["session",] < 1, "nobody")


def test_a_forgotten_prepared_transaction_holds_back_vacuum(exporter: Exporter, database: Database) -> None:
    """A prepared transaction has no session and survives restarts; it is named as such."""
    with database.connect() as connection:
        with connection.transaction():
            connection.execute("CREATE TABLE mine ()")
            connection.execute("PREPARE TRANSACTION 'forgotten'")
        try:
            for _ in range(5):
                connection.execute("CREATE TABLE other ()")
                connection.execute("DROP TABLE other")
            found = exporter.until(
                "vacuum", lambda now: now["river_vacuum_held_back_seconds"]["prepared_transaction",] > 0.5, "a holder"
            )
            assert found["river_vacuum_held_back_transactions"]["prepared_transaction",] >= 10
        finally:
            connection.execute("ROLLBACK PREPARED 'forgotten'")
    wait_for(
        lambda: exporter.run("vacuum")["river_vacuum_held_back_seconds"]["prepared_transaction",] == 0, 5, "nobody"
    )
