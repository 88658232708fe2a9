"""The exporter itself as a child process, configured by its environment and read over HTTP."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.config import variable
from tests.testbed.process import Server, ServerFailed, Started, free_port, wait_for

ROOT = Path(__file__).parents[2]


class Metrics:
    """One scrape, parsed; asked by name and labels, of which those not given may be anything."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append(sample)

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """Return the samples of that name that have those labels."""
        return [each for each in self._samples.get(name, []) if labels.items() <= each.labels.items()]

    def all(self) -> list[Sample]:
        """Return every sample."""
        return [each for found in self._samples.values() for each in found]

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of the samples; None when there is none."""
        found = self.samples(name, **labels)
        return sum(each.value for each in found) if found else None

    def most(self, name: str, **labels: str) -> float | None:
        """Return the greatest sample; None when there is none."""
        return max((each.value for each in self.samples(name, **labels)), default=None)


class Options(TypedDict, total=False):
    """How an exporter is set up, beside the database it samples."""

    river_url: str
    """The address River itself uses, if it is another."""
    metrics_urls: Sequence[str]
    """Where River's process exposes its pool."""
    settings: Mapping[str, str]
    """Further configuration by dotted key, as ``{"river.timeout": "10s"}``."""
    arguments: Sequence[str | Path]
    """Further arguments, such as ``--config.file``."""
    port: int
    """Where it listens on 127.0.0.1; a free one if not given."""


class Exporter(Started):
    """``python -m exporter``; a context manager. Addresses go by environment, not by argv."""

    host = "127.0.0.1"

    def __init__(self, database_url: str, **options: Unpack[Options]) -> None:
        """Describe an exporter of that database, with the least-privilege role's URL; nothing is started yet."""
        self.port = options.get("port") or free_port()
        configured = {
            "database.url": database_url,
            "web.listen_address": f"{self.host}:{self.port}",
            "river.url": options.get("river_url", ""),
            "river.metrics_urls": ",".join(options.get("metrics_urls", ())),
            **options.get("settings", {}),
        }
        variables = {variable(key): value for key, value in configured.items() if value}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.server = Server(
            "exporter",
            [sys.executable, "-m", "exporter", *options.get("arguments", ())],
            env={**variables, "PYTHONPATH": path},
        )

    @property
    def url(self) -> str:
        """The address of its pages, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerFailed: it ended or didn't answer within 20 s; with the end of its log.
        """
        self.server.start()
        wait_for(self._answers, 20, "the exporter to answer", self.server)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/healthy", timeout=5).ok
        except requests.ConnectionError:
            return False

    def metrics(self) -> Metrics:
        """Scrape it.

        Raises:
            ServerFailed: it doesn't answer.
        """
        try:
            answer = requests.get(f"{self.url}/metrics", timeout=5)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise ServerFailed(f"the exporter can't be scraped: {error}") from None
        return Metrics(answer.text)

    def close(self) -> None:
        """Stop it and remove its log."""
        self.server.close()
