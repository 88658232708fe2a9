"""What only a real standby shows: commits that wait for it, its lag, and vacuum held back on its behalf."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.collectors.storage import required
from exporter.config import variable
from exporter.doctor import Options
from tests import remedies
from tests.collecting import Exporter
from tests.conftest import PASSWORD, ROLE
from tests.standby import standby
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import free_port


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    """Yield a primary with River's tables and the exporter's role."""
    with Postgres() as primary:
        prepare(primary, "postgres", ROLE, PASSWORD)
        yield primary


@pytest.fixture
def exporter(primary: Postgres) -> Iterator[Exporter]:
    """Yield an elected exporter on the primary."""
    with Exporter(primary.url("postgres", ROLE, PASSWORD)) as exporter:
        yield exporter


@pytest.mark.parametrize(
    ("names", "number"),
    [("", 0), ("a, b", 1), ("*", 1), ("FIRST 2 (a, b, c)", 2), ("any 1 (*)", 1), (" 3 (a, b, c, d)", 3), ('"1 (x"', 1)],
)
def test_how_many_standbys_a_commit_waits_for(names: str, number: int) -> None:
    """Every form of synchronous_standby_names that the manual knows."""
    assert required(names) == number


def test_a_synchronous_standby_that_stops_shows_its_lag(primary: Postgres, exporter: Exporter) -> None:
    """Required and connected with next to no lag; paused, its lag grows; gone, nobody is connected."""
    with primary.connect() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'sync'")
        connection.execute("SELECT pg_reload_conf()")
        missing = exporter.until(
            "storage", lambda now: now["river_postgres_synchronous_standbys"]["required",] == 1, "the setting"
        )
        assert missing["river_postgres_synchronous_standbys"]["connected",] == 0
        assert "river_standby_lag_seconds" not in missing
        try:
            with standby(primary, "sync") as server:
                healthy = exporter.until(
                    "storage", lambda now: now["river_postgres_synchronous_standbys"]["connected",] == 1, "the standby"
                )
                assert max(healthy["river_standby_lag_seconds"].values()) < 1
                server.pause()
                connection.execute("SET synchronous_commit = local")
                connection.execute("CREATE TABLE work AS SELECT generate_series(1, 100)")
                paused = exporter.until(
                    "storage", lambda now: now["river_standby_lag_seconds"]["flush",] > 2, "the lag to grow"
                )
                assert paused["river_standby_lag_seconds"]["replay",] > 2
                server.resume()
                exporter.until("storage", lambda now: now["river_standby_lag_seconds"]["flush",] < 1, "it to catch up")
            exporter.until(
                "storage", lambda now: now["river_postgres_synchronous_standbys"]["connected",] == 0, "it to be gone"
            )
        finally:
            connection.execute("SET synchronous_commit = local")
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(("slot", "holder"), [("kept", "slot"), (None, "standby")])
def test_a_query_on_a_standby_holds_back_vacuum(
    primary: Postgres, exporter: Exporter, slot: str | None, holder: str
) -> None:
    """With hot_standby_feedback what runs over there counts here: as the slot's if there is one, else the standby's."""
    with standby(primary, "report", slot) as server, primary.connect() as connection:
        exporter.until("vacuum", lambda now: now["river_vacuum_held_back_seconds"][holder,] >= 0, "feedback")
        server.pause()
        for _ in range(10):
            connection.execute("CREATE TABLE other ()")
            connection.execute("DROP TABLE other")
        found = exporter.until("vacuum", lambda now: now["river_vacuum_held_back_seconds"][holder,] > 1.5, "a holder")
        assert found["river_vacuum_held_back_transactions"][holder,] >= 20
        server.resume()
        exporter.until("vacuum", lambda now: now["river_vacuum_held_back_seconds"][holder,] < 1.5, "it to advance")
    if slot:
        with primary.connect() as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])


def test_doctor_on_a_standby_examines_nothing_of_river(primary: Postgres) -> None:
    """Statistics and sessions are the primary's: on a standby every check of them would be ok whatever is so."""
    port = free_port()
    with standby(primary, "copy", port=port):
        url = primary.url("postgres", ROLE, PASSWORD).replace(f":{primary.port}/", f":{port}/")
        found = remedies.examined({variable("database.url"): url}, Options(watch=2.0))
    assert found.conclusions[0].sentence.startswith("unknown: nothing of River was examined: PostgreSQL ")
    assert found.exit_code == 2
    of_river = {
        "budget",
        "completions",
        "locks",
        "dead-rows",
        "triggers",
        "synchronous-standby",
        "leader",
        "autovacuum",
    }
    assert of_river <= {each.check for each in found.findings if not each.examined}
    assert of_river.isdisjoint({each.check for each in found.findings if each.examined})


def test_doctor_ends_no_session_of_a_replica(primary: Postgres) -> None:
    """A standby's sender holds vacuum back on its behalf: the step leads to the standby, and nothing is ended here."""
    with standby(primary, "report") as server:
        server.pause()
        found = remedies.examined(
            {variable("database.url"): primary.url("postgres", ROLE, PASSWORD)}, Options(watch=2.0)
        )
        server.resume()
    assert found.findings
    assert "_backend(" not in "".join(each.sql for each in found.findings)
