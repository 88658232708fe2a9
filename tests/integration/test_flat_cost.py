"""Looking costs the same however many jobs are finished: no query reads the table, or more than some pages of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from exporter.collectors.discovery import classes
from tests.collecting import Exporter
from tests.conftest import PASSWORD, ROLE
from tests.testbed.postgres import Postgres
from tests.testbed.river import Version

FINISHED = 1_000_000
NAMES = sorted(each.name for each in classes() if each.lane in ("database", "sampler"))
FORBIDDEN = "Seq Scan on river_job"
BLOCKS = 2_000
"""Shared blocks of 8 kB a query may touch; the table has ten times as many, and 6,000 jobs are in the last minute."""


def fill(connection: psycopg.Connection) -> None:
    """A day of finished jobs, the last minute at 100 a second, and some thousand live ones; as autovacuum leaves it."""
    connection.execute("ALTER TABLE river_job SET (autovacuum_enabled = off)")
    for index in ("river_job_args_index", "river_job_metadata_index", "river_job_kind"):
        connection.execute(f"DROP INDEX {index}")
    connection.execute(
        "INSERT INTO river_job"
        " (state, attempted_at, finalized_at, attempted_by, attempt, kind, queue, max_attempts, args)"
        " SELECT (ARRAY['completed','completed','completed','cancelled','discarded'])[1 + n %% 5]::river_job_state,"
        " now() - n * interval '10 ms' - interval '1 s', now() - n * interval '10 ms', ARRAY['c' || n %% 5], 1,"
        " 'k' || n %% 7, 'q' || n %% 9, 1, '{}' FROM generate_series(%s, 1, -1) AS n",
        [FINISHED],
    )
    connection.execute(
        "INSERT INTO river_job"
        " (state, attempted_at, scheduled_at, attempted_by, attempt, kind, queue, priority, max_attempts, args)"
        " SELECT (ARRAY['available','scheduled','retryable','running'])[1 + n % 4]::river_job_state,"
        " now(), now() + n * interval '1 s', ARRAY['c'], 1, 'k', 'q' || n % 9, 1 + n % 4, 1, '{}'"
        " FROM generate_series(1, 4000) AS n"
    )
    connection.execute("VACUUM ANALYZE river_job")


@pytest.fixture(scope="module")
def exporter(postgres: Postgres, template: Callable[[Version], str]) -> Iterator[Exporter]:
    """Yield an exporter beside a table with a million finished jobs."""
    postgres.create_database("large", template("0.51"))
    try:
        with postgres.connect("large") as connection:
            fill(connection)
        with Exporter(postgres.url("large", ROLE, PASSWORD)) as exporter:
            yield exporter
    finally:
        postgres.drop_database("large")


@pytest.mark.parametrize("name", NAMES)
def test_no_query_grows_with_the_finished_jobs(exporter: Exporter, name: str) -> None:
    """No plan scans the table, and each touches few of its pages; once warm, it takes at most 50 ms."""
    exporter.run(name)
    plans = exporter.plans(name)
    for query, plan in plans.items():
        assert FORBIDDEN not in plan.nodes, query
        assert plan.blocks < BLOCKS, query
        assert plan.seconds < 0.05, query
