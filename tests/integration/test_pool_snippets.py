"""The Go and JavaScript of docs/pool-statistics.md run, and what they expose is understood."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.pool_snippet import exposes_a_pool, node
from tests.testbed.cache import go, go_build

MODULE = Path(__file__).parents[1] / "pool_snippets"


@pytest.mark.parametrize(
    ("name", "source"),
    [("ibm", "pgxpool"), ("otelpgx", "pgxpool"), ("cmackenzie1", "pgxpool"), ("databasesql", "sql")],
)
def test_snippet_exposes_a_pool_that_is_understood(name: str, source: str, database: Database) -> None:
    """As shown, the port included."""
    assert (MODULE / name / "main.go").is_file()
    url = f"{database.superuser_url}" + ("" if source == "sql" else "?pool_max_conns=25")
    exposes_a_pool(name, [build(name)], source, DATABASE_URL=url)


def test_node_s_snippet_exposes_a_pool_that_is_understood(database: Database) -> None:
    """By an exporter of pg-pool that its users take; how many wait is known, for how long is not."""
    found = exposes_a_pool("node", node(MODULE / "node"), "pg_pool", DATABASE_URL=database.superuser_url)
    assert found.pending == 0
    assert not found.waits_known


def test_opentelemetry_s_snippet_exposes_a_pool_that_is_understood(database: Database) -> None:
    """With a maximum, and no wait time."""
    command = node(MODULE / "opentelemetry")
    found = exposes_a_pool("opentelemetry", command, "otel", DATABASE_URL=database.superuser_url)
    assert found.pending == 0
    assert not found.waits_known


def build(name: str) -> Path:
    """The program of a snippet, built once."""
    return go_build(MODULE, f"pool_snippet_{name}", package=f"./{name}")


def test_snippets_are_vetted() -> None:
    """Go's own linter has no complaint."""
    done = subprocess.run(
        [go(), "vet", "./..."], cwd=MODULE, env={**os.environ, "GOFLAGS": "-mod=readonly"}, check=False
    )
    assert done.returncode == 0
