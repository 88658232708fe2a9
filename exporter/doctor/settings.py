"""Settings worth changing, each with the SQL that changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.doctor.context import DoctorContext, session_without
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import identifier
from exporter.doctor.remedy import table as quoted_table
from exporter.doctor.table import Table, tables
from exporter.humanize import count, share

TIMESTAMP = Check(
    "track-commit-timestamp",
    "`track_commit_timestamp`: off is a note.",
    "with it the exporter measures exactly how late each completion is; without, only to within its polling interval",
)
LOCK_WAITS = Check(
    "log-lock-waits",
    "`log_lock_waits`: off is a note.",
    "the server's log then names who waited for whom, long after both are gone",
)
IDLE = Check(
    "idle-in-transaction-timeout",
    "`idle_in_transaction_session_timeout`: 0, which is never, is a note.",
    "a forgotten transaction holds its rows until it is ended; with a timeout the server ends it",
)
AUTOVACUUM = Check(
    "autovacuum",
    "Autovacuum of river_job: switched off is a problem; a scale factor above 5 % on a large table a note.",
    "River's table dies and is born again all day; by default a fifth of it must be dead before vacuum comes",
)
FILLFACTOR = Check(
    "fillfactor",
    "The table's `fillfactor`: 100 on a table with 100,000 rows or more is a note.",
    "each job is updated at least twice; with room on its page the new version stays there, and fewer blocks are "
    "written",
)
LARGE = 100_000
"""Rows from which a table's options matter."""

_RELOAD = "SELECT pg_reload_conf();"


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    setting: str


def examine(doctor: DoctorContext) -> Iterator[tuple[str | None, Finding]]:
    """All checks of this group, by schema."""
    names = ["track_commit_timestamp", "log_lock_waits", "idle_in_transaction_session_timeout"]
    with session_without(doctor, "idle_in_transaction_session_timeout") as session:
        rows = session.rows(_Setting, "settings", {"names": names})
    for finding in judge_server({row.name: row.setting for row in rows}, doctor.river_users()):
        yield None, finding
    for schema, table in tables(doctor).items():
        yield schema, judge_autovacuum(table, schema)
        yield schema, judge_fillfactor(table, schema)


def judge_server(settings: Mapping[str, str], users: Sequence[str] = ()) -> Iterator[Finding]:
    """What is set for the whole server.

    Args:
        users: whom River logs in as, where that was seen.
    """
    if settings["track_commit_timestamp"] == "on":
        yield TIMESTAMP.ok("commits have timestamps")
    else:
        yield TIMESTAMP.note(
            "commits have no timestamps",
            remedy="set it, and restart the server",
            sql="ALTER SYSTEM SET track_commit_timestamp = on;",
        )
    if settings["log_lock_waits"] == "on":
        yield LOCK_WAITS.ok("long waits for locks are logged")
    else:
        yield LOCK_WAITS.note(
            "long waits for locks are not logged",
            remedy="log them",
            sql=f"ALTER SYSTEM SET log_lock_waits = on;\n{_RELOAD}",
        )
    if settings["idle_in_transaction_session_timeout"] not in ("0", ""):
        yield IDLE.ok("a session that idles in a transaction is ended")
    else:
        yield IDLE.note(
            "a session may idle in a transaction without end",
            remedy="set it for the application's role; it ends sessions that hold a transaction open on purpose, too",
            sql="\n".join(
                f"ALTER ROLE {identifier(user)} SET idle_in_transaction_session_timeout = '60s';" for user in users
            ),
        )


def judge_autovacuum(table: Table, schema: str) -> Finding:
    """Whether autovacuum comes, and early enough."""
    name = quoted_table(schema)
    if not table.launcher:
        return AUTOVACUUM.problem(
            "autovacuum is off on the whole server",
            remedy="switch it on, and track_counts, without which it does nothing",
            sql=f"ALTER SYSTEM SET autovacuum = on;\nALTER SYSTEM SET track_counts = on;\n{_RELOAD}",
        )
    if not table.autovacuum:
        return AUTOVACUUM.problem(
            "autovacuum of river_job is off",
            remedy="switch it on again",
            sql=f"ALTER TABLE {name} RESET (autovacuum_enabled);",
        )
    text = f"autovacuum comes when {share(table.scale_factor)} of the table is dead: {count(table.threshold, 'row')}"
    if table.live >= LARGE and table.scale_factor > 0.05:
        return AUTOVACUUM.note(
            text,
            remedy="let it come earlier, for less work each time",
            sql=f"ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = 0.02);",
        )
    return AUTOVACUUM.ok(text)


def judge_fillfactor(table: Table, schema: str) -> Finding:
    """Whether pages leave room for the next version of a row."""
    evidence = []
    if table.hot is not None:
        evidence.append(f"{share(table.hot)} of updates stay off the indexes (HOT); River's own touch indexed columns")
    if table.fillfactor >= 100 and table.live >= LARGE:
        return FILLFACTOR.note(
            "pages of river_job are filled to the brim", *evidence,
            remedy="leave room on the pages that are written from now on",
            sql=f"ALTER TABLE {quoted_table(schema)} SET (fillfactor = 85);",
        )  # fmt: skip
    return FILLFACTOR.ok(f"fillfactor {table.fillfactor}", *evidence)


GROUP = Group("Settings", (TIMESTAMP, LOCK_WAITS, IDLE, AUTOVACUUM, FILLFACTOR), examine)
