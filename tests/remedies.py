"""Running what doctor prints, as a reader would: SQL by psql, word by word, as the owner of the database."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from exporter.doctor import Options
from exporter.doctor.report import Examination
from exporter.doctor.run import examine
from tests.conftest import Database
from tests.testbed.postgres_binaries import environment, postgres_home

PSQL = 18
"""The version whose psql is used; it works with all servers."""


def examined(environment: Mapping[str, str], options: Options | None = None) -> Examination:
    """What doctor finds."""
    return examine(options or Options(), environment, say=lambda _: None)


def run(sql: str, database: Database) -> None:
    """Run statements as they are printed; raises AssertionError when one fails."""
    home = postgres_home(PSQL)
    done = subprocess.run(
        [home / "bin" / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", database.superuser_url],
        input=sql,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{sql}\n{done.stderr}"
