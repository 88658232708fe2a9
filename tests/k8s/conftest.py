"""What the tests on the cluster share: the images, one cluster, and a PostgreSQL in its network with River's tables."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.k8s import helm, image_tools
from tests.k8s.kubernetes import Cluster
from tests.k8s.release import Place, Release, application, released, secrets
from tests.testbed import river
from tests.testbed.postgres import Postgres

TEMPLATE = "river_template"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield a cluster with the definitions of the two operators' objects, and be in its network meanwhile."""
    definitions = [
        *sorted(helm.operator_definitions().glob("*.yaml")),
        Path(__file__).parent / "grafana_dashboards.yaml",
    ]
    with Cluster() as running, running.network():
        for file in definitions:
            running.kubectl("create", "-f", file)
        yield running


@pytest.fixture(scope="session")
def images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build the exporter's image and that of a River worker, and bring them into the cluster."""
    folder = tmp_path_factory.mktemp("images")
    with cluster.outside():
        sources = image_tools.copy_sources(tmp_path_factory.mktemp("sources"))
        exporter = image_tools.archive(image_tools.build_image(sources=sources), folder)
        worker = image_tools.worker_image(image_tools.RIVER, river.binary(), folder)
    cluster.load(exporter, worker)


@contextmanager
def postgres_for_pods() -> Iterator[Postgres]:
    """Run a PostgreSQL that pods reach at the node's address, with River's tables in the template."""
    with Postgres(18, {"listen_addresses": "*", "max_connections": 200}) as postgres:
        with (postgres.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.0.0.0/8 scram-sha-256\n")
        with postgres.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
        postgres.create_database(TEMPLATE)
        river.migrate(postgres.url(TEMPLATE))
        with postgres.connect(TEMPLATE) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        yield postgres


@pytest.fixture(scope="session")
def server(cluster: Cluster, images: None) -> Iterator[Postgres]:
    """Yield the PostgreSQL of most tests."""
    del cluster, images  # they come first: this process is in the cluster's network then
    with postgres_for_pods() as postgres:
        yield postgres


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def make_place(cluster: Cluster, server: Postgres) -> Callable[[str], Place]:
    """Return a function that makes a restricted namespace and a migrated database with the exporter's role.

    Both go with the cluster and the server.
    """

    def make(name: str) -> Place:
        number = next(_numbers)
        place = Place(f"{name}-{number}", f"{name}_{number}", server)
        cluster.namespace(place.namespace)
        server.create_database(place.database, TEMPLATE)
        place.grant_role()
        return place

    return make


@pytest.fixture(scope="session")
def long_running(
    cluster: Cluster, make_place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Yield where the example application runs for the whole session, its exporter within 64 MiB."""
    place, folder = make_place("long"), tmp_path_factory.mktemp("long")
    secrets(cluster, place)
    chart = helm.example_chart(folder)
    with released(Release(cluster, "app", place.namespace, chart, folder / "values.json", helm.helm_3())) as release:
        resources = {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}
        release.install(application(args=("--rate=20",), resources=resources))
        yield place


@pytest.fixture(autouse=True)
def _long_running_first(request: pytest.FixtureRequest) -> None:
    """Start what has to run for long with the first test on the cluster, if a later one asks for it."""
    asked = any("long_running" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if asked and "cluster" in request.fixturenames:
        request.getfixturevalue("long_running")
