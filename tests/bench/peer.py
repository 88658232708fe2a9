"""postgres_exporter beside ours, on the same server in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.testbed.cache import go_build
from tests.testbed.postgres import Postgres
from tests.testbed.process import Server, free_port, wait_for

VERSION = "0.19.1"
SOURCES = Path(__file__).with_name("postgres_exporter")
PACKAGE = "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"
ROLE, PASSWORD = "postgres_exporter", "only-for-a-throw-away-server"


@dataclass(frozen=True)
class Peer:
    """A postgres_exporter that runs."""

    server: Server
    url: str


def binary() -> Path:
    """The program, built at the first call (about a minute and a half).

    Raises:
        PartMissing: it can't be built here.
    """
    return go_build(SOURCES, "postgres_exporter", package=PACKAGE)


@contextmanager
def peer(postgres: Postgres, database: str) -> Iterator[Peer]:
    """Start it with its default collectors and stat_statements, with pg_monitor and nothing more."""
    with postgres.connect(database) as connection:
        if not connection.execute("select from pg_roles where rolname = %s", [ROLE]).rowcount:
            connection.execute(f"create role {ROLE} login password '{PASSWORD}' in role pg_monitor".encode())
    address = f"127.0.0.1:{free_port()}"
    server = Server(
        "postgres_exporter",
        [binary(), f"--web.listen-address={address}", "--collector.stat_statements"],
        env={"DATA_SOURCE_NAME": postgres.url(database, ROLE, PASSWORD) + "?sslmode=disable"},
    )
    try:
        server.start()
        wait_for(lambda: _answers(f"http://{address}/"), 20, "postgres_exporter to answer", server)
        yield Peer(server, f"http://{address}/metrics")
    finally:
        server.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
