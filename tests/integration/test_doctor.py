"""Doctor gives a healthy River a clean bill, changes nothing, and says plainly what it cannot see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from exporter.config import variable
from exporter.doctor import Options
from exporter.doctor.finding import Finding
from exporter.doctor.run import examine
from tests.conftest import PASSWORD, ROLE, Database, StartExporter, StartRiver
from tests.testbed.exporter import ROOT
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus
from tests.testbed.river import River

LONGEST = 30.0
"""Seconds an examination may take."""


def configuration(url: str, worker: River | None = None) -> dict[str, str]:
    """The environment of an exporter beside that worker."""
    settings = {"database.url": url}
    if worker is not None:
        settings |= {"river.metrics_urls": worker.metrics_url, "river.workers": str(worker.load.get("workers", 20))}
    return {variable(key): value for key, value in settings.items()}


def found(environment: Mapping[str, str], options: Options | None = None) -> dict[str, Finding]:
    """The worst finding of each check, by name."""
    findings = examine(options or Options(), environment, say=lambda _: None).findings
    order = ("ok", "note", "warning", "problem")
    return {each.check: each for each in sorted(findings, key=lambda each: order.index(each.status))}


@pytest.fixture
def worker(river: StartRiver) -> River:
    """Return a River that works well, with more connections than workers."""
    return river(rate=50, job_seconds=0.1, workers=8, pool=16)


def content(database: Database) -> list[tuple[object, ...]]:
    """All rows of River's tables with the transactions that wrote them, and who may do what."""
    rows: list[tuple[object, ...]] = []
    with database.connect() as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relname LIKE 'river%' AND relkind = 'r'"
        )
        for (name,) in tables.fetchall():
            query = sql.SQL("SELECT {}, xmin::text, xmax::text, t::text FROM {} AS t").format(name, sql.SQL(name))
            rows += connection.execute(query).fetchall()
        rows += connection.execute(
            "SELECT relname, relacl::text, reloptions::text FROM pg_class ORDER BY oid"
        ).fetchall()
        rows += connection.execute(
            "SELECT name, setting, '' FROM pg_settings WHERE source = 'configuration file'"
        ).fetchall()
    return sorted(rows, key=repr)


def test_healthy_river_gets_a_clean_bill(database: Database, worker: River) -> None:
    """The command exits with 0, shows its progress on stderr, and nothing worse than notes on stdout."""
    wait_for(lambda: completed(database) > 100, 30, "jobs to complete")
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "doctor", "--output", "json"],
        env={**configuration(database.exporter_url, worker), "PATH": "", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    document = json.loads(done.stdout)
    worse = [each for each in document["findings"] if each["status"] not in ("ok", "note")]
    assert worse == []
    assert done.returncode == 0
    assert "watching River" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert {"connection", "budget", "locks", "indexes", "pool-free", "network-roundtrip"} <= {
        each["check"] for each in document["findings"]
    }


def completed(database: Database) -> int:
    """How many jobs are completed."""
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM river_job WHERE state = 'completed'").fetchone()
    assert row is not None
    return int(row[0])


def test_nothing_is_changed(database: Database, worker: River) -> None:
    """No row, no right, no option, no setting: River is stopped, so that nobody else changes anything."""
    wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
    worker.stop()
    with database.connect() as connection:
        connection.execute("VACUUM ANALYZE")  # so that autovacuum has nothing to do meanwhile
    before = content(database)
    findings = found(configuration(database.exporter_url))
    assert content(database) == before
    assert findings["connection"].status == "ok"


def test_role_without_write_rights_is_enough(database: Database) -> None:
    """The exporter's own role can run every check but the plan's, which says what it lacks."""
    findings = found(configuration(database.exporter_url), Options(explain=True))
    assert findings["rights"].status == "ok"
    assert findings["exporter-collectors"].status == "ok"
    assert findings["completing-plan"].status == "warning"
    assert "stronger credentials" in findings["completing-plan"].remedy
    assert [each.check for each in findings.values() if "could not be examined" in each.summary] == []


def test_plan_is_explained_with_stronger_credentials_and_rolled_back(
    database: Database, river: StartRiver, tmp_path: Path
) -> None:
    """Running jobs stay running, and the finding shows the primary key at work."""
    worker = river(rate=20, job_seconds=60, workers=8, pool=16)
    wait_for(lambda: running(database) == 8, 30, "jobs to run")
    worker.kill()
    before = content(database)
    file = tmp_path / "url"
    file.write_text(database.superuser_url + "\n")
    plan = found(configuration(database.exporter_url), Options(explain=True, explain_url_file=file))["completing-plan"]
    assert plan.status == "ok"
    assert any("5 rows in" in line for line in plan.evidence)
    # an update that was rolled back leaves its transaction in xmax, and nothing else
    assert without_xmax(content(database)) == without_xmax(before)


def test_plan_without_the_primary_key_is_told(database: Database, tmp_path: Path) -> None:
    """An index by state takes the key's place: every running job is looked at, few of the table, many for five ids."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO river_job (args, kind, max_attempts, state, finalized_at)"
            " SELECT '{}', 'k', 3, CASE WHEN n > 750 THEN 'completed'::river_job_state ELSE 'running' END,"
            " CASE WHEN n > 750 THEN now() END FROM generate_series(1, 75000) n"
        )
        connection.execute("ALTER TABLE river_job DROP CONSTRAINT river_job_pkey")
        connection.execute("DROP INDEX river_job_prioritized_fetching_index")  # it has the id too, as its last column
        connection.execute("CREATE INDEX jobs_by_state ON river_job (state)")
        connection.execute("ANALYZE river_job")
    file = tmp_path / "url"
    file.write_text(database.superuser_url + "\n")
    plan = found(configuration(database.exporter_url), Options(explain=True, explain_url_file=file))["completing-plan"]
    assert plan.status == "warning", plan
    assert plan.summary == "it finds its rows by jobs_by_state, not by the primary key: 750 rows looked at for 5"


def without_xmax(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """What `content` gave but the transactions that locked a row."""
    return sorted(((*row[:2], *row[3:]) for row in rows), key=repr)


def running(database: Database) -> int:
    """How many jobs run."""
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM river_job WHERE state = 'running'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"user": "nobody_of_that_name"}, "auth"), ({"port": "1"}, "refused"), ({"host": "no.such.invalid"}, "dns")],
)
def test_database_that_cannot_be_had_is_one_finding(database: Database, change: dict[str, str], reason: str) -> None:
    """The reason has a class and a remedy; no password is shown."""
    parameters = {
        "host": database.server.host,
        "port": str(database.server.port),
        "user": ROLE,
        "dbname": database.name,
    }
    conninfo = " ".join(f"{key}={value}" for key, value in {**parameters, **change}.items())
    findings = found({"RIVER_EXPORTER_DATABASE_URL": f"{conninfo} password={PASSWORD}"})
    assert findings["connection"].status == "problem"
    assert reason in findings["connection"].summary
    assert findings["connection"].remedy
    assert PASSWORD not in str(findings)
    assert "locks" not in findings


def test_database_that_hangs_is_told_in_time(database: Database, worker: River) -> None:
    """A server that is halted takes connections and answers nothing."""
    wait_for(lambda: completed(database) > 20, 30, "jobs to complete")
    database.server.pause()
    try:
        started = time.monotonic()
        findings = found(configuration(database.exporter_url, worker))
        took = time.monotonic() - started
    finally:
        database.server.resume()
    assert took <= LONGEST
    assert findings["connection"].status == "problem"
    assert "timeout" in findings["connection"].summary


def test_database_without_river_is_told(database: Database) -> None:
    """The remedy names the setting."""
    with database.connect() as connection:
        connection.execute("DROP TABLE river_job CASCADE")
    findings = found(configuration(database.exporter_url))
    assert findings["river-schema"].status == "problem"
    assert "river.schemas" in findings["river-schema"].remedy


def test_rights_that_are_missing_have_a_remedy(database: Database) -> None:
    """Without pg_monitor other users' sessions are not to be seen."""
    with database.connect() as connection:
        connection.execute(f"REVOKE pg_monitor FROM {ROLE}".encode())
    try:
        findings = found(configuration(database.exporter_url))
    finally:
        with database.connect() as connection:
            connection.execute(f"GRANT pg_monitor TO {ROLE}".encode())
    assert findings["rights"].status == "problem"
    assert findings["rights"].sql == f"GRANT pg_monitor TO {ROLE};"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus with all of our rules but one, which scrapes no exporter."""
    rules = yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text())
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") != "RiverPoolWaiting"]
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump(rules))
    with Prometheus(rules=[file]) as server:
        yield server


def test_alerts_are_looked_for_in_prometheus(database: Database, prometheus: Prometheus) -> None:
    """The one that is missing is named, and that nothing is scraped."""
    findings = found(configuration(database.exporter_url), Options(prometheus=prometheus.url))
    assert findings["alerts"].status == "warning"
    assert "RiverPoolWaiting" in findings["alerts"].summary
    assert findings["scraped"].status == "problem"


def test_address_that_is_no_prometheus_is_told(database: Database) -> None:
    """Nothing listens there."""
    findings = found(configuration(database.exporter_url), Options(prometheus="http://127.0.0.1:1"))
    assert findings["alerts"].status == "problem"
    assert "--prometheus" in findings["alerts"].remedy


def test_the_elected_exporter_is_known_also_when_it_hangs(database: Database, exporter: StartExporter) -> None:
    """One that is frozen keeps its session, and with it the lock: no other one can be elected."""
    environment = configuration(database.exporter_url)
    assert found(environment)["exporter-elected"].status == "note"
    started = exporter()
    wait_for(lambda: started.metrics().total("river_exporter_is_leader"), 20, "the exporter to be elected")
    elected = found(environment)["exporter-elected"]
    assert (elected.status, elected.schema) == ("ok", "public")
    started.server.pause()
    time.sleep(4)  # the examination itself takes more than the rest of the ten seconds
    silent = found(environment)["exporter-elected"]
    started.server.resume()
    assert silent.status == "warning"
    assert "has not sent a query" in silent.summary


def test_a_queue_that_nobody_works_ages(database: Database, worker: River) -> None:
    """A queue whose name no worker knows."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO river_job (queue, kind, max_attempts, args, scheduled_at)"
            " VALUES ('mial', 'k', 1, '{}', now() - interval '10 minutes')"
        )
    aged = found(configuration(database.exporter_url, worker))["queue-age"]
    assert aged.status == "warning"
    assert re.fullmatch(r"mial: 10(\.\d)? min, 1 job available, 0 running", aged.evidence[0])


@pytest.mark.parametrize("limit", [2, 6])
def test_two_connections_are_enough(limit: int, database: Database, worker: River, exporter: StartExporter) -> None:
    """Also beside a running exporter, within the limit that setup-sql gives the role: nothing is left unexamined."""
    wait_for(lambda: completed(database) > 50, 30, "jobs to complete")
    if limit > 2:
        started = exporter()
        wait_for(lambda: started.metrics().total("river_exporter_is_leader"), 20, "the exporter to be elected")
    with limited(database, limit):
        found = examine(Options(), configuration(database.exporter_url, worker), say=lambda _: None)
    assert [each for each in found.findings if each.status in ("warning", "problem") or not each.examined] == []
    assert (found.conclusions[0].state, found.exit_code) == ("ok", 0)


def test_limit_of_the_role_is_no_fault_of_the_server(database: Database) -> None:
    """Where others have all of the role's connections nothing is examined, which is neither ok nor a problem."""
    with limited(database, 1), psycopg.connect(database.exporter_url):
        found = examine(Options(), configuration(database.exporter_url), say=lambda _: None)
    (connection,) = [each for each in found.findings if each.check == "connection"]
    assert (connection.status, connection.examined) == ("note", False)
    assert "CONNECTION LIMIT" in connection.sql
    assert [each for each in found.findings if each.status in ("warning", "problem")] == []
    assert found.conclusions[0].sentence.startswith("unknown: nothing of River was examined")
    assert found.exit_code == 1


@contextmanager
def limited(database: Database, connections: int) -> Iterator[None]:
    """Let the exporter's role have so many connections."""
    with database.connect() as connection:
        (before,) = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [ROLE]).fetchall()
        connection.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {connections}".encode())
        try:
            yield
        finally:
            connection.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {before[0]}".encode())


def test_what_cannot_be_seen_is_not_called_ok(database: Database, worker: River) -> None:
    """Without pg_monitor and with track_activities off nothing is known of locks, whatever else is well."""
    wait_for(lambda: completed(database) > 50, 30, "jobs to complete")
    hidden = {"locks", "idle-in-transaction", "vacuum-horizon", "server-connections"}
    for take, give in (
        (f"REVOKE pg_monitor FROM {ROLE}", f"GRANT pg_monitor TO {ROLE}"),
        (f"ALTER DATABASE {database.name} SET track_activities = off", ""),
    ):
        with database.connect() as connection:
            connection.execute(take.encode())
        try:
            found = examine(Options(), configuration(database.exporter_url, worker), say=lambda _: None)
        finally:
            with database.connect() as connection:
                connection.execute(give.encode())
        assert hidden <= {each.check for each in found.findings if not each.examined}, take
        assert hidden.isdisjoint({each.check for each in found.findings if each.status == "ok"}), take
        assert found.conclusions[0].state == "unknown"
        assert found.exit_code == 2
