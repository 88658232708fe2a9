"""The role's SQL on a real server: any name, run again, and over what an older one granted."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from exporter.postgres.role import JOB_COLUMNS, render
from tests.conftest import Database

ROLES = (
    "Capital",
    'quo"te',
    "semi; DROP TABLE river_job; --",
    "line\nDROP TABLE river_job; --",
    "größe",
    "back\\slash'",
)
SCHEMA = 'Jobs "of"\nDROP TABLE river_job; --'


@pytest.fixture
def superuser(database: Database) -> Iterator[psycopg.Connection]:
    """Yield a superuser's session on a database with River in a schema of an awkward name too."""
    with database.connect() as connection:
        schema = sql.Identifier(SCHEMA)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        for table in ("river_job", "river_leader", "river_queue"):
            like = sql.SQL("CREATE TABLE {0}.{1} (LIKE public.{1})")
            connection.execute(like.format(schema, sql.Identifier(table)))
        yield connection
        for role in (*ROLES, "older"):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def may(connection: psycopg.Connection, role: str, schema: str) -> tuple[set[str], bool]:
    """Return the columns of river_job that a role may read, and whether it may read river_leader."""
    table = sql.Identifier(schema, "river_job").as_string(connection)
    leader = sql.Identifier(schema, "river_leader").as_string(connection)
    columns = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::regclass"
        " AND has_column_privilege(%(role)s, attrelid, attnum, 'SELECT')",
        {"role": role, "table": table},
    ).fetchall()
    row = connection.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", [role, leader]).fetchone()
    assert row is not None
    return {name for (name,) in columns}, row[0]


@pytest.mark.parametrize("role", ROLES)
def test_any_name_is_quoted(superuser: psycopg.Connection, role: str) -> None:
    """Of role and schema, in statements and in comments; run twice, it changes nothing and takes nothing away."""
    script = render(["public", SCHEMA], role, replicas=2)
    superuser.execute(script.encode())
    superuser.execute(sql.SQL("GRANT SELECT (args) ON river_job TO {}").format(sql.Identifier(role)))
    superuser.execute(script.encode())
    row = superuser.execute(
        "SELECT rolconnlimit, pg_has_role(rolname, 'pg_monitor', 'MEMBER') FROM pg_roles WHERE rolname = %s", [role]
    ).fetchone()
    assert row == (9, True)
    assert may(superuser, role, "public") == ({*JOB_COLUMNS, "args"}, True)
    assert may(superuser, role, SCHEMA) == (set(JOB_COLUMNS), True)
    assert superuser.execute("SELECT count(*) FROM river_job").fetchone() == (0,)


def test_what_an_older_script_granted_is_kept_and_completed(superuser: psycopg.Connection) -> None:
    """A role with fewer columns and no right on the small tables, as one that was made by hand."""
    superuser.execute(
        "CREATE ROLE older LOGIN CONNECTION LIMIT 3; GRANT SELECT (id, state, metadata) ON river_job TO older"
    )
    superuser.execute(render(role="older").encode())
    assert may(superuser, "older", "public") == ({*JOB_COLUMNS, "metadata"}, True)
    row = superuser.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'older'").fetchone()
    assert row == (6,)


def test_a_password_is_quoted_as_well(superuser: psycopg.Connection) -> None:
    """Whatever it is made of; a role whose name would end the quotation of the script is refused."""
    superuser.execute(render(role="older", password="a'b\\c$river_exporter$\n;").encode())
    assert superuser.execute("SELECT 1 FROM pg_authid WHERE rolname = 'older' AND rolpassword <> ''").fetchone() == (1,)
