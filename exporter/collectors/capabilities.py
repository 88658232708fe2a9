"""Capabilities: what the server and the role let the exporter see, and the fix for each one that is missing.

The catalogue shows most of them before anything is read (collector `target`). The rest shows only when a query is
refused: a view that a provider closed, a function whose EXECUTE was revoked, a text that cannot be converted.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

import psycopg

from exporter.postgres.role import JOB_COLUMNS

log = logging.getLogger("exporter.capability")

COLUMNS = tuple(f"river_job.{column}" for column in JOB_COLUMNS if column != "state")
"""A capability for each column that some queries need; without `state` no query of river_job runs at all."""

_SETUP = "run the SQL that `river-exporter setup-sql` prints"
_WITHOUT = "without it its metrics stay absent"

REMEDIES: Mapping[str, str] = {
    "river_schema": "set river.schemas to the schema River was migrated in, or run River's migrations",
    "other_schemas": "add the other schemas of River to river.schemas, or run a second exporter for them",
    "primary": "give database.url the address of the primary: a standby cannot say who waits for whom",
    "server_version": "upgrade PostgreSQL to 13 or later",
    "pg_monitor": "GRANT pg_monitor TO river_exporter;",
    "track_activities": "ALTER SYSTEM SET track_activities = on; SELECT pg_reload_conf();",
    "track_activity_query_size": "ALTER SYSTEM SET track_activity_query_size = 1024; and restart PostgreSQL",
    "track_counts": "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();",
    "river_job": _SETUP,
    **dict.fromkeys(COLUMNS, _SETUP),
    "river_leader": _SETUP,
    "river_queue": _SETUP,
    "river_client": _SETUP,
    "river_migration": _SETUP,
    "pg_stat_statements": "add pg_stat_statements to shared_preload_libraries, restart, then "
    "CREATE EXTENSION pg_stat_statements;",
    "pg_stat_statements_texts": "discard the entries of databases in another encoding, which cannot be converted: "
    "SELECT pg_stat_statements_reset(0, s.dbid, 0) FROM (SELECT DISTINCT dbid FROM pg_stat_statements(false)) AS s "
    "LEFT JOIN pg_database AS d ON d.oid = s.dbid WHERE d.encoding IS DISTINCT FROM "
    "(SELECT encoding FROM pg_database WHERE datname = current_database());",
    "pg_stat_statements_info": "GRANT EXECUTE ON FUNCTION pg_stat_statements_info() TO river_exporter;",
    "track_commit_timestamp": "ALTER SYSTEM SET track_commit_timestamp = on; and restart: completer lag is then exact",
    "pg_try_advisory_lock": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_try_advisory_lock(int, int) TO river_exporter;",
    "pg_control_system": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO river_exporter;",
    "pg_postmaster_start_time": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_postmaster_start_time() TO river_exporter;",
    "pg_locks": "GRANT SELECT ON pg_catalog.pg_locks TO river_exporter;",
    "pg_stat_database": f"GRANT SELECT ON pg_catalog.pg_stat_database TO river_exporter; {_WITHOUT}",
    "pg_stat_wal": f"GRANT SELECT ON pg_catalog.pg_stat_wal TO river_exporter; {_WITHOUT}",
    "pg_stat_io": f"GRANT SELECT ON pg_catalog.pg_stat_io TO river_exporter; {_WITHOUT}",
    "pg_stat_checkpointer": f"GRANT SELECT ON pg_catalog.pg_stat_checkpointer TO river_exporter; {_WITHOUT}",
    "pg_stat_replication": f"GRANT SELECT ON pg_catalog.pg_stat_replication TO river_exporter; {_WITHOUT}",
    "pg_replication_slots": f"GRANT SELECT ON pg_catalog.pg_replication_slots TO river_exporter; {_WITHOUT}",
    "pg_prepared_xacts": f"GRANT SELECT ON pg_catalog.pg_prepared_xacts TO river_exporter; {_WITHOUT}",
    "pg_stat_progress_vacuum": f"GRANT SELECT ON pg_catalog.pg_stat_progress_vacuum TO river_exporter; {_WITHOUT}",
    "pgstattuple": "GRANT EXECUTE ON FUNCTION pgstatginindex(regclass) TO river_exporter;",
}
"""Every capability, with its general fix; what is known of the role, the schema and the server goes before it."""

OPTIONAL = {
    "river_leader", "river_queue", "river_client", "river_migration", "other_schemas", "track_commit_timestamp",
    "pg_stat_statements_info", "pg_control_system", "pg_postmaster_start_time", "pg_stat_database", "pg_stat_wal",
    "pg_stat_io", "pg_stat_checkpointer", "pg_stat_replication", "pg_replication_slots", "pg_prepared_xacts",
    "pg_stat_progress_vacuum", "pgstattuple",
}  # fmt: skip
"""What some River or some provider cannot give: no alert fires unless it was there before."""

BLINDING = (
    "primary", "pg_monitor", "track_activities", "track_activity_query_size", "river_job", "river_job.finalized_at",
    "river_job.kind", "river_job.attempted_at",
)  # fmt: skip
"""Without one of these the state of completions is unknown."""

TRIED = frozenset({
    "pg_locks", "pg_try_advisory_lock", "pg_control_system", "pg_postmaster_start_time", "pg_stat_database",
    "pg_stat_wal", "pg_stat_io", "pg_stat_checkpointer", "pg_stat_replication", "pg_replication_slots",
    "pg_prepared_xacts", "pg_stat_progress_vacuum", "pg_stat_statements_texts", "pg_stat_statements_info",
    "pgstattuple",
})  # fmt: skip
"""What shows only when it is tried; no collector may need one of them, as it would never be tried again."""

# the server refused a statement for what it is, not for how busy it is; 55000 is an extension that is not preloaded
_REFUSED = (
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
    psycopg.DataError,
    psycopg.InternalError,
    psycopg.errors.ObjectNotInPrerequisiteState,
)

_DENIED = re.compile(r"permission denied for (function|view|table|schema|foreign table) (\S+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One capability that the server refused, of one schema or ("") of the server."""

    reason: str
    remedy: str


class Refusals:
    """What was refused when it was tried; written by the lanes that try, read by all.

    Attributes:
        role: the role's name as SQL has it, once it is known.
    """

    def __init__(self) -> None:
        self.role = ""
        self._found: dict[tuple[str, str], Refusal | None] = {}
        self._lock = threading.Lock()

    def optional(self, capability: str, schema: str = "") -> AbstractContextManager[None, bool]:
        """Try a part that the server may refuse: then the capability is missing, and what follows the part goes on.

        Every run tries again, so that the part is back with the next run after its fix.
        """
        return _Trial(self, capability, schema)

    def grant(self, capability: str, schema: str) -> None:
        """It was tried, and the server gave it."""
        with self._lock:
            back = self._found.get((capability, schema))
            self._found = {**self._found, (capability, schema): None}
        if back:
            restored(capability, schema)

    def missing(self, capability: str, schema: str | None = None) -> bool:
        """Whether it was refused: in this schema or of the server, or, without a schema, anywhere."""
        found = self._found
        if schema is None:
            return any(each for (name, _), each in found.items() if name == capability)
        return bool(found.get((capability, schema)) or found.get((capability, "")))

    def remedies(self) -> Iterator[tuple[str, str]]:
        """Every capability that was tried, with its fix, or nothing when the server gave it."""
        for (capability, _), each in sorted(self._found.items(), key=lambda item: item[0]):
            yield capability, each.remedy if each else ""

    def refuse(self, capability: str, schema: str, error: psycopg.Error) -> None:
        """It was tried, and the server refused it: logged once, until the reason is another."""
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        refusal = Refusal(reason, fix(capability, self.role, error.sqlstate, reason))
        with self._lock:
            logged = self._found.get((capability, schema)) == refusal
            self._found = {**self._found, (capability, schema): refusal}
        if not logged:
            report(capability, refusal.remedy, schema, reason)


class _Trial(AbstractContextManager[None, bool]):
    """The context of one trial; a client's own error, or a lost connection, passes."""

    def __init__(self, refusals: Refusals, capability: str, schema: str) -> None:
        self._refusals, self._capability, self._schema = refusals, capability, schema

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._refusals.grant(self._capability, self._schema)
        elif isinstance(error, _REFUSED) and error.sqlstate is not None:
            self._refusals.refuse(self._capability, self._schema, error)
            return True
        return False


def answered(error: psycopg.Error) -> bool:
    """Whether the server refused one statement, and the session is as good as before; else it is lost."""
    return error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P"))


def fix(capability: str, role: str, sqlstate: str | None, reason: str) -> str:
    """The SQL that gives a refused capability to this role, or that this server does not have it."""
    general = fixed_for(role, capability)
    if sqlstate == psycopg.errors.FeatureNotSupported.sqlstate:
        return f"this server does not offer {capability}: its metrics stay absent"
    denied = _DENIED.search(reason)
    if not denied or denied[2] in general:
        return general
    kind, name = denied.groups()
    right, place = {"function": ("EXECUTE", "FUNCTION "), "schema": ("USAGE", "SCHEMA ")}.get(kind, ("SELECT", ""))
    return f"GRANT {right} ON {place}{name} TO {role};"


def fixed_for(role: str, capability: str) -> str:
    """The general fix with the role's own name, which is quoted where it must be."""
    return REMEDIES[capability].replace("TO river_exporter", f"TO {role}") if role else REMEDIES[capability]


def report(capability: str, remedy: str, schema: str = "", reason: str = "") -> None:
    """One line about a capability that is missing; the caller logs it once."""
    level = logging.INFO if capability in OPTIONAL else logging.WARNING
    extra = {**_labels(capability, schema), "remedy": remedy} | ({"reason": reason} if reason else {})
    log.log(level, "capability missing", extra=extra)


def restored(capability: str, schema: str = "") -> None:
    """One line about a capability that is there again."""
    log.info("capability restored", extra=_labels(capability, schema))


def _labels(capability: str, schema: str) -> dict[str, str]:
    return {"capability": capability} | ({"schema": schema} if schema else {})
