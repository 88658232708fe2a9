"""The SQL that makes the exporter's role: reads statistics and River's columns, never arguments, metadata or errors.

Facts: PostgreSQL manual, "Predefined Roles" (pg_monitor) and GRANT (column privileges cover system columns, so `xmin`
and `cmin` can be granted by name).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from exporter.errors import ConfigError

CONNECTIONS = 3
"""Connections one exporter opens at most."""

JOB_COLUMNS = (
    "id", "state", "queue", "kind", "priority", "attempt", "scheduled_at", "attempted_at", "finalized_at",
    "attempted_by", "xmin", "cmin",
)  # fmt: skip
"""The columns of river_job the exporter may read; `args`, `metadata` and `errors` are not among them."""

SMALL_TABLES = ("river_leader", "river_queue", "river_client", "river_client_queue", "river_migration")
"""River's small tables, read whole; which of them exist depends on River's version."""

_TAG = "$river_exporter$"


def render(
    schemas: Sequence[str] = ("public",),
    role: str = "river_exporter",
    password: str | None = None,
    replicas: int = 1,
) -> str:
    """The SQL script, for psql or any client, that creates or updates the role.

    Args:
        schemas: the schemas River's tables are in.
        role: name of the role.
        password: set when given; otherwise the role is created without one and a comment has the command that sets it.
        replicas: exporters that run at the same time; each needs three connections, and a rolling update one more set.

    Raises:
        ConfigError: a name is empty or longer than PostgreSQL keeps, or replicas is below one.
    """
    for name in (role, *schemas):
        if not name or len(name.encode()) > 63 or "\0" in name or _TAG in name:
            raise ConfigError(f"{name!r} is no name of a role or schema: PostgreSQL keeps 1 to 63 bytes")
    if replicas < 1:
        raise ConfigError(f"--replicas {replicas}: at least one exporter runs")
    limit = CONNECTIONS * (replicas + 1)
    return "\n".join(
        [
            "-- The least a running exporter needs. Run it in River's database as a superuser; run it again",
            "-- after River's next migration, or when a schema is added. It takes no right away, and what an older one",
            "-- granted keeps working for what it covers.",
            _create_role(role, password),
            f"alter role {_name(role)} login connection limit {limit};",
            "-- the statistics views: other users' statements, waits and locks",
            f"grant pg_monitor to {_name(role)};",
            *(_schema(schema, role) for schema in dict.fromkeys(schemas)),
            "",
        ]
    )


def _create_role(role: str, password: str | None) -> str:
    lines = [
        f"do {_TAG} begin",
        f"  if not exists (select from pg_roles where rolname = {_text(role)}) then",
        f"    create role {_name(role)} login;",
        "  end if;",
        f"end {_TAG};",
    ]
    if password is None:
        lines.append(f"-- give it a password without showing one: \\password {_comment(_name(role))}")
    else:
        lines.append(f"alter role {_name(role)} password {_text(password)};")
    return "\n".join(lines)


def _schema(schema: str, role: str) -> str:
    tables = ", ".join(_text(table) for table in SMALL_TABLES)
    return "\n".join(
        [
            f"-- River in schema {_comment(_name(schema))}: no job's arguments, metadata or errors",
            f"grant usage on schema {_name(schema)} to {_name(role)};",
            f"grant select ({', '.join(JOB_COLUMNS)}) on {_name(schema)}.river_job to {_name(role)};",
            f"do {_TAG} declare t text; begin",
            "  for t in select relname from pg_class c join pg_namespace n on n.oid = relnamespace",
            f"    where nspname = {_text(schema)} and relkind in ('r', 'p', 'v') and relname in ({tables}) loop",
            f"    execute format('grant select on %I.%I to %I', {_text(schema)}, t, {_text(role)});",
            "  end loop;",
            f"end {_TAG};",
        ]
    )


def _name(name: str) -> str:
    return sql.Identifier(name).as_string()


def _text(value: str) -> str:
    return sql.Literal(value).as_string().strip()


def _comment(name: str) -> str:
    """A name that cannot end its comment, and so never begins a statement."""
    return name.replace("\n", " ").replace("\r", " ")
