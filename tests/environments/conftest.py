"""A role of the test's own, so that what is taken from it is missed nowhere else."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from exporter.postgres.role import render
from tests.conftest import Database

ROLE = "Poor exporter"
"""Its name must be quoted."""


@dataclass(frozen=True)
class Role:
    """A role that setup-sql made, in the test's database."""

    database: Database
    url: str

    def sql(self, *statements: str) -> None:
        """Run statements as superuser; `{role}` is the role."""
        with self.database.connect() as superuser:
            for each in statements:
                superuser.execute(each.replace("{role}", f'"{ROLE}"').encode())


@pytest.fixture
def role(database: Database) -> Iterator[Role]:
    """Yield the role; it is gone after the test."""
    made = Role(database, database.server.url(database.name, ROLE, "x"))
    made.sql(render(role=ROLE, password="x"))
    yield made
    made.sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
        "DROP OWNED BY {role}; DROP ROLE {role}",
    )
