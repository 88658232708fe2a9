"""A real Prometheus scrapes the server through TLS, a password and a client certificate; promtool lints the output."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import trustme
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter.http.routes import Routes
from exporter.http.server import Server
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus, promtool

PASSWORD = "p@s:s/w%rd"


def _routes() -> Routes:
    registry = CollectorRegistry()
    Gauge("river_jobs", "Jobs by queue", ["queue"], registry=registry).labels('a "b"\\c\nd').set(7)
    Counter("river_completer_timeouts", "Attempts that ended at the deadline", registry=registry).inc(3)
    Histogram("river_probe_connect_seconds", "Time to connect", registry=registry).observe(0.02)
    return Routes(registry, "/metrics", lambda: (True, "OK"), lambda: (True, "OK"), None, lambda: "<h1>River</h1>")


class _Site:
    """A server with TLS, a user and required client certificates, whose certificate can be renewed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.crt")
        client = self.authority.issue_cert("prometheus.example")
        client.private_key_pem.write_to_path(folder / "client.key")
        client.cert_chain_pems[0].write_to_path(folder / "client.crt")
        self.renew()
        self.allow(PASSWORD)
        self.server = Server("127.0.0.1:0", _routes(), folder / "web.yaml")

    def renew(self) -> None:
        """Replace certificate and key."""
        pair = self.authority.issue_cert("127.0.0.1")
        pair.private_key_pem.write_to_path(self.folder / "server.key")
        pair.cert_chain_pems[0].write_to_path(self.folder / "server.crt")

    def allow(self, password: str) -> None:
        """Write the web configuration with this password of the user prometheus."""
        tls = {
            "cert_file": "server.crt",
            "key_file": "server.key",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.crt",
            "client_allowed_sans": ["prometheus.example"],
        }
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
        document = {"tls_server_config": tls, "basic_auth_users": {"prometheus": hashed}}
        (self.folder / "web.yaml").write_text(yaml.safe_dump(document))

    def job(self, name: str, *, password: str = PASSWORD, certificate: bool = True) -> dict[str, Any]:
        """A scrape job with these credentials."""
        tls = {"ca_file": str(self.folder / "ca.crt")}
        if certificate:
            tls |= {"cert_file": str(self.folder / "client.crt"), "key_file": str(self.folder / "client.key")}
        return {
            "job_name": name,
            "scheme": "https",
            "tls_config": tls,
            "basic_auth": {"username": "prometheus", "password": password},
            "static_configs": [{"targets": [self.server.address]}],
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[_Site]:
    """A secured server that runs."""
    made = _Site(tmp_path)
    made.server.start()
    yield made
    made.server.stop()


@pytest.fixture
def prometheus(site: _Site, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus with one job that may scrape and two that may not."""
    jobs = [site.job("good"), site.job("wrong-password", password="x"), site.job("no-certificate", certificate=False)]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    with Prometheus(path) as running:
        yield running


def _wait_for(prometheus: Prometheus, job: str, health: str, error: str) -> None:
    """Wait until the job's target has this health and last error."""

    def states() -> list[tuple[str, str]]:
        return [(each["health"], each["lastError"]) for each in prometheus.targets() if each["labels"]["job"] == job]

    wait_for(lambda: states() == [(health, error)], 30, f"job {job} to be {health} {error}")


def test_prometheus_scrapes_through_tls_password_and_certificate(site: _Site, prometheus: Prometheus) -> None:
    """The right credentials get the values, wrong ones the reason; renewed ones are taken without a restart."""
    _wait_for(prometheus, "good", "up", "")
    _wait_for(prometheus, "wrong-password", "down", "server returned HTTP status 401 Unauthorized")
    _wait_for(prometheus, "no-certificate", "down", "server returned HTTP status 403 Forbidden")
    (jobs,) = wait_for(lambda: prometheus.query("river_jobs"), 10, "the gauge")
    assert (jobs.labels["queue"], jobs.value) == ('a "b"\\c\nd', 7)
    (timeouts,) = wait_for(lambda: prometheus.query("river_completer_timeouts_total"), 10, "the counter")
    assert timeouts.value == 3

    site.renew()
    site.allow("x")
    _wait_for(prometheus, "wrong-password", "up", "")
    _wait_for(prometheus, "good", "down", "server returned HTTP status 401 Unauthorized")


def test_promtool_has_no_complaint_about_the_output(site: _Site) -> None:
    """Of the text format, as it comes over the wire."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"https://{site.server.address}/metrics",
            auth=("prometheus", PASSWORD),
            cert=(str(site.folder / "client.crt"), str(site.folder / "client.key")),
            verify=str(site.folder / "ca.crt"),
            timeout=20,
        )
    checked = subprocess.run([promtool(), "check", "metrics"], input=answer.content, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
