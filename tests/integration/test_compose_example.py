"""The commands and variables of examples/compose, run on a real PostgreSQL and River where the containers cannot be."""

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from exporter.config import variable
from tests.conftest import Database, StartRiver
from tests.testbed.exporter import ROOT, Exporter
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.process import wait_for

COMPOSE = ROOT / "examples" / "compose"

PASSWORD = "correct horse\u00e9 battery"
"""More than `make-secrets` makes, so that quoting is tried."""

ROLE = "compose_exporter"
"""Another name than the other tests' role, which all databases of the server share."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    return found


@pytest.fixture
def secrets(tmp_path: Path, database: Database) -> Path:
    """Return a folder of secrets as the services have them mounted."""
    (tmp_path / "app-password").write_text(f"{urlsplit(database.superuser_url).password}\n")
    (tmp_path / "exporter-password").write_text(f"{PASSWORD}\n")
    return tmp_path


def run_role(services: dict[str, Any], database: Database, secrets: Path) -> subprocess.CompletedProcess[str]:
    """Run what the service `role` runs, with the test's database in the place of its own."""
    *shell, script = services["role"]["entrypoint"]
    sql = secrets / "role.sql"
    sql.write_text((COMPOSE / "role.sql").read_text().replace("river_exporter", ROLE))
    script = script.replace("$$", "$").replace("/run/secrets", str(secrets)).replace("/role.sql", str(sql))
    home, at = postgres_home(database.server.version), urlsplit(database.superuser_url)
    own = {"PGHOST": str(at.hostname), "PGPORT": str(at.port), "PGUSER": "postgres", "PGDATABASE": database.name}
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    assert set(services["role"]["environment"]) == set(own) - {"PGPORT"}
    return subprocess.run(
        [*shell, script.replace("river_exporter", ROLE)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(home), "PATH": path, **own},
        start_new_session=True,  # as in a container, psql has no terminal to ask
    )


def test_the_role_gets_its_password_and_no_log_shows_it(
    services: dict[str, Any], database: Database, secrets: Path
) -> None:
    """Twice over, as after a restart of the services; the server only ever sees it hashed."""
    with database.connect() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        for _ in range(2):
            done = run_role(services, database, secrets)
            assert done.returncode == 0, done.stderr
        url = f"{database.server.url(database.name, ROLE, PASSWORD)}"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM (SELECT id, state FROM river_job) AS jobs").fetchone()
        log = database.server.log.read_text()
        assert "SCRAM-SHA-256$" in log
        assert PASSWORD not in log
    finally:
        with database.connect() as connection:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")


def test_the_exporter_sees_river_with_the_variables_of_compose(
    services: dict[str, Any], database: Database, secrets: Path, river: StartRiver
) -> None:
    """Its environment, with the names of the services replaced by addresses here, is all that it is given."""
    assert run_role(services, database, secrets).returncode == 0
    worker = river(rate=20)
    given = dict(services["exporter"]["environment"])
    url = given.pop(variable("database.url"))
    assert url == "postgresql://river_exporter@postgres:5432/app"
    assert given.pop(variable("database.password_file")) == "/run/secrets/exporter-password"
    assert given.pop(variable("river.metrics_urls")) == "http://worker:9090/metrics"
    assert given == {}
    here = f"{database.server.host}:{database.server.port}/{database.name}"
    settings = {"database.password_file": str(secrets / "exporter-password")}
    address = url.replace("postgres:5432/app", here).replace("river_exporter", ROLE)
    with Exporter(address, settings=settings, metrics_urls=[worker.metrics_url]) as exporter:
        wait_for(lambda: (exporter.metrics().total("river_jobs") or 0) > 0, 30, "River's jobs", exporter.server)
        wait_for(
            lambda: exporter.metrics().total("river_pool_max_connections", source="pgxpool"),
            30,
            "River's pool",
            exporter.server,
        )
