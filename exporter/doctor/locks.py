"""Locks: the sessions that block River now, those idle with locks on its tables, and what ends it safely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.budget.evidence import Blocking
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import Ending, Sessions, ending, literal, read, shorten
from exporter.humanize import seconds

LOCKS = Check(
    "locks",
    "River's sessions that waited for a lock while doctor looked, and the root blocker of each: pid, application, "
    "user, address, since when, its last statement with `--show-queries`. Graded by the thresholds.",
    "an attempt's timeout runs while it waits behind another transaction",
)
IDLE = Check(
    "idle-in-transaction",
    "Sessions idle in a transaction for more than 5 s that hold locks on River's tables.",
    "they hold rows or the table until they end, and the next completion may need exactly those",
)
PREPARED = Check(
    "prepared-transactions",
    "Prepared transactions older than a minute; one that holds locks on River's tables is a problem.",
    "a prepared transaction has no session: nothing but ROLLBACK PREPARED ends it, not even a restart",
)


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that idles in a transaction with locks on River's tables; `age` and `idle` in seconds."""

    pid: int
    age: float
    idle: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared transaction; `age` in seconds."""

    gid: str
    age: float
    rivers: bool


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group."""
    prepared = doctor.needed().rows(Prepared, "locks_prepared", {"schemas": list(doctor.schemas)})
    if reason := doctor.unseen_sessions():
        yield LOCKS.not_examined(reason, remedy="see rights")
        yield IDLE.not_examined(reason, remedy="see rights")
    else:
        sessions = read(doctor)
        seen = [each for observed in doctor.observed.values() for each in observed.blocking.values()]
        yield from judge_blocking(
            seen, prepared, sessions, doctor.warning, doctor.critical, show_queries=doctor.options.show_queries
        )
        holders = doctor.needed().rows(Holder, "locks_idle", {"schemas": list(doctor.schemas)})
        yield from judge_holders(holders, sessions, show_queries=doctor.options.show_queries)
    yield from judge_prepared(prepared)


def judge_blocking(
    seen: Sequence[Blocking],
    prepared: Sequence[Prepared],
    sessions: Sessions,
    warning: float,
    critical: float,
    *,
    show_queries: bool,
) -> Iterator[Finding]:
    """One finding for each root blocker, with the sessions behind it.

    Args:
        warning: seconds of a wait from which it is one; `critical` those from which it is a problem.
    """
    roots: dict[int, list[Blocking]] = {}
    for each in seen:
        roots.setdefault(each.blocker_pid, []).append(each)
    for pid, behind in sorted(roots.items(), key=lambda item: -max(each.seconds for each in item[1])):
        longest = max(behind, key=lambda each: each.seconds)
        backend = sessions.backends.get(pid)
        who = backend.who if backend else f"pid {pid}, {longest.application or 'no application name'}, gone since"
        state = longest.state or longest.blocker.replace("_", " ")
        end = ending(sessions, pid) if pid else _rollback(prepared)
        evidence = [
            f"pid {each.pid}, {each.operation}: waits {seconds(each.seconds)} for {each.lock}"
            for each in sorted(behind, key=lambda each: -each.seconds)
        ]
        if show_queries and backend:
            evidence.append(f"last statement of pid {pid}: {shorten(backend.query)}")
        yield LOCKS.graded(
            longest.seconds, min(1.0, warning), min(warning, critical),
            f"{longest.operation} waited {seconds(longest.seconds)} behind "
            + (f"{who}, {state} for {seconds(longest.since_seconds)}" if pid else "a prepared transaction"),
            *evidence,
            remedy=end.text,
            sql=end.sql,
        )  # fmt: skip
    if not roots:
        yield LOCKS.ok("no session of River's waited for a lock")


def judge_holders(holders: Sequence[Holder], sessions: Sessions, *, show_queries: bool) -> Iterator[Finding]:
    """Sessions idle with locks on River's tables."""
    for each in holders:
        backend = sessions.backends.get(each.pid)
        if backend is None:
            continue  # it has ended between the two queries
        end = ending(sessions, each.pid)
        yield IDLE.graded(
            each.age, 5, 60,
            f"{backend.who}: idle for {seconds(each.idle)} in a transaction of {seconds(each.age)} with locks on "
            "River's tables",
            *((f"last statement: {shorten(backend.query)}",) if show_queries else ()),
            remedy=end.text,
            sql=end.sql,
        )  # fmt: skip
    if not holders:
        yield IDLE.ok("no session is idle in a transaction with locks on River's tables")


def judge_prepared(prepared: Sequence[Prepared]) -> Iterator[Finding]:
    """Prepared transactions that were left behind."""
    for each in prepared:
        text = f"prepared transaction {each.gid!r} is {seconds(each.age)} old"
        end = _rollback([each], anyway=True)
        if each.rivers:
            yield PREPARED.problem(f"{text} and holds locks on River's tables", remedy=end.text, sql=end.sql)
        elif each.age >= 60:
            yield PREPARED.warning(text, remedy=end.text, sql=end.sql)
        else:
            yield PREPARED.ok(text)
    if not prepared:
        yield PREPARED.ok("no prepared transaction")


def _rollback(prepared: Sequence[Prepared], *, anyway: bool = False) -> Ending:
    """How to end prepared transactions: those that hold locks on River's tables, or all of them."""
    chosen = [each for each in prepared if anyway or each.rivers]
    if not chosen:
        return Ending("look for it in pg_prepared_xacts, also in that of other databases")
    return Ending(
        "roll it back, which loses its work, unless its transaction manager requires COMMIT PREPARED",
        "\n".join(f"ROLLBACK PREPARED {literal(each.gid)};" for each in chosen),
    )


GROUP = Group("Locks", (LOCKS, IDLE, PREPARED), examine, progress="looking at locks, tables and settings")
