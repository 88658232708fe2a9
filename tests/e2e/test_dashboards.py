"""Every query of every dashboard on a real Prometheus that scrapes the real exporter beside a real River.

What is rightly empty while all is well is listed with the reason, and is seen to have data once its fault is provoked.
"""

import contextlib
import json
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from psycopg import sql

from dashboards.generate import FOLDER
from tests.preview.fill import Api, Ask, Window, asks
from tests.preview.incident import Scene, scene, sharp, sharp_rules
from tests.testbed.faults import FAULTS
from tests.testbed.faults.base import running
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.process import Server, ServerFailed, remove_folder, temporary_folder, wait_for

DOCUMENTS: dict[str, dict[str, Any]] = {
    path.stem: sharp(json.loads(path.read_text())) for path in FOLDER.glob("*.json")
}
"""Of panels that show what rules record, with a point for each 2 s: nobody waits for two times 2 min here."""

LOCKED, LEAKED, STUCK, PAUSED, VACUUM, STANDBY = "row lock", "pool leaked", "stuck job", "paused", "vacuum", "standby"

EMPTY_WHEN_WELL: dict[str, tuple[str, str]] = {
    "river-completer/Time to first timeout/left": (LOCKED, "the share of the timeout does not grow"),
    "river-completer/Dominant cause/{{cause}}": (LOCKED, "no cause is dominant below the warning threshold"),
    "river-completer/Dominant cause over time/{{cause}}": (LOCKED, "no cause is dominant below the warning threshold"),
    "river-completer/Above the warning threshold for/since": (LOCKED, "the share is below the warning threshold"),
    "river-completer/Alerts firing/__auto": (LOCKED, "no alert fires"),
    "river-completer/Longest lock wait by blocker/{{blocker}}": (LOCKED, "no session waits for a lock"),
    "river-completer/Sessions waiting for a lock/{{operation}}": (LOCKED, "no session waits for a lock"),
    "river-database/Longest lock wait by blocker/{{blocker}}": (LOCKED, "no session waits for a lock"),
    "river-database/Longest lock wait by operation/{{operation}}": (LOCKED, "no session waits for a lock"),
    "river-completer/Time to rescue of orphaned jobs/{{schema}}": (STUCK, "no job is orphaned"),
    "river-queues/Paused queues/{{schema}} {{queue}}": (PAUSED, "no queue is paused"),
    "river-database/Dead rows over the autovacuum threshold/vacuum running": (VACUUM, "no vacuum runs"),
    "river-database/Last vacuum and analyze/__auto": (VACUUM, "the table is new and was never vacuumed"),
    "river-database/Lag of standbys/{{phase}}": (STANDBY, "there is no standby"),
    "river-pool/Mean acquire time/{{source}}": (LEAKED, "no acquire had to wait"),
    **{
        f"{name}/annotation Alerts firing/{{{{alertname}}}} ({{{{severity}}}})": (
            LOCKED,
            "no alert fires",
        )
        for name in DOCUMENTS
    },
}
"""Queries that find nothing while all is well: what makes them find something, and why they don't before."""


@pytest.fixture(scope="module")
def played() -> Iterator[Scene]:
    """Everything, running."""
    with scene(rules=sharp_rules(temporary_folder("rules"))) as started:
        yield started


@contextmanager
def stuck_job(played: Scene) -> Iterator[None]:
    """A job whose client died, soon to be rescued."""
    with played.environment.connect(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO river_job (kind, args, state, max_attempts, attempt, attempted_at, attempted_by)"
            " VALUES ('email', '{}', 'running', 25, 1, now() - interval '50 minutes', '{gone}')"
        )
        yield


@contextmanager
def paused_queue(played: Scene) -> Iterator[None]:
    """Somebody paused the queue."""
    with played.environment.connect(autocommit=True) as connection:
        connection.execute("UPDATE river_queue SET paused_at = now()")
        yield
        connection.execute("UPDATE river_queue SET paused_at = NULL")


@contextmanager
def slow_vacuum(played: Scene) -> Iterator[None]:
    """One vacuum that ended, and one that takes long."""
    with played.environment.connect(autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) river_job")
        connection.execute("SET vacuum_cost_delay = 100")
        connection.execute("SET vacuum_cost_limit = 1")
        with running(connection, sql.SQL("VACUUM (DISABLE_PAGE_SKIPPING) river_job")):
            yield


@contextmanager
def standby(played: Scene) -> Iterator[None]:
    """A receiver of WAL that every commit waits for."""
    server = played.postgres
    home, folder = postgres_home(server.version), temporary_folder("receiver")
    address = f"host={server.host} port={server.port} user=postgres application_name=receiver"
    receiver = Server(
        "receiver",
        [home / "bin" / "pg_receivewal", "--synchronous", "-D", folder, "-d", address],
        env={**environment(home), "PGPASSWORD": server.password},
    )
    with receiver, played.environment.connect(autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'receiver'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
    remove_folder(folder)


PROVOKE: dict[str, Callable[[Scene], AbstractContextManager[object]]] = {
    VACUUM: slow_vacuum,
    STUCK: stuck_job,
    STANDBY: standby,
    LOCKED: lambda played: FAULTS["row-lock"](played.environment),
    LEAKED: lambda played: FAULTS["pool-exhausted"](played.environment),
    PAUSED: paused_queue,
}
"""In the order they are provoked: those that hurt River last."""


def test_every_query_of_every_dashboard_finds_data(played: Scene) -> None:
    """None errs; while all is well only those listed find nothing, and each of them does with its fault."""
    began = time.time() - 60  # a window is never empty
    api = Api(played.prometheus.url)

    def empty(names: Container[str]) -> list[str]:
        window = Window(began, time.time(), 1)
        return [key for key, ask in _asks() if key in names and not api.ask(ask, window)]

    def filled(names: Container[str], seconds: float) -> list[str]:
        """Wait for data; returns what still has none."""
        with contextlib.suppress(ServerFailed):
            wait_for(lambda: not empty(names), seconds, "every query to find data", interval=0.5)
        return empty(names)

    usual = {key for key, _ in _asks()} - set(EMPTY_WHEN_WELL)
    assert filled(usual, 90) == []
    for fault, provoke in PROVOKE.items():
        expected = {name for name, (needed, _) in EMPTY_WHEN_WELL.items() if needed == fault}
        assert expected, f"{fault} is provoked for nothing"
        with provoke(played):
            assert filled(expected, 60) == [], fault


def _asks() -> Iterator[tuple[str, Ask]]:
    for name, document in DOCUMENTS.items():
        for ask in asks(document):
            yield f"{name}/{ask.where}/{ask.legend}", ask
