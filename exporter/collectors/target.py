"""Target: which schemas hold River, what the server is, and what this role may see.

A part that is missing turns off only what needs it, with a log line that says how to mend it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Target
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.role import JOB_COLUMNS
from exporter.postgres.sessions import Session

log = logging.getLogger("exporter.target")

CAPABILITY = gauge(
    "river_exporter_capability", "1 when the server and the role let the exporter see this part", "capability"
)
SERVER = gauge("river_postgres_start_timestamp_seconds", "When the server started, Unix time")
STANDBY = gauge("river_postgres_in_recovery", "1 when the server is a standby, which cannot speak for River")

OLDEST = 130000
"""PostgreSQL 13 is the oldest version whose views the queries know."""

_SETUP = "run the SQL that `river-exporter setup-sql` prints"

REMEDIES: Mapping[str, str] = {
    "river_schema": "set river.schemas to the schema River was migrated in, or run River's migrations",
    "primary": "give database.url the address of the primary: a standby cannot say who waits for whom",
    "server_version": "upgrade PostgreSQL to 13 or later",
    "pg_monitor": "GRANT pg_monitor TO river_exporter;",
    "river_job": _SETUP,
    "river_leader": _SETUP,
    "river_queue": _SETUP,
    "river_client": _SETUP,
    "river_migration": _SETUP,
    "pg_stat_statements": "add pg_stat_statements to shared_preload_libraries, restart, then "
    "CREATE EXTENSION pg_stat_statements;",
    "track_commit_timestamp": "ALTER SYSTEM SET track_commit_timestamp = on; and restart: completer lag is then exact",
}
"""Every capability, with what mends it."""

OPTIONAL = {"river_leader", "river_queue", "river_client", "river_migration", "track_commit_timestamp"}


def remedy(target: Target, capability: str) -> str:
    """What mends a capability that is missing: on this server, where it was seen why; else in general."""
    return target.remedies.get(capability) or REMEDIES[capability]


@dataclass(frozen=True, slots=True)
class _Server:
    version: int
    standby: bool
    system: int
    started: float
    database: int


@dataclass(frozen=True, slots=True)
class _Schema:
    schema: str
    place: int


@dataclass(frozen=True, slots=True)
class _Capabilities:
    role: str
    pg_monitor: bool
    statements_schema: str | None
    statements_version: list[int] | None
    statements_closed: str | None
    statements_loaded: bool
    commit_timestamp: bool
    pgstattuple_schema: str | None


@dataclass(frozen=True, slots=True)
class _Rights:
    river_job: bool
    river_leader: bool | None
    river_queue: bool | None
    river_client: bool | None
    river_migration: bool | None


class TargetCollector(DatabaseCollector):
    """Looks the target up; what it finds is what the other collectors may rely on."""

    name = "target"
    interval = 30.0
    lane = "sampler"
    elected = False
    metrics = (CAPABILITY, SERVER, STANDBY)

    def pace(self) -> float:
        """Quick until River is found, so that a fresh start or a late migration is not kept waiting."""
        return super().pace() if self.context.target.schemas else min(2.0, super().pace())

    def read(self, session: Session) -> Iterator[Sample]:
        """Ask, tell the others, and say once what is missing and how to mend it."""
        (server,) = session.rows(_Server, "target")
        (able,) = session.rows(_Capabilities, "target_capabilities")
        found = session.rows(_Schema, "target_schemas")
        schemas = self._schemas(found)
        rights = [
            row
            for schema in schemas
            for row in session.rows(_Rights, "target_rights", {"schema": schema, "columns": list(JOB_COLUMNS)})
        ]
        capabilities = {
            "river_schema": bool(schemas) and set(self.context.config.river.schemas) <= set(schemas),
            "primary": not server.standby,
            "server_version": server.version >= OLDEST,
            "pg_monitor": able.pg_monitor,
            "pg_stat_statements": able.statements_schema is not None
            and able.statements_closed is None
            and able.statements_loaded,
            "track_commit_timestamp": able.commit_timestamp,
        }
        for name in _Rights.__slots__:
            # null: this version of River has no such table, which is nobody's to mend
            known = [right for row in rights if (right := getattr(row, name)) is not None]
            if known or name == "river_job":
                capabilities[name] = len(rights) == len(schemas) > 0 and all(known)
        remedies = self._remedies(able)
        self._tell(able.role, capabilities, remedies, found)
        self.context.target = Target(
            schemas=schemas if server.version >= OLDEST else (),
            default=self._default(schemas, found),
            capabilities=capabilities,
            remedies=remedies,
            statements_schema=able.statements_schema,
            statements_version=tuple(able.statements_version or ()),
            pgstattuple_schema=able.pgstattuple_schema,
            version=server.version,
            system=server.system,
            started=server.started,
            standby=server.standby,
            database=server.database,
        )
        for name, there in capabilities.items():
            yield CAPABILITY.sample(float(there), name)
        yield SERVER.sample(server.started)
        yield STANDBY.sample(float(server.standby))

    def _schemas(self, found: list[_Schema]) -> tuple[str, ...]:
        """The configured ones that are there, else the first in the search path."""
        wanted = self.context.config.river.schemas
        if wanted:
            there = {row.schema for row in found}
            return tuple(schema for schema in dict.fromkeys(wanted) if schema in there)
        first = min((row for row in found if row.place), key=lambda row: row.place, default=None)
        return (first.schema,) if first else ()

    @staticmethod
    def _default(schemas: tuple[str, ...], found: list[_Schema]) -> str | None:
        placed = sorted((row.place, row.schema) for row in found if row.place and row.schema in schemas)
        return placed[0][1] if placed else next(iter(schemas), None)

    @staticmethod
    def _remedies(able: _Capabilities) -> dict[str, str]:
        """What mends an extension that is there, but in a schema that is closed to the role."""
        if able.statements_closed is None:
            return {}
        grant = f"GRANT USAGE ON SCHEMA {able.statements_closed} TO {able.role};"
        general = REMEDIES["pg_stat_statements"]
        return {"pg_stat_statements": grant if able.statements_loaded else f"{general} {grant}"}

    def _tell(
        self, role: str, capabilities: Mapping[str, bool], remedies: Mapping[str, str], found: list[_Schema]
    ) -> None:
        before = self.context.target
        for name, there in capabilities.items():
            said = before.capabilities.get(name) is False and before.remedies.get(name) == remedies.get(name)
            if there or said:
                continue
            mends = remedies.get(name) or REMEDIES[name].replace("TO river_exporter", f"TO {role}")
            if name == "river_schema":
                wanted = ", ".join(self.context.config.river.schemas) or "the search path"
                schemas = ", ".join(row.schema for row in found) or "no schema"
                mends += f"; river_job is looked for in {wanted} and is in {schemas}"
            elif name.startswith("river_") and not capabilities["river_schema"]:
                continue
            level = logging.INFO if name in OPTIONAL else logging.WARNING
            log.log(level, "capability missing", extra={"capability": name, "remedy": mends})
