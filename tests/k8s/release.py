"""Installing the chart on the cluster: a release of it alone, or of the example application with River's worker."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.postgres.role import render
from tests.conftest import PASSWORD, ROLE
from tests.k8s import helm, image_tools
from tests.k8s.kubernetes import NODE, Cluster
from tests.testbed.postgres import Postgres

APP = "app.kubernetes.io/name=river-app"
"""The pods of the example application."""

ALONE = "app.kubernetes.io/name=river-exporter"
"""The pods of the Deployment."""

IMAGE: Mapping[str, Any] = {
    "repository": image_tools.IMAGE.rpartition(":")[0],
    "tag": image_tools.IMAGE.rpartition(":")[2],
    "pullPolicy": "Never",
}


@dataclass(frozen=True)
class Place:
    """A namespace and a database of a test's own."""

    namespace: str
    database: str
    server: Postgres

    def url(self, user: str = ROLE, password: str = PASSWORD) -> str:
        """Return the database's URL as pods use it, by default for the exporter's role."""
        local = self.server.url(self.database, user, None if user == "postgres" else password)
        return local.replace(f"@{self.server.host}:", f"@{NODE}:")

    def grant_role(self) -> None:
        """Give the exporter's role its rights, as `setup-sql` does."""
        with self.server.connect(self.database) as connection:
            connection.execute(render(role=ROLE, password=PASSWORD, replicas=10).encode())

    def close(self) -> None:
        """Let nobody but superusers into the database."""
        with self.server.connect() as connection:
            connection.execute(f"REVOKE CONNECT ON DATABASE {self.database} FROM PUBLIC")

    def open(self) -> None:
        """Let everybody in again."""
        with self.server.connect() as connection:
            connection.execute(f"GRANT CONNECT ON DATABASE {self.database} TO PUBLIC")


@dataclass
class Release:
    """A release that is installed; `upgrade` changes it."""

    cluster: Cluster
    name: str
    namespace: str
    chart: Path
    values: Path
    program: Path

    def run(self, verb: str, *words: str | Path) -> str:
        """Run helm on the cluster, its warnings refused."""
        access = ("--kubeconfig", self.cluster.kubeconfig, "--namespace", self.namespace)
        return helm.helm(self.program, verb, self.name, *words, *access, home=self.values.parent)

    def install(self, values: Mapping[str, Any], *, wait: bool = True) -> str:
        """Install, and wait until it is ready; returns what helm says: the notes."""
        return self._apply("install", values, wait)

    def upgrade(self, values: Mapping[str, Any], chart: Path | None = None) -> str:
        """Upgrade to other values, or another chart."""
        self.chart = chart or self.chart
        return self._apply("upgrade", values, wait=True)

    def _apply(self, verb: str, values: Mapping[str, Any], wait: bool) -> str:
        self.values.write_text(json.dumps(values))
        waiting = ("--wait", "--timeout", "120s") if wait else ()
        return self.run(verb, self.chart, "--values", self.values, *waiting)


def alone(**values: Any) -> dict[str, Any]:
    """Return values of the chart alone: the URL from the Secret `database`."""
    return {"image": IMAGE, "database": {"urlSecret": {"name": "database"}}, **values}


def application(replicas: int = 1, args: tuple[str, ...] = (), **exporter: Any) -> dict[str, Any]:
    """Return values of the example application with our River worker; `exporter` are those of the sidecar."""
    return {
        "image": image_tools.RIVER,
        "args": list(args),
        "replicas": replicas,
        "databaseSecret": "river",
        "river-exporter": {
            "image": IMAGE,
            "mode": "sidecar",
            "database": {"urlSecret": {"name": "database"}},
            "config": {"river": {"metrics_urls": ["http://127.0.0.1:9090/metrics"]}},
            **exporter,
        },
    }


def secrets(cluster: Cluster, place: Place) -> None:
    """Write the Secrets that the two above name: of the exporter's role, and of River's."""
    cluster.secret(place.namespace, "database", url=place.url())
    cluster.secret(place.namespace, "river", url=place.url("postgres"))


@contextmanager
def released(release: Release) -> Iterator[Release]:
    """Uninstall a release at the end, whether it was installed or not."""
    try:
        yield release
    finally:
        release.run("uninstall", "--ignore-not-found", "--wait")
