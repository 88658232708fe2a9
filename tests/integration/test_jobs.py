"""Jobs: what waits, runs or is to be retried in each queue, at a cost that finished jobs do not touch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.collectors.jobs import BUDGET, EXACT
from exporter.postgres.sessions import load
from tests.collecting import Exporter
from tests.conftest import Database
from tests.playing import add_jobs

QUERIES = ("jobs", "completions", "completions_kinds", "completions_running")


def test_live_jobs_are_counted_by_queue_and_state(database: Database) -> None:
    """Finished ones are not among them; the oldest available one says how late its queue is."""
    for state, count in (("available", 3), ("running", 2), ("retryable", 1), ("completed", 5), ("discarded", 4)):
        add_jobs(database, count, state)
    add_jobs(database, 2, "available", "mail")
    with database.connect() as superuser:
        superuser.execute("UPDATE river_job SET scheduled_at = now() - interval '90 s' WHERE queue = 'mail'")
    with Exporter(database.exporter_url) as exporter:
        found = exporter.run("jobs")
    jobs = {labels[1:]: value for labels, value in found["river_jobs"].items() if value}
    assert jobs == {
        ("default", "available"): 3,
        ("default", "running"): 2,
        ("default", "retryable"): 1,
        ("mail", "available"): 2,
    }
    assert found["river_jobs"]["public", "mail", "running"] == 0
    assert 90 <= found["river_queue_oldest_available_seconds"]["public", "mail"] < 120
    assert found["river_queue_oldest_available_seconds"]["public", "default"] < 30
    assert found["river_queues_folded"]["public",] == 0


def test_queues_beyond_the_cap_are_counted_as_one(database: Database) -> None:
    """The largest keep their names; nothing is lost from the sum."""
    for number in range(8):
        add_jobs(database, number + 1, "available", f"queue_{number}")
    with Exporter(database.exporter_url, RIVER_EXPORTER_LIMITS_QUEUES="3") as exporter:
        found = exporter.run("jobs")
        by_queue = {queue: value for (_, queue, state), value in found["river_jobs"].items() if state == "available"}
        assert by_queue == {"queue_7": 8, "queue_6": 7, "queue_5": 6, "other": 15}
        assert found["river_queues_folded"]["public",] == 5


def test_a_queue_of_jobs_named_other_is_not_lost(database: Database) -> None:
    """Its jobs are added to those of the folded queues."""
    add_jobs(database, 5, "available", "other")
    add_jobs(database, 1, "available", "tiny")
    with Exporter(database.exporter_url, RIVER_EXPORTER_LIMITS_QUEUES="1") as exporter:
        assert exporter.run("jobs")["river_jobs"]["public", "other", "available"] == 6


@pytest.fixture
def filled(database: Database) -> Database:
    """Return a database with many finished jobs beside a few that live."""
    with database.connect() as superuser:
        superuser.execute(
            "INSERT INTO river_job (kind, args, max_attempts, state, attempt, attempted_at, finalized_at)"
            " SELECT 'mail', '{}', 25, 'completed', 1, now(), now() - n * interval '1 ms'"
            " FROM generate_series(1, 30000) AS n"
        )
        add_jobs(database, 200, "available")
        add_jobs(database, 50, "running")
        superuser.execute("VACUUM ANALYZE river_job")
    return database


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """All nodes of a plan."""
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]


@pytest.mark.parametrize("query", QUERIES)
def test_finished_jobs_cost_nothing(filled: Database, query: str) -> None:
    """The table is read through its indexes, and only where live or the latest jobs stand."""
    with filled.connect() as superuser:
        text = load(query, 18).replace("{schema}", "public")
        given = {"limit": EXACT} if query == "jobs" else None
        row = superuser.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}".encode(), given).fetchone()
    assert row is not None
    (explained,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
    scans = [node for node in nodes(explained["Plan"]) if node.get("Relation Name") == "river_job"]
    assert scans
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    if query == "jobs":
        assert {(node["Node Type"], node["Index Name"]) for node in scans} == {
            ("Index Only Scan", "river_job_prioritized_fetching_index")
        }
    assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] < 400


def wait_in(database: Database, queues: dict[str, int], state: str = "available") -> None:
    """Insert live jobs as autovacuum leaves them, without the indexes that only cost time here."""
    with database.connect() as superuser:
        for index in ("river_job_args_index", "river_job_metadata_index", "river_job_kind"):
            superuser.execute(f"DROP INDEX IF EXISTS {index}")
        for queue, count in queues.items():
            superuser.execute(
                "INSERT INTO river_job (kind, args, max_attempts, state, queue, priority, scheduled_at)"
                " SELECT 'mail', '{}', 25, %s::river_job_state, %s, 1 + n %% 2, now() - interval '90 s'"
                " FROM generate_series(1, %s) AS n",
                [state, queue, count],
            )
        superuser.execute("VACUUM ANALYZE river_job")


def touched(exporter: Exporter) -> int:
    """Shared blocks that a run of the collector touches, once it knows how many jobs there are."""
    exporter.run("jobs")
    return sum(plan.blocks for plan in exporter.plans("jobs").values())


def test_many_waiting_jobs_cost_no_more_than_few(database: Database) -> None:
    """300,000 that wait cost at most twice what 10,000 do, in blocks; no plan reads the table or has workers."""
    with Exporter(database.exporter_url) as exporter:
        wait_in(database, {"mail": 10_000})
        few = touched(exporter)
        wait_in(database, {"mail": 285_000, "bulk": 5_000}, "available")
        many = touched(exporter)
        nodes = [node for plan in exporter.plans("jobs").values() for node in plan.nodes]
    assert {node for node in nodes if node.endswith(" river_job")} == {"Index Only Scan on river_job"}
    assert not any(node.startswith("Gather") for node in nodes)
    assert many <= 2 * few


def test_a_count_that_stopped_is_told_as_a_lower_bound(database: Database) -> None:
    """Small queues are counted to the end, large ones to what is left; when they are small again, nothing is capped."""
    wait_in(database, {"bulk": 30_000, "mail": 700})
    add_jobs(database, 5, "running", "mail")
    with Exporter(database.exporter_url) as exporter:
        found = exporter.run("jobs")
        assert found.get("river_jobs_capped") == {("public", "bulk", "available"): 1}, found
        assert found["river_jobs"]["public", "mail", "available"] == 700
        assert found["river_jobs"]["public", "mail", "running"] == 5
        assert BUDGET - 800 <= found["river_jobs"]["public", "bulk", "available"] <= BUDGET
        assert found["river_queue_oldest_available_seconds"]["public", "bulk"] >= 90
        with database.connect() as superuser:
            superuser.execute("DELETE FROM river_job WHERE queue = 'bulk' AND id % 10 > 0")
        exporter.run("jobs")
        after = exporter.run("jobs")
    assert "river_jobs_capped" not in after
    assert after["river_jobs"]["public", "bulk", "available"] == 3_000


def test_many_queues_are_counted_to_the_end(database: Database) -> None:
    """Up to the limit the count is exact, in however many queues."""
    wait_in(database, {f"queue_{number}": 100 for number in range(60)})
    with Exporter(database.exporter_url) as exporter:
        found = exporter.run("jobs")
    assert sum(found["river_jobs"].values()) == 6_000
    assert found["river_queues_folded"]["public",] == 10
    assert "river_jobs_capped" not in found
