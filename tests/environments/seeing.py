"""Everything the database's collectors give under one role, each run only while what it needs is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.discovery import classes
from tests.collecting import Exporter, Values

NAMES = (
    *("sessions", "locks", "completions"),  # the sampler's, in their order
    *sorted(each.name for each in classes() if issubclass(each, DatabaseCollector) and each.lane == "database"),
)
"""The collectors that read the database, beside `target` and `election`."""


class View:
    """What one exporter sees.

    Args:
        exporter: entered, with its target looked up.
    """

    def __init__(self, exporter: Exporter) -> None:
        self.exporter = exporter

    def values(self, *names: str) -> Values:
        """One run of each collector that may run, all of them unless named; none of them may fail."""
        found: Values = {}
        self.exporter.run("target")
        self.exporter.run("election")
        for name in names or NAMES:
            collector = self.exporter.collector(name)
            if all(self.exporter.context.capable(each) for each in collector.needs):
                found |= self.exporter.run(name)
                assert collector.partial is None, (name, collector.partial)
        return found | self.exporter.run("target")

    def missing(self) -> dict[str, str]:
        """What is missing now, with its fix."""
        there = self.exporter.run("target")["river_exporter_capability"]
        return {name: self.exporter.context.target.remedies[name] for (name,), value in there.items() if not value}


@contextmanager
def seeing(url: str, **environment: str) -> Iterator[View]:
    """A view over a URL, and of the configuration's variables beside it."""
    with Exporter(url, **environment) as exporter:
        yield View(exporter)
