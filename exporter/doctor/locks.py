"""Locks: who blocks River now, who idles with locks on its tables, and the statement that ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.collectors.schema_state import Blocking
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.humanize import seconds

LOCKS = Check(
    "locks",
    "River's sessions that waited for a lock while doctor looked, and the session at the root of each queue: pid, "
    "application, since when, its last statement with `--show-queries`. Graded by the thresholds.",
    "an attempt's timeout runs while it waits behind another transaction",
)
IDLE = Check(
    "idle-in-transaction",
    "Sessions idle in a transaction for more than 5 s that hold locks on River's tables.",
    "they hold rows or the table until somebody ends them, and the next completion may need exactly those",
)
PREPARED = Check(
    "prepared-transactions",
    "Prepared transactions older than a minute; one that holds locks on River's tables is a problem.",
    "a prepared transaction has no session: nothing but ROLLBACK PREPARED ends it, not even a restart",
)
CHECKS = (LOCKS, IDLE, PREPARED)

MOST_QUERY = 200
"""Characters of a statement that are shown."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that idles in a transaction with locks on River's tables; `age` and `idle` in seconds."""

    pid: int
    application: str
    usename: str
    age: float
    idle: float
    query: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared transaction; `age` in seconds."""

    gid: str
    age: float
    rivers: bool


@dataclass(frozen=True, slots=True)
class _Query:
    pid: int
    query: str


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group."""
    session = doctor.needed()
    seen = [each for blocked in doctor.blocking.values() for each in blocked.values()]
    prepared = session.rows(Prepared, "locks_prepared", {"schemas": list(doctor.schemas)})
    queries: dict[int, str] = {}
    if doctor.show_queries and seen:
        pids = sorted({each.blocker_pid for each in seen})
        queries = {row.pid: row.query for row in session.rows(_Query, "locks_queries", {"pids": pids})}
    yield from judge_blocking(seen, prepared, queries, doctor.warning, doctor.critical)
    holders = session.rows(Holder, "locks_idle", {"schemas": list(doctor.schemas)})
    yield from judge_holders(holders, show_queries=doctor.show_queries)
    yield from judge_prepared(prepared)


def ending(pid: int, prepared: Sequence[Prepared]) -> str:
    """The statement that ends a blocker; pid 0 is a prepared transaction."""
    if pid:
        return f"SELECT pg_terminate_backend({pid});"
    rivers = [each for each in prepared if each.rivers] or list(prepared)
    return (
        "\n".join(f"ROLLBACK PREPARED {_literal(each.gid)};" for each in rivers) or "SELECT * FROM pg_prepared_xacts;"
    )


def judge_blocking(
    seen: Sequence[Blocking], prepared: Sequence[Prepared], queries: Mapping[int, str], warning: float, critical: float
) -> Iterator[Finding]:
    """One finding for each root of a queue, with the sessions behind it.

    Args:
        queries: last statement by pid, where it may be shown.
        warning: seconds of a wait from which it is one; `critical` those from which it is a problem.
    """
    roots: dict[int, list[Blocking]] = {}
    for each in seen:
        roots.setdefault(each.blocker_pid, []).append(each)
    for pid, behind in sorted(roots.items(), key=lambda item: -max(each.seconds for each in item[1])):
        longest = max(behind, key=lambda each: each.seconds)
        who = f"pid {pid} ({longest.application or 'no application name'})" if pid else "a prepared transaction"
        evidence = [
            f"pid {each.pid}, {each.operation}: waits {seconds(each.seconds)} for {each.lock}"
            for each in sorted(behind, key=lambda each: -each.seconds)
        ]
        if pid in queries:
            evidence.append(f"last statement of pid {pid}: {shorten(queries[pid])}")
        state = longest.state or longest.blocker.replace("_", " ")
        yield LOCKS.graded(
            longest.seconds, min(1.0, warning), min(warning, critical),
            f"{longest.operation} waited {seconds(longest.seconds)} behind {who}, "
            f"{state} for {seconds(longest.since_seconds)}" if pid else
            f"{longest.operation} waited {seconds(longest.seconds)} behind a prepared transaction",
            *evidence,
            remedy=ending(pid, prepared),
        )  # fmt: skip
    if not roots:
        yield LOCKS.ok("no session of River's waited for a lock")


def judge_holders(holders: Sequence[Holder], *, show_queries: bool) -> Iterator[Finding]:
    """Who idles with locks on River's tables."""
    for each in holders:
        query = (f"last statement: {shorten(each.query)}",) if show_queries else ()
        name = each.application or "no application name"
        yield IDLE.graded(
            each.age, 5, 60,
            f"pid {each.pid} ({name}, user {each.usename}) has idled for {seconds(each.idle)} in a transaction of "
            f"{seconds(each.age)} with locks on River's tables",
            *query,
            remedy=f"SELECT pg_terminate_backend({each.pid});",
        )  # fmt: skip
    if not holders:
        yield IDLE.ok("nobody idles in a transaction with locks on River's tables")


def judge_prepared(prepared: Sequence[Prepared]) -> Iterator[Finding]:
    """Which prepared transactions were left behind."""
    for each in prepared:
        text = f"prepared transaction {each.gid!r} is {seconds(each.age)} old"
        remedy = f"ROLLBACK PREPARED {_literal(each.gid)};  -- or COMMIT PREPARED, as its owner says"
        if each.rivers:
            yield PREPARED.problem(f"{text} and holds locks on River's tables", remedy=remedy)
        elif each.age >= 60:
            yield PREPARED.warning(text, remedy=remedy)
        else:
            yield PREPARED.ok(text)
    if not prepared:
        yield PREPARED.ok("no prepared transaction")


def shorten(query: str) -> str:
    """A statement on one line, cut after MOST_QUERY characters."""
    text = " ".join(query.split())
    return text if len(text) <= MOST_QUERY else f"{text[:MOST_QUERY]}…"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
