"""What all tests share: one PostgreSQL, a migrated template, a database per test, real River workers."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, Unpack

import psycopg
import pytest

from tests.pages import Handler, Serve, Server
from tests.testbed.exporter import Exporter, Options
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.river import Load, River, Version

ROLE = "river_exporter"
PASSWORD = "p@ss:w/o%rd"  # the signs that break a careless URL

TEMPLATES: dict[Version, str] = {
    "0.51": "river_template",
    "0.16": "river_template_016",
    "rust-0.5": "river_template_rust",
}


@dataclass(frozen=True)
class Database:
    """A test's own database: River's tables are there, and the exporter's role may read what it needs."""

    name: str
    server: Postgres
    superuser_url: str
    exporter_url: str
    """Of the least-privilege role, as `setup_sql.render` makes it."""

    def connect(self) -> psycopg.Connection:
        """Open a superuser's session in autocommit mode."""
        return self.server.connect(self.name)


class StartExporter(Protocol):
    """Start an exporter that is stopped at the end of the test, on the test's database with the role's rights."""

    def __call__(self, **options: Unpack[Options]) -> Exporter:
        """Return the exporter once it answers; the options are those of `Exporter`."""


class StartRiver(Protocol):
    """Start a worker that is stopped at the end of the test; on the test's database unless `url` is given."""

    def __call__(self, url: str | None = None, **load: Unpack[Load]) -> River:
        """Return the worker once it works jobs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--pg-version``."""
    parser.addoption("--pg-version", type=int, default=18, help="major version of the PostgreSQL the tests run against")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Yield the session's PostgreSQL, of ``--pg-version``."""
    version = request.config.getoption("--pg-version")
    with Postgres(version, {"max_prepared_transactions": 10}) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> Callable[[Version], str]:
    """Return a function that names a database to copy: migrated by that River, with the exporter's role."""
    made: set[Version] = set()

    def name(version: Version) -> str:
        if version not in made:
            postgres.create_database(TEMPLATES[version])
            prepare(postgres, TEMPLATES[version], ROLE, PASSWORD, version=version)
            made.add(version)
        return TEMPLATES[version]

    return name


_numbers = itertools.count(1)


@pytest.fixture
def river_version() -> Version:
    """Return River's version; a test that parametrizes ``river_version`` gets another."""
    return "0.51"


@pytest.fixture
def database(postgres: Postgres, template: Callable[[Version], str], river_version: Version) -> Iterator[Database]:
    """Yield a database of the test's own, migrated by the test's version of River."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template(river_version))
    try:
        yield Database(name, postgres, postgres.url(name), postgres.url(name, ROLE, PASSWORD))
    finally:
        postgres.drop_database(name)


@pytest.fixture
def river(database: Database, river_version: Version) -> Iterator[StartRiver]:
    """Yield a function that starts River workers, of the test's version and on its database."""
    with ExitStack() as workers:

        def start(url: str | None = None, **load: Unpack[Load]) -> River:
            worker = River(url or database.superuser_url, version=river_version, **load)
            return workers.enter_context(worker)

        yield start


@pytest.fixture
def exporter(database: Database) -> Iterator[StartExporter]:
    """Yield a function that starts exporters as processes of their own."""
    with ExitStack() as processes:

        def start(**options: Unpack[Options]) -> Exporter:
            return processes.enter_context(Exporter(database.exporter_url, **options))

        yield start


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Yield a function that starts servers of pages, which end with the test."""
    started: list[Server] = []

    def start(handler: Handler) -> Server:
        started.append(Server(handler))
        return started[-1]

    yield start
    for each in started:
        each.close()
