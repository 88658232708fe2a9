"""Makes a database one that River works on and the exporter may watch."""

from exporter.postgres.role import render
from tests.testbed.postgres import Postgres
from tests.testbed.river import Version, migrate


def prepare(
    postgres: Postgres,
    dbname: str,
    role: str,
    password: str,
    *,
    version: Version = "0.51",
    replicas: int = 1,
) -> None:
    """Bring River's tables, pg_stat_statements and the exporter's least-privilege role into a database that is there.

    Args:
        version: whose River's migrations.
        replicas: how many exporters may be connected at once.

    Raises:
        ServerFailed: the migration fails.
    """
    migrate(postgres.url(dbname), version)
    with postgres.connect(dbname) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(render(role=role, password=password, replicas=replicas).encode())
