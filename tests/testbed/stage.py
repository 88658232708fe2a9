"""The whole scene on one machine: PostgreSQL, a network, a River worker and the exporter beside it."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Unpack

from tests.testbed.cache import cache_dir, say
from tests.testbed.exporter import Exporter
from tests.testbed.faults.base import Environment
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import free_port
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import Load, River, binary

DATABASE = "river"
ROLE = "river_exporter"
PORT = 10917
"""Where the exporter listens unless somebody else does."""

FAST = {"collectors.jobs.interval": "2s", "collectors.lag.interval": "1s", "collectors.statements.interval": "5s"}
"""Intervals shorter than by default, so that a watcher need not wait."""


@dataclass(frozen=True)
class Stage:
    """What runs; River reaches its database through the proxy."""

    postgres: Postgres
    river: River
    exporter: Exporter
    environment: Environment

    def completed(self) -> int:
        """How many jobs are completed, by the database itself."""
        with self.postgres.connect(DATABASE) as connection:
            query = "SELECT count(*) FROM river_job WHERE state = 'completed' AND kind <> 'filler'"
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def stage(**load: Unpack[Load]) -> Iterator[Stage]:
    """Start everything, showing progress, and leave nothing behind.

    Raises:
        PartMissing: a part can't be had on this machine.
        ServerFailed: a part doesn't start.
    """
    with ExitStack() as parts, own_environment():
        say("starting PostgreSQL 18, River and the exporter; the first time this fetches and builds them")
        binary()
        postgres = parts.enter_context(Postgres(18, {"max_prepared_transactions": 10}))
        say("PostgreSQL answers")
        postgres.create_database(DATABASE)
        password = secrets.token_hex(16)
        prepare(postgres, DATABASE, ROLE, password)
        say("River's tables and the exporter's role are there")
        proxy = parts.enter_context(TcpProxy(postgres.host, postgres.port))
        river = parts.enter_context(River(proxy.url(postgres.url(DATABASE)), **load))
        say("River works jobs")
        own = postgres.url(DATABASE, ROLE, password)
        exporter = parts.enter_context(
            Exporter(own, river_url=proxy.url(own), metrics_urls=[river.metrics_url], settings=FAST, port=_port())
        )
        say(f"the exporter answers at {exporter.url}/metrics")
        yield Stage(postgres, river, exporter, Environment(postgres.url(DATABASE), river, proxy))


@contextmanager
def own_environment() -> Iterator[None]:
    """Hide the user's variables that would lead our processes to servers of theirs."""
    before = dict(os.environ)
    cache = str(cache_dir())
    for name in before:
        if name.startswith(("PG", "RIVER_EXPORTER_")) or name == "DATABASE_URL":
            del os.environ[name]
    os.environ["RIVER_EXPORTER_CACHE"] = cache
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _port() -> int:
    """Return the usual port if it is free, else another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return free_port()
    return PORT
