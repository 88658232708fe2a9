"""Plays River and its neighbours: sessions that do one thing and stay in it until the test lets go.

The statements have River's name comment and shape, which is all that the exporter recognises them by.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.conftest import Database
from tests.testbed.process import wait_for

COMPLETE = """-- name: JobSetStateIfRunningMany :many
WITH job_input AS (SELECT unnest(%s::bigint[]) AS id),
updated AS (
    UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp()
    FROM job_input WHERE river_job.id = job_input.id AND state = 'running' RETURNING river_job.id
)
SELECT id FROM updated"""
"""As River from v0.23 on shapes its completing statement."""


def add_jobs(database: Database, count: int, state: str = "running", queue: str = "default") -> list[int]:
    """Insert jobs and return their ids."""
    finalized = "now()" if state in {"completed", "cancelled", "discarded"} else "NULL"
    attempted = "now()" if state == "running" or finalized == "now()" else "NULL"
    with database.connect() as connection:
        rows = connection.execute(
            "INSERT INTO river_job (kind, args, max_attempts, state, queue, attempt, attempted_at, finalized_at)"
            f" SELECT 'mail', '{{}}', 25, %s::river_job_state, %s, 1, {attempted}, {finalized}"
            " FROM generate_series(1, %s) RETURNING id".encode(),
            [state, queue, count],
        ).fetchall()
    return [row[0] for row in rows]


@contextmanager
def busy(database: Database, statement: str, *parameters: object, before: str = "", setting: str = "") -> Iterator[int]:
    """Run a statement in a session of its own, which may hang; yield its pid, and end it on leaving.

    Args:
        before: a statement that is run first, in the same transaction.
        setting: a run-time setting of the session, as `deadlock_timeout=30s`.
    """
    connection = psycopg.connect(
        database.superuser_url,
        autocommit=not before,
        prepare_threshold=None,
        application_name="player",
        options=f"-c {setting}" if setting else None,
    )
    if before:
        connection.execute(before.encode())

    def run() -> None:
        try:
            connection.execute(statement.encode(), parameters or None)
        except psycopg.Error:
            connection.close()  # ended below

    pid = connection.info.backend_pid
    thread = threading.Thread(target=run, name="player")
    thread.start()
    try:
        yield pid
    finally:
        with database.connect() as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s)", [pid])
        thread.join()
        connection.close()


@contextmanager
def idle(database: Database, *statements: str, application_name: str = "player") -> Iterator[int]:
    """Run statements in a transaction and leave it open; yield the session's pid."""
    with psycopg.connect(
        database.superuser_url, prepare_threshold=None, application_name=application_name
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        try:
            yield connection.info.backend_pid
        finally:
            connection.rollback()


def waits(database: Database, pid: int, for_type: str = "Lock") -> None:
    """Wait until a session waits for a lock, or for another type of event."""

    def there() -> bool:
        with database.connect() as connection:
            row = connection.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        return row is not None and row[0] == for_type

    wait_for(there, 10, f"a session to wait for a {for_type}", interval=0.02)
