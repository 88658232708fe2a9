"""What a remedy may print: names quoted by psycopg, and for each session whether a remedy may end it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from exporter.doctor.context import DoctorContext
from exporter.postgres.address import APPLICATION
from exporter.river.operations import classify

QUERY_LIMIT = 200
"""Characters of a statement that are shown."""


class Owner(StrEnum):
    """Whose a session is, as far as ending it is concerned."""

    RIVER = "river"
    EXPORTER = "exporter"
    REPLICATION = "replication"
    WRAPAROUND = "autovacuum (to prevent wraparound)"
    AUTOVACUUM = "autovacuum"
    SERVER = "server process"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Backend:
    """A session as pg_stat_activity shows it; ages in seconds, `transaction` None outside of one."""

    pid: int
    usename: str
    application: str
    address: str
    backend_type: str
    state: str
    transaction: float | None
    idle: float
    query: str

    @property
    def login(self) -> tuple[str, str, str]:
        """What all sessions of one program share."""
        return (self.usename, self.application, self.address)

    @property
    def who(self) -> str:
        """User, application and address, for a person who has to find its owner."""
        application = self.application or "no application name"
        return f"pid {self.pid}, {application}, user {self.usename or 'unknown'} at {self.address or 'a local socket'}"


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions of the server at one moment, and which logins River's are.

    Args:
        rivers: logins that were seen to run River's statements.
    """

    backends: dict[int, Backend]
    rivers: frozenset[tuple[str, str, str]]

    def owner(self, pid: int) -> Owner | None:
        """Whose the session is; None when it is gone.

        A session that shares user, application and address with River's counts as River's: its pool has sessions that
        jobs use, and those run other statements.
        """
        backend = self.backends.get(pid)
        if backend is None:
            return None
        if backend.backend_type == "walsender":
            return Owner.REPLICATION
        if backend.backend_type == "autovacuum worker":
            return Owner.WRAPAROUND if "to prevent wraparound" in backend.query else Owner.AUTOVACUUM
        if backend.backend_type != "client backend":
            return Owner.SERVER
        if backend.application.startswith(APPLICATION):
            return Owner.EXPORTER
        return Owner.RIVER if backend.login in self.rivers else Owner.OTHER


def read(doctor: DoctorContext) -> Sessions:
    """The server's sessions now; what was seen of River's logins before is remembered."""
    backends = doctor.needed().rows(Backend, "sessions")
    doctor.rivers |= rivers_logins(backends, doctor)
    return Sessions({each.pid: each for each in backends}, frozenset(doctor.rivers))


def rivers_logins(backends: Iterable[Backend], doctor: DoctorContext) -> set[tuple[str, str, str]]:
    """The logins of sessions that run, or ran last, a statement of River's, or that `river.sessions` names."""
    patterns = doctor.config.river.sessions

    def named(each: Backend) -> bool:
        return any(
            pattern is not None and re.search(pattern, text) is not None
            for pattern, text in ((patterns.application_name, each.application), (patterns.user, each.usename))
        )

    found = set()
    for each in backends:
        if each.backend_type != "client backend" or each.application.startswith(APPLICATION):
            continue
        statement = classify(each.query)
        if statement.certain or statement.completes or named(each):
            found.add(each.login)
    return found


def rivers_sessions(doctor: DoctorContext) -> set[int]:
    """The pids of River's sessions now."""
    sessions = read(doctor)
    return {pid for pid in sessions.backends if sessions.owner(pid) is Owner.RIVER}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session's hold is ended: what to do and what that costs, and the SQL where it may be given."""

    text: str
    sql: str = ""


def ending(sessions: Sessions, pid: int) -> Ending:
    """How to end what a session holds.

    SQL is given for other programs' sessions only: ending one of River's loses the work of a job or of a batch, and
    one of the exporter's, a replica's or the server's own is never what has to go.
    """
    owner = sessions.owner(pid)
    if owner is None:
        return Ending("nothing: the session has ended since")
    backend = sessions.backends[pid]
    if owner is Owner.RIVER:
        return Ending(
            "a session of River's own program: let its transaction end, or find the job that keeps it open; restart "
            f"that worker as the last resort, which runs its jobs again ({backend.who})"
        )
    if owner is Owner.EXPORTER:
        return Ending(f"a session of an exporter: restart that exporter ({backend.who}), which loses nothing")
    if owner is Owner.REPLICATION:
        return Ending(f"a replica reads there ({backend.who}): look at the replica; to end it would cut it off")
    if owner is Owner.WRAPAROUND:
        return Ending(
            "let it finish: it keeps the table from wraparound, and one that is ended starts from the beginning"
        )
    if owner is Owner.AUTOVACUUM:
        return Ending("autovacuum gives way within deadlock_timeout (1 s) by itself")
    if owner is Owner.SERVER:
        return Ending(f"a process of the server's own ({backend.backend_type}): let it finish")
    if backend.state == "active":
        return Ending("cancel its statement, whose work is rolled back", f"SELECT pg_cancel_backend({pid});")
    return Ending("end the session, which rolls its transaction back", f"SELECT pg_terminate_backend({pid});")


def table(schema: str, name: str = "river_job") -> str:
    """A table's name, quoted."""
    return sql.Identifier(schema, name).as_string()


def identifier(*parts: str) -> str:
    """A name, quoted, with those it is in before it."""
    return sql.Identifier(*parts).as_string()


def literal(text: str) -> str:
    """A string, quoted."""
    return sql.Literal(text).as_string().strip()


def shorten(query: str) -> str:
    """A statement on one line, cut after QUERY_LIMIT characters."""
    text = " ".join(query.split())
    return text if len(text) <= QUERY_LIMIT else f"{text[:QUERY_LIMIT]}…"
