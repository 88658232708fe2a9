"""River's table: its indexes, dead rows and what keeps vacuum from removing them, triggers, scans, freezing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import Ending, Sessions, ending, identifier, literal, read
from exporter.doctor.remedy import table as quoted_table
from exporter.doctor.rules import threshold
from exporter.humanize import count, seconds, share, size
from exporter.river.facts import INDEXES

SOME, MANY = 10_000, 50_000
"""Dead rows below which no ratio matters: autovacuum looks once a minute."""

TIMES, TIMES_PROBLEM = threshold("RiverTableDeadRows", "times"), 10.0
"""Times the number of dead rows at which autovacuum comes."""

LONG_HELD = threshold("RiverVacuumHeldBack", "seconds")
OLD, TOO_OLD = threshold("RiverTableWraparound", "warning"), threshold("RiverTableWraparound", "critical")

INDEX = Check(
    "indexes",
    "Whether River's indexes are there and valid. Without the primary key, the fetching index or the one on state and "
    "finalized_at is a problem, an invalid index a warning, another missing one a note.",
    "without its index the completing statement reads the whole table; an invalid one costs writes and serves none",
)
DEAD = Check(
    "dead-rows",
    f"Dead rows of river_job against the number at which autovacuum comes: {TIMES:g} times and {SOME:,} rows are a "
    f"warning, {TIMES_PROBLEM:g} times and {MANY:,} rows a problem.",
    "River updates each job several times; fetching and completing step over every dead row",
)
HORIZON = Check(
    "vacuum-horizon",
    "The oldest transaction, replication slot, prepared transaction or standby that keeps vacuum from removing dead "
    f"rows: 10 minutes is a note, {seconds(LONG_HELD)} a warning.",
    "while an old snapshot is held no vacuum removes what died since",
)
TRIGGERS = Check(
    "triggers",
    "Triggers on river_job that are not River's and fire on UPDATE: a warning.",
    "they run inside every completion and use up its timeout",
)
SCANS = Check(
    "full-scans",
    "Whether river_job was read whole while doctor looked: scans that read 10,000 rows or more each are a warning.",
    "a scan of the table is slow, evicts what is cached, and grows with every finished job",
)
WRAPAROUND = Check(
    "wraparound",
    f"How far river_job is on the way to transaction id wraparound: {share(OLD)} is a warning, {share(TOO_OLD)} a "
    "problem.",
    "at 100 % PostgreSQL takes no writes, completions among them",
)
NEEDED = {
    "river_job_pkey": "(id)",
    "river_job_prioritized_fetching_index": "(state, queue, priority, scheduled_at, id)",
    "river_job_state_and_finalized_at_index": "(state, finalized_at) WHERE finalized_at IS NOT NULL",
}
"""The indexes that fetching and completing depend on, with what they index (River's migrations, main line)."""

HELD = 30.0
"""Seconds from which a session that holds vacuum back is one to end: a report of a few seconds is none."""

OF_OLD = {"river_job_unique_idx": "river_job_kind_unique_key_idx"}
"""What an index was called up to River's migration 5."""


@dataclass(frozen=True, slots=True)
class Table:
    """Statistics of river_job; sizes in bytes, `vacuumed` seconds ago, None when never.

    `autovacuum` is whether the table allows it, `launcher` whether the server runs it at all.
    """

    live: float
    dead: float
    threshold: float
    heap: float
    indexes: float
    vacuumed: float | None
    scans: float
    scanned: float
    age: float
    vacuuming: bool
    fillfactor: int
    scale_factor: float
    autovacuum: bool
    launcher: bool
    hot: float | None


@dataclass(frozen=True, slots=True)
class Index:
    """An index of river_job; size in bytes."""

    name: str
    valid: bool
    size: float
    scans: float
    primary: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that is not the system's."""

    name: str
    function: str
    updates: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """What holds vacuum back; `seconds` None where it is not known since when, `pid` where it has no session."""

    kind: str
    name: str
    seconds: float | None
    transactions: float
    pid: int | None = None
    active: bool = True


def tables(doctor: DoctorContext) -> dict[str, Table]:
    """The table of each schema."""
    session = doctor.needed()
    return {schema: session.rows(Table, "table", {"schema": schema}, schema)[0] for schema in doctor.schemas}


def examine(doctor: DoctorContext) -> Iterator[tuple[str | None, Finding]]:
    """All checks of this group, by schema."""
    before: dict[str, Table] = doctor.before.get(GROUP.title) or {}
    session = doctor.needed()
    holders: list[Holder] = []
    sessions = Sessions({}, frozenset())
    if reason := doctor.unseen_sessions():
        yield None, HORIZON.not_examined(reason, remedy="see rights")
    else:
        holders, sessions = session.rows(Holder, "table_horizon"), read(doctor)
        yield None, judge_horizon(holders, sessions)
    for schema, table in tables(doctor).items():
        for finding in judge_indexes(session.rows(Index, "table_indexes", {"schema": schema}), schema):
            yield schema, finding
        yield schema, judge_dead(table, holders, sessions, schema)
        yield schema, judge_triggers(session.rows(Trigger, "table_triggers", {"schema": schema}), schema)
        yield schema, judge_scans(before.get(schema), table)
        yield schema, judge_wraparound(table, schema)


def judge_indexes(indexes: Sequence[Index], schema: str) -> Iterator[Finding]:
    """Missing and invalid ones."""
    there = {index.name for index in indexes if index.valid}
    there |= {"river_job_pkey" for index in indexes if index.primary and index.valid}
    missing = [name for name in INDEXES if name not in there and OF_OLD.get(name) not in there]
    invalid = [index for index in indexes if not index.valid]
    needed = [name for name in missing if name in NEEDED]
    sizes = [f"{index.name}: {size(index.size)}, {count(index.scans, 'scan')}" for index in indexes]
    if needed:
        yield INDEX.problem(
            f"missing: {', '.join(needed)}", *sizes,
            remedy="create it again, which reads the whole table and blocks no writes",
            sql="\n".join(_create(name, schema) for name in needed),
        )  # fmt: skip
    elif missing:
        yield INDEX.note(f"missing: {', '.join(missing)}, which fetching and completing do without", *sizes)
    for index in invalid:
        yield INDEX.warning(
            f"{index.name} is invalid ({size(index.size)}): its REINDEX or CREATE was cut short, or runs",
            remedy="drop it, unless a REINDEX or CREATE INDEX is running",
            sql=f"DROP INDEX CONCURRENTLY {identifier(schema, index.name)};",
        )
    if not missing and not invalid:
        yield INDEX.ok(f"{count(len(indexes), 'index', 'indexes')}, all valid", *sizes)


def judge_dead(table: Table, holders: Sequence[Holder], sessions: Sessions, schema: str) -> Finding:
    """Whether autovacuum keeps up."""
    ratio = table.dead / max(1.0, table.threshold)
    text = f"{count(table.dead, 'dead row')} beside {count(table.live, 'live one')}"
    vacuumed = f"{seconds(table.vacuumed)} ago" if table.vacuumed is not None else "never"
    evidence = [
        f"autovacuum comes at {count(table.threshold, 'dead row')}; last vacuum {vacuumed}"
        + (", one runs now" if table.vacuuming else ""),
        f"heap {size(table.heap)}, {size(table.heap / max(1.0, table.live))} a live row; indexes {size(table.indexes)}",
    ]
    remedy, statements = "vacuum the table", [f"VACUUM (VERBOSE) {quoted_table(schema)};"]
    if holders:
        evidence.append(f"held back by: {_held(holders[0])}")
        end = _end(holders[0], sessions)
        remedy = f"first what holds vacuum back ({end.text}), then vacuum the table"
        if (holders[0].seconds or 0.0) >= HELD and end.sql:
            statements.insert(0, end.sql)
    sql = "\n".join(statements)
    if ratio >= TIMES_PROBLEM and table.dead >= MANY:
        return DEAD.problem(text, *evidence, remedy=remedy, sql=sql)
    if ratio >= TIMES and table.dead >= SOME:
        return DEAD.warning(text, *evidence, remedy=remedy, sql=sql)
    return DEAD.ok(text, *evidence)


def judge_horizon(holders: Sequence[Holder], sessions: Sessions) -> Finding:
    """The oldest snapshot, and what holds it."""
    if not holders:
        return HORIZON.ok("nothing holds vacuum back")
    oldest = max(holders, key=lambda holder: holder.seconds or 0.0)
    evidence = [_held(holder) for holder in holders]
    age, end = oldest.seconds or 0.0, _end(oldest, sessions)
    text = f"vacuum is held back by {_held(oldest)}"
    if age >= LONG_HELD:
        return HORIZON.warning(text, *evidence, remedy=end.text, sql=end.sql)
    if age >= 600:
        return HORIZON.note(text, *evidence, remedy=end.text, sql=end.sql)
    return HORIZON.ok(f"the oldest snapshot is {seconds(age)} old", *evidence)


def judge_triggers(triggers: Sequence[Trigger], schema: str) -> Finding:
    """Whether a trigger runs inside completions."""
    updating = [trigger for trigger in triggers if trigger.updates]
    named = [f"{trigger.name} runs {trigger.function}" for trigger in triggers]
    if not updating:
        return TRIGGERS.ok("no trigger fires on updates", *named)
    return TRIGGERS.warning(
        f"{count(len(updating), 'trigger')} on river_job in every completion", *named,
        remedy="disable it, if the application can do without what it does; ENABLE TRIGGER brings it back",
        sql="\n".join(
            f"ALTER TABLE {quoted_table(schema)} DISABLE TRIGGER {identifier(each.name)};" for each in updating
        ),
    )  # fmt: skip


def judge_scans(before: Table | None, after: Table) -> Finding:
    """Whether the table was read whole between two looks."""
    scans = after.scans - before.scans if before else 0.0
    rows = after.scanned - before.scanned if before else 0.0
    if scans > 0 and rows / scans >= 10_000:
        return SCANS.warning(
            f"river_job was read whole {scans:,.0f} times while doctor looked, {rows / scans:,.0f} rows each time",
            remedy="see indexes; or a client counts jobs: pg_stat_statements shows its statement",
        )
    return SCANS.ok("no scan read the whole of a large river_job while doctor looked")


def judge_wraparound(table: Table, schema: str) -> Finding:
    """How far the table is on the way to wraparound, of the 2^31 transactions there are."""
    part = table.age / 2**31
    return WRAPAROUND.graded(
        part, OLD, TOO_OLD, f"{share(part)} of the way to wraparound",
        remedy="first what holds vacuum back (see vacuum-horizon), then freeze the table",
        sql=f"VACUUM (FREEZE) {quoted_table(schema)};",
    )  # fmt: skip


def _held(holder: Holder) -> str:
    age = f" for {seconds(holder.seconds)}" if holder.seconds is not None else ""
    return f"{holder.kind} {holder.name}{age}, {count(holder.transactions, 'transaction')}"


def _end(holder: Holder, sessions: Sessions) -> Ending:
    if holder.pid is not None:
        return ending(sessions, holder.pid)
    if holder.kind == "slot" and holder.active:
        return Ending(f"the replica or subscriber of slot {holder.name} is behind: look at it")
    if holder.kind == "slot":
        return Ending(
            "drop the slot, if its replica or subscriber is gone for good: one that comes back has to be set up again",
            f"SELECT pg_drop_replication_slot({literal(holder.name)});",
        )
    if holder.kind == "prepared transaction":
        return Ending(
            "roll it back, which loses its work, unless its transaction manager requires COMMIT PREPARED",
            f"ROLLBACK PREPARED {literal(holder.name)};",
        )
    return Ending("end the long query on the standby, or set hot_standby_feedback = off there")


def _create(name: str, schema: str) -> str:
    """The statements that make one of the indexes again."""
    table, columns = quoted_table(schema), NEEDED[name]
    if name != "river_job_pkey":
        return f"CREATE INDEX CONCURRENTLY {identifier(name)} ON {table} {columns};"
    return (
        f"CREATE UNIQUE INDEX CONCURRENTLY {identifier(name)} ON {table} {columns};\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {identifier(name)} PRIMARY KEY USING INDEX {identifier(name)};"
    )


GROUP = Group("River's table", (INDEX, DEAD, HORIZON, TRIGGERS, SCANS, WRAPAROUND), examine, before=tables)
