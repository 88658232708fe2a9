"""Every collector's queries run on every supported PostgreSQL, under the least-privilege role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.collectors.discovery import classes
from tests.collecting import Exporter, Values
from tests.conftest import PASSWORD, ROLE
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare

NAMES = sorted(each.name for each in classes() if each.lane == "database" and each.elected)


@pytest.fixture(scope="module", params=[13, 14, 15, 16, 17, 18])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Yield a server of each version, with River's tables and the exporter's role; times are measured."""
    timing = {"track_io_timing": "on"} | ({"track_wal_io_timing": "on"} if request.param >= 14 else {})
    with Postgres(request.param, {**timing, "fsync": "on"}) as server:
        prepare(server, "postgres", ROLE, PASSWORD)
        yield server


@pytest.fixture
def exporter(server: Postgres) -> Iterator[Exporter]:
    """Yield an elected exporter on it."""
    with Exporter(server.url("postgres", ROLE, PASSWORD)) as exporter:
        yield exporter


def total(found: Values, name: str) -> float:
    """All series of a metric together."""
    return sum(found[name].values())


@pytest.mark.parametrize("name", NAMES)
def test_every_collector_runs(exporter: Exporter, name: str) -> None:
    """A collector whose capabilities are there says something, twice in a row."""
    capable = all(exporter.context.capable(each) for each in exporter.collector(name).needs)
    assert capable
    exporter.run(name)
    exporter.run(name)
    missing = {each for each, there in exporter.run("target")["river_exporter_capability"].items() if not there}
    assert missing == set()


def test_the_servers_work_is_counted(server: Postgres, exporter: Exporter) -> None:
    """WAL, checkpoints, I/O, temporary files and deadlocks rise by what happens, from 0, and never fall at a reset."""
    names = [
        "river_postgres_wal_bytes_total",
        "river_postgres_checkpoints_total",
        "river_postgres_checkpoint_seconds_total",
    ]
    if server.version >= 14:
        names += ["river_postgres_wal_write_seconds_total", "river_postgres_wal_buffers_full_total"]
    if server.version >= 16:
        names += ["river_postgres_io_operations_total", "river_postgres_io_seconds_total"]
    first = exporter.run("storage")
    assert {name for name in first if name.endswith("_total")} == set(names)
    assert all(value == 0 for name in names for value in first[name].values())
    with server.connect() as connection:
        connection.execute("CREATE TABLE work AS SELECT n, repeat('x', 500) AS t FROM generate_series(1, 20000) AS n")
        connection.execute("CHECKPOINT")
        connection.execute("DROP TABLE work")
    busy = {name: 0.0 for name in names if "full" not in name}

    def counted(now: Values) -> bool:
        return all(total(now, name) > 0 for name in busy) and now["river_postgres_wal_bytes_total"][()] > 1e6

    found = exporter.until("storage", counted, "the work to be counted")
    assert found["river_postgres_checkpoints_total"]["requested",] >= 1
    with server.connect() as connection:
        connection.execute("SELECT pg_stat_reset_shared('bgwriter')")
        if server.version >= 14:
            connection.execute("SELECT pg_stat_reset_shared('wal')")
        if server.version >= 16:
            connection.execute("SELECT pg_stat_reset_shared('io')")
        if server.version >= 17:
            connection.execute("SELECT pg_stat_reset_shared('checkpointer')")
        after = exporter.run("storage")
        for name in busy:
            assert total(found, name) <= total(after, name) < 2 * total(found, name) + 100, name


def test_temporary_files_and_connections(server: Postgres, exporter: Exporter) -> None:
    """A sort that doesn't fit in memory counts; so does every connection."""
    first = exporter.run("server")
    assert first["river_postgres_temp_bytes_total"][()] == 0
    assert first["river_postgres_deadlocks_total"][()] == 0
    assert first["river_postgres_max_connections"][()] == 100
    with server.connect() as connection:
        connection.execute("SET work_mem = '64kB'")
        connection.execute("SELECT count(*) FROM (SELECT n FROM generate_series(1, 200000) AS n ORDER BY -n) AS s")
        assert exporter.run("server")["river_postgres_connections"][()] >= 3
    found = exporter.until("server", lambda now: total(now, "river_postgres_temp_bytes_total") > 1e6, "temporary files")
    assert found["river_postgres_temp_files_total"][()] >= 1


def test_no_synchronous_standby_is_needed(exporter: Exporter) -> None:
    """Without replication, commits wait for nobody, and there is no lag to tell of."""
    found = exporter.run("storage")
    assert found["river_postgres_synchronous_standbys"] == {("required",): 0, ("connected",): 0}
    assert "river_standby_lag_seconds" not in found
