"""Target: which schemas hold River, what the server is, and what this role may see.

A part that is missing turns off only what needs it, with a log line that has the fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.capabilities import COLUMNS, fixed_for, report, restored
from exporter.collectors.capabilities import OPTIONAL as OPTIONAL
from exporter.collectors.capabilities import REMEDIES as REMEDIES
from exporter.collectors.context import Target
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.role import JOB_COLUMNS
from exporter.postgres.sessions import Session

CAPABILITY = gauge(
    "river_exporter_capability",
    "1 when server and role allow this part, 0 when it is missing and its series are absent",
    "capability",
)
SERVER = gauge("river_postgres_start_timestamp_seconds", "Unix time at which the server started")
STANDBY = gauge("river_postgres_in_recovery", "1 when the server is a standby, 0 when it is the primary")

OLDEST = 130000
"""PostgreSQL 13 is the oldest version whose views the queries know."""

OLDEST_STATEMENTS = (1, 3)
"""The oldest version of the extension pg_stat_statements whose columns the queries know."""

QUERY_SIZE = 1024
"""Bytes of a statement's text, PostgreSQL's default, within which River's completing statement names its schema."""


def remedy(target: Target, capability: str) -> str:
    """The fix for a capability that is missing: on this server, where it was seen why; else in general."""
    return target.remedies.get(capability) or fixed_for(target.role, capability)


@dataclass(frozen=True, slots=True)
class _Server:
    version: int
    standby: bool
    database: int
    role: str


@dataclass(frozen=True, slots=True)
class _Schema:
    schema: str
    place: int
    is_table: bool


@dataclass(frozen=True, slots=True)
class _Capabilities:
    pg_monitor: bool
    statements_schema: str | None
    statements_version: list[int] | None
    statements_place: str | None
    statements_open: bool
    statements_callable: bool
    statements_loaded: bool
    statements_untracked: bool
    statements_untracked_by: Sequence[str]
    statements_without_ids: bool
    activities_off: bool
    activities_off_by: Sequence[str]
    silent_users: Sequence[str]
    query_size: int
    counts_off: bool
    commit_timestamp: bool
    pgstattuple_schema: str | None


@dataclass(frozen=True, slots=True)
class _Right:
    schema: str
    quoted: str
    relation: str
    is_table: bool
    reachable: bool
    readable: bool
    closed_columns: Sequence[str]
    hidden: bool
    restricted: bool


@dataclass(slots=True)
class _Findings:
    """What was found out: every capability looked for, and of those missing the fix, and in which schemas."""

    there: dict[str, bool] = field(default_factory=dict)
    remedies: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, capability: str, remedy: str = "", schema: str = "") -> None:
        """A capability is there, or missing when there is something that fixes it."""
        self.there[capability] = self.there.get(capability, True) and not remedy
        if not remedy:
            return
        before = self.remedies.get(capability)
        self.remedies[capability] = f"{before} {remedy}" if before and remedy not in before else remedy
        if schema:
            self.lacking[capability] = self.lacking.get(capability, frozenset()) | {schema}


class TargetCollector(DatabaseCollector):
    """Looks the target up; what it finds is what the other collectors may rely on."""

    name = "target"
    interval = 10.0
    lane = "sampler"
    elected = False
    metrics = (CAPABILITY, SERVER, STANDBY)

    def pace(self) -> float:
        """Quick until River is found, so that a fresh start or a late migration is not kept waiting."""
        return super().pace() if self.context.target.schemas else min(2.0, super().pace())

    def read(self, session: Session) -> Iterator[Sample]:
        """Ask, leave it to the others, and log once what is missing with its fix."""
        (server,) = session.rows(_Server, "target")
        self.context.refusals.role = server.role
        identity = self.identity(session)
        found = session.rows(_Schema, "target_schemas")
        schemas = self._schemas(found)
        (able,) = session.rows(_Capabilities, "target_capabilities", {"schemas": list(schemas)})
        rights = session.rows(_Right, "target_rights", {"schemas": list(schemas), "columns": list(JOB_COLUMNS)})
        findings = _Findings()
        findings.add("primary", REMEDIES["primary"] if server.standby else "")
        findings.add("server_version", REMEDIES["server_version"] if server.version < OLDEST else "")
        self._places(findings, schemas, found, several=len(found) > 1, query_size=able.query_size)
        _server_wide(findings, able, server.role)
        for right in rights:
            _right(findings, right, server.role)
        if not rights:
            findings.add("river_job", fixed_for(server.role, "river_job"))
        for capability, refused in self.context.refusals.remedies():
            findings.add(capability, refused)
        self._report(findings)
        self.context.target = Target(
            schemas=schemas if server.version >= OLDEST else (),
            default=self._default(schemas, found),
            capabilities=findings.there,
            remedies=findings.remedies,
            lacking=findings.lacking,
            role=server.role,
            statements_schema=able.statements_schema,
            statements_version=tuple(able.statements_version or ()),
            pgstattuple_schema=able.pgstattuple_schema,
            version=server.version,
            system=identity.system,
            started=identity.started,
            standby=server.standby,
            database=server.database,
        )
        for name, there in findings.there.items():
            yield CAPABILITY.sample(float(there), name)
        if identity.started is not None:
            yield SERVER.sample(identity.started)
        yield STANDBY.sample(float(server.standby))

    def _schemas(self, found: list[_Schema]) -> tuple[str, ...]:
        """The configured ones that are there, else the first in the search path."""
        wanted = self.context.config.river.schemas
        tables = [row for row in found if row.is_table]
        if wanted:
            there = {row.schema for row in tables}
            return tuple(schema for schema in dict.fromkeys(wanted) if schema in there)
        first = min((row for row in tables if row.place), key=lambda row: row.place, default=None)
        return (first.schema,) if first else ()

    @staticmethod
    def _default(schemas: tuple[str, ...], found: list[_Schema]) -> str | None:
        placed = sorted((row.place, row.schema) for row in found if row.place and row.schema in schemas)
        return placed[0][1] if placed else next(iter(schemas), None)

    def _places(
        self, findings: _Findings, schemas: tuple[str, ...], found: list[_Schema], *, several: bool, query_size: int
    ) -> None:
        """Whether River is where it is looked for, and nowhere else."""
        wanted = self.context.config.river.schemas
        places = ", ".join(row.schema if row.is_table else f"{row.schema} (a view)" for row in found) or "no schema"
        missing = not schemas or not set(wanted) <= set(schemas)
        looked = f"river_job is looked for in {', '.join(wanted) or 'the search path'} and is in {places}"
        findings.add("river_schema", f"{REMEDIES['river_schema']}; {looked}" if missing else "")
        others = [row.schema for row in found if row.is_table and row.schema not in schemas]
        findings.add(
            "other_schemas",
            f"river_job is also in {', '.join(others)}, which is not watched: {REMEDIES['other_schemas']}"
            if others and schemas
            else "",
        )
        short = several and query_size < QUERY_SIZE
        findings.add("track_activity_query_size", REMEDIES["track_activity_query_size"] if short else "")

    def _report(self, findings: _Findings) -> None:
        """Log what is missing once, and again when its fix is another."""
        before, tried = self.context.target, {capability for capability, _ in self.context.refusals.remedies()}
        for name, there in findings.there.items():
            missing = before.capabilities.get(name) is False
            if name in tried or (missing and before.remedies.get(name) == findings.remedies.get(name)):
                continue  # logged when it was tried, or before
            if there:
                if missing:
                    restored(name)
                continue
            if name.startswith("river_") and name != "river_schema" and not findings.there["river_schema"]:
                continue
            report(name, findings.remedies[name])


def _server_wide(findings: _Findings, able: _Capabilities, role: str) -> None:
    """What does not depend on a schema of River's."""
    findings.add("pg_monitor", "" if able.pg_monitor else fixed_for(role, "pg_monitor"))
    findings.add("track_activities", _activities(able))
    findings.add("track_counts", REMEDIES["track_counts"] if able.counts_off else "")
    findings.add("pg_stat_statements", _statements(able, role))
    findings.add("track_commit_timestamp", "" if able.commit_timestamp else REMEDIES["track_commit_timestamp"])


def _activities(able: _Capabilities) -> str:
    """The fix for sessions that do not show what they do."""
    if able.activities_off:
        return REMEDIES["track_activities"]
    if able.activities_off_by:
        resets = " ".join(f"ALTER {owner} RESET track_activities;" for owner in able.activities_off_by)
        return f"{resets} and restart River"
    if able.silent_users:
        return f"let {', '.join(able.silent_users)} connect with track_activities = on, and restart River"
    return ""


def _statements(able: _Capabilities, role: str) -> str:
    """The fix for statistics of statements that are missing, closed or empty; several where one does not suffice."""
    if able.statements_schema is None:
        return REMEDIES["pg_stat_statements"]
    fixes = []
    if not able.statements_loaded:
        fixes.append("add pg_stat_statements to shared_preload_libraries and restart;")
    if not able.statements_open:
        fixes.append(f"GRANT USAGE ON SCHEMA {able.statements_place} TO {role};")
    if not able.statements_callable:
        fixes.append(f"GRANT EXECUTE ON FUNCTION {able.statements_place}.pg_stat_statements(boolean) TO {role};")
    if tuple(able.statements_version or ()) < OLDEST_STATEMENTS:
        fixes.append("ALTER EXTENSION pg_stat_statements UPDATE;")
    if able.statements_untracked:
        fixes.append("ALTER SYSTEM SET pg_stat_statements.track = top; SELECT pg_reload_conf();")
    fixes += [f"ALTER {owner} RESET pg_stat_statements.track;" for owner in able.statements_untracked_by]
    if able.statements_without_ids:
        fixes.append("ALTER SYSTEM SET compute_query_id = auto; SELECT pg_reload_conf();")
    return " ".join(fixes)


def _right(findings: _Findings, right: _Right, role: str) -> None:
    """What the role may read of one table of River's; a table that this version of River does not have needs no fix."""
    name = f"{right.quoted}.{right.relation}"
    capability = "river_client" if right.relation == "river_client_queue" else right.relation
    usage = "" if right.reachable else f"GRANT USAGE ON SCHEMA {right.quoted} TO {role};"
    fixes = [usage]
    if capability != "river_job":
        fixes.append("" if right.readable else f"GRANT SELECT ON {name} TO {role};")
    elif "state" in right.closed_columns:  # every query needs it
        fixes.append(f"GRANT SELECT ({', '.join(right.closed_columns)}) ON {name} TO {role};")
    if right.restricted:
        fixes.append(f"ALTER ROLE {role} BYPASSRLS;")
    elif right.hidden:
        fixes.append(f"CREATE POLICY river_exporter ON {name} FOR SELECT TO {role} USING (true);")
    if not right.is_table:
        fixes.append(f"{name} is a view, which may leave rows out: let river.schemas name the schema of the table;")
    findings.add(capability, " ".join(each for each in fixes if each), right.schema)
    if capability == "river_job" and not any(fixes):
        for column in COLUMNS:
            only = column.partition(".")[2]
            grant = f"GRANT SELECT ({only}) ON {name} TO {role};" if only in right.closed_columns else ""
            findings.add(column, grant, right.schema)
