"""The Java and Rust of docs/pool-statistics.md run, and what they expose is understood; each needs its toolchain."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from exporter.collectors.pools.statistics import change, parse
from tests.conftest import Database
from tests.pool_snippet import exposes_a_pool
from tests.testbed.cache import cargo_build, fetch, run

MODULE = Path(__file__).parents[1] / "pool_snippets"


def jdbc(url: str) -> str:
    """Return a URL as PostgreSQL's JDBC driver takes it."""
    parts = urlsplit(url)
    user, password = quote(unquote(parts.username or "")), quote(unquote(parts.password or ""))
    return f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?user={user}&password={password}"


def java(name: str) -> list[str | Path]:
    """Return the command that runs a program of tests/pool_snippets/java."""
    pom = MODULE / "java" / "pom.xml"

    def install(into: Path) -> None:
        shutil.copy(pom, into)
        remedy = "install a JDK 17 or newer with Maven and check that it reaches its registry"
        run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"], "java", remedy, cwd=into)

    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    jars = fetch(f"pool_snippet_java-{digest}", install) / "jars"
    return ["java", "-cp", f"{jars}/*", MODULE / "java" / f"{name}.java"]


def test_java_s_snippet_exposes_a_pool_that_is_understood(database: Database) -> None:
    """HikariCP by Micrometer, with waits."""
    found = exposes_a_pool("java", java("Main"), "hikaricp", JDBC_URL=jdbc(database.superuser_url))
    assert found.pending == 0
    assert found.waits_known


def test_hikaricp_counts_an_acquire_that_timed_out_as_an_acquire(database: Database) -> None:
    """So as many acquires as timeouts are no proof that any got a connection."""
    environment = {**os.environ, "JDBC_URL": jdbc(database.superuser_url)}
    done = subprocess.run(java("Held"), env=environment, capture_output=True, text=True, check=True)
    (before,), (after,) = map(parse, done.stdout.split("# then"))
    assert (after.acquired, after.limit, after.full) == (2, 2, True)
    happened = change(before, after)
    assert (happened.acquires, happened.canceled) == (1, 1)
    assert happened.succeeded is False


@pytest.mark.timeout(1800)  # sqlx takes minutes to compile, once
def test_rust_s_snippet_exposes_a_pool_that_is_understood(database: Database) -> None:
    """What sqlx reports of its pool: no waits."""
    program = cargo_build(MODULE / "rust", "pool_snippet_rust")
    found = exposes_a_pool("rust", [program], "sqlx", DATABASE_URL=database.superuser_url)
    assert not found.waits_known
