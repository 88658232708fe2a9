"""The Go of docs/pool-statistics.md compiles, and its page is understood."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import requests

from exporter.collectors.pools.statistics import PoolStatistics, parse
from tests.conftest import Database
from tests.testbed.cache import go, go_build
from tests.testbed.process import Server, wait_for

MODULE = Path(__file__).parents[1] / "pool_snippets"


@pytest.mark.parametrize(
    ("name", "source"),
    [("ibm", "pgxpool"), ("otelpgx", "pgxpool"), ("cmackenzie1", "pgxpool"), ("databasesql", "sql")],
)
def test_snippet_exposes_a_pool_that_is_understood(name: str, source: str, database: Database) -> None:
    """As shown, but for the port, which is taken from the text."""
    assert (MODULE / name / "main.go").is_file()
    program = build(name)
    url = f"{database.superuser_url}" + ("" if source == "sql" else "?pool_max_conns=25")
    with_server = Server(f"snippet-{name}", [program], env={"DATABASE_URL": url})
    try:
        with_server.start()
        found = wait_for(pool, 20, "the snippet's page", with_server)
    finally:
        with_server.close()
    assert found.vocabulary.source == source
    assert found.limit == 25
    assert found.free_ratio == 1


def build(name: str) -> Path:
    """The program of a snippet, built once."""
    return go_build(MODULE, f"pool_snippet_{name}", package=f"./{name}")


def pool() -> PoolStatistics | None:
    """Return the only pool on its page, once it answers."""
    try:
        (found,) = parse(requests.get("http://127.0.0.1:2112/metrics", timeout=5).text)
    except requests.ConnectionError:
        return None
    return found


def test_snippets_are_vetted() -> None:
    """Go's own linter has no complaint."""
    done = subprocess.run(
        [go(), "vet", "./..."], cwd=MODULE, env={**os.environ, "GOFLAGS": "-mod=readonly"}, check=False
    )
    assert done.returncode == 0
