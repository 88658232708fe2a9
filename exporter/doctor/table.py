"""River's table: its indexes, dead rows and what keeps vacuum from removing them, triggers, scans, freezing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.humanize import count, seconds, share, size
from exporter.river.facts import INDEXES

INDEX = Check(
    "indexes",
    "Whether River's indexes are there and valid. Without the primary key, the fetching index or the one on state and "
    "finalized_at is a problem, an invalid index a warning, another missing one a note.",
    "without its index the completing statement reads the whole table; an invalid one costs writes and serves none",
)
DEAD = Check(
    "dead-rows",
    "Dead rows of river_job against the number at which autovacuum comes: 3 times and 10,000 rows are a warning, "
    "10 times and 50,000 rows a problem.",
    "River updates each job several times; fetching and completing step over every dead row",
)
HORIZON = Check(
    "vacuum-horizon",
    "The oldest transaction, replication slot, prepared transaction or standby that keeps vacuum from removing dead "
    "rows: 10 minutes is a note, an hour a warning.",
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
    "How far river_job is on the way to transaction id wraparound: 40 % is a warning, 80 % a problem.",
    "at 100 % PostgreSQL takes no writes, completions among them",
)
CHECKS = (INDEX, DEAD, HORIZON, TRIGGERS, SCANS, WRAPAROUND)

NEEDED = {"river_job_pkey", "river_job_prioritized_fetching_index", "river_job_state_and_finalized_at_index"}
"""The indexes that fetching and completing live on."""

OF_OLD = {"river_job_unique_idx": "river_job_kind_unique_key_idx"}
"""What an index was called up to River's migration 5."""

SOME, MANY = 10_000, 50_000
"""Dead rows below which no ratio matters: autovacuum looks once a minute."""


@dataclass(frozen=True, slots=True)
class Table:
    """Statistics of river_job; sizes in bytes, `vacuumed` seconds ago, None when never."""

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
    """What holds vacuum back; `seconds` None where it is not known since when."""

    kind: str
    name: str
    seconds: float | None
    transactions: float


def tables(doctor: DoctorContext) -> dict[str, Table]:
    """The table of each schema."""
    session = doctor.needed()
    return {schema: session.rows(Table, "table", {"schema": schema}, schema)[0] for schema in doctor.schemas}


def examine(doctor: DoctorContext, before: dict[str, Table]) -> Iterator[tuple[str | None, Finding]]:
    """All checks of this group, by schema."""
    session = doctor.needed()
    holders = session.rows(Holder, "table_horizon") if doctor.context.capable("pg_monitor") else []
    yield None, judge_horizon(holders)
    for schema, table in tables(doctor).items():
        for finding in judge_indexes(session.rows(Index, "table_indexes", {"schema": schema}), schema):
            yield schema, finding
        yield schema, judge_dead(table, holders, schema)
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
            remedy="create it again as River's migrations do, with CREATE INDEX CONCURRENTLY "
            "(the primary key: ALTER TABLE river_job ADD PRIMARY KEY (id))",
        )  # fmt: skip
    elif missing:
        yield INDEX.note(f"missing: {', '.join(missing)}, which fetching and completing do without", *sizes)
    for index in invalid:
        yield INDEX.warning(
            f"{index.name} is invalid ({size(index.size)}): its REINDEX or CREATE was cut short, or runs",
            remedy=f"when none runs: DROP INDEX CONCURRENTLY {quoted(schema)}.{quoted(index.name)};",
        )
    if not missing and not invalid:
        yield INDEX.ok(f"{count(len(indexes), 'index', 'indexes')}, all valid", *sizes)


def judge_dead(table: Table, holders: Sequence[Holder], schema: str) -> Finding:
    """Whether autovacuum keeps up."""
    ratio = table.dead / max(1.0, table.threshold)
    text = f"{count(table.dead, 'dead row')} beside {count(table.live, 'live one')}"
    vacuumed = f"{seconds(table.vacuumed)} ago" if table.vacuumed is not None else "never"
    evidence = [
        f"autovacuum comes at {count(table.threshold, 'dead row')}; last vacuum {vacuumed}"
        + (", one runs now" if table.vacuuming else ""),
        f"heap {size(table.heap)}, {size(table.heap / max(1.0, table.live))} a live row; indexes {size(table.indexes)}",
    ]
    if holders:
        evidence.append(f"held back by: {_held(holders[0])}")
    remedy = f"end what holds vacuum back (vacuum-horizon), then VACUUM (VERBOSE) {quoted(schema)}.river_job;"
    if ratio >= 10 and table.dead >= MANY:
        return DEAD.problem(text, *evidence, remedy=remedy)
    if ratio >= 3 and table.dead >= SOME:
        return DEAD.warning(text, *evidence, remedy=remedy)
    return DEAD.ok(text, *evidence)


def judge_horizon(holders: Sequence[Holder]) -> Finding:
    """Who holds the oldest snapshot."""
    if not holders:
        return HORIZON.ok("nothing holds vacuum back")
    oldest = max(holders, key=lambda holder: holder.seconds or 0.0)
    evidence = [_held(holder) for holder in holders]
    age = oldest.seconds or 0.0
    text = f"vacuum is held back by {_held(oldest)}"
    if age >= 3600:
        return HORIZON.warning(text, *evidence, remedy=_end(oldest))
    if age >= 600:
        return HORIZON.note(text, *evidence, remedy=_end(oldest))
    return HORIZON.ok(f"the oldest snapshot is {seconds(age)} old", *evidence)


def judge_triggers(triggers: Sequence[Trigger], schema: str) -> Finding:
    """Whether a trigger runs inside completions."""
    updating = [trigger for trigger in triggers if trigger.updates]
    named = [f"{trigger.name} runs {trigger.function}" for trigger in triggers]
    if not updating:
        return TRIGGERS.ok("no trigger fires on updates", *named)
    return TRIGGERS.warning(
        f"{count(len(updating), 'trigger')} on river_job in every completion", *named,
        remedy="\n".join(
            f"ALTER TABLE {quoted(schema)}.river_job DISABLE TRIGGER {quoted(each.name)};  -- if nobody needs it"
            for each in updating
        ),
    )  # fmt: skip


def judge_scans(before: Table | None, after: Table) -> Finding:
    """Whether the table was read whole between two looks."""
    scans = after.scans - before.scans if before else 0.0
    rows = after.scanned - before.scanned if before else 0.0
    if scans > 0 and rows / scans >= 10_000:
        return SCANS.warning(
            f"river_job was read whole {scans:,.0f} times while doctor looked, {rows / scans:,.0f} rows each time",
            remedy="see indexes; or somebody counts jobs: pg_stat_statements shows who",
        )
    return SCANS.ok("nobody read the whole of a large river_job while doctor looked")


def judge_wraparound(table: Table, schema: str) -> Finding:
    """How far the table is on the way to wraparound, of the 2^31 transactions there are."""
    part = table.age / 2**31
    return WRAPAROUND.graded(
        part, 0.4, 0.8, f"{share(part)} of the way to wraparound",
        remedy=f"end what holds vacuum back (vacuum-horizon), then VACUUM (FREEZE) {quoted(schema)}.river_job;",
    )  # fmt: skip


def _held(holder: Holder) -> str:
    age = f" for {seconds(holder.seconds)}" if holder.seconds is not None else ""
    return f"{holder.kind} {holder.name}{age}, {count(holder.transactions, 'transaction')}"


def _end(holder: Holder) -> str:
    name = "'" + holder.name.replace("'", "''") + "'"
    return {
        "session": f"SELECT pg_terminate_backend({holder.name.partition(' ')[0]});",
        "slot": f"SELECT pg_drop_replication_slot({name});  -- when nobody needs it any more",
        "prepared transaction": f"ROLLBACK PREPARED {name};",
    }.get(holder.kind, "end the long query on the standby, or set hot_standby_feedback = off there")


def quoted(name: str) -> str:
    """An identifier as SQL writes it, in quotation marks only where it needs them."""
    plain = name.isascii() and name.isidentifier() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'
