"""The contract of a collector: what each declares, and on which lane it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from exporter.collectors.context import Context
from exporter.metrics.metric import Metric, Sample
from exporter.postgres.sessions import Lease, Session

Lane = Literal["sampler", "database", "probe", "pgxpool", "pgbouncer", "budget"]
"""A lane is a thread with what it may block on: a session, River's address, an HTTP server. It runs one at a time."""


class Collector(ABC):
    """One module beside its SQL. Subclasses set the class variables and yield samples of their declared metrics.

    Attributes:
        name: the module's name; also its key under `collectors` in the configuration.
        interval: seconds between the starts of two runs, unless configured otherwise.
        metrics: every metric it may yield.
        lane: the thread it runs on.
        elected: whether only the elected exporter runs it, because every other would say the same.
        needs: capabilities it cannot do without; while one is missing it does not run and shows nothing.
    """

    name: ClassVar[str]
    interval: ClassVar[float]
    metrics: ClassVar[tuple[Metric, ...]]
    lane: ClassVar[Lane] = "database"
    elected: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, context: Context) -> None:
        self.context = context

    def wanted(self) -> bool:
        """Whether the configuration, as it is now, gives it something to look at."""
        return self.context.config.collector(self.name).enabled

    @abstractmethod
    def collect(self) -> Iterable[Sample]:
        """One run's samples; an exception means that nothing is known."""

    def pace(self) -> float:
        """Seconds from one start to the next."""
        settings = self.context.config.collector(self.name)
        return float(settings.interval or self.interval)

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of what it holds."""


class DatabaseCollector(Collector):
    """A collector that reads the watched database over its lane's session."""

    def collect(self) -> Iterable[Sample]:
        """Read over the lane's session."""
        with self.lease.session() as session:
            return list(self.read(session))

    @property
    def lease(self) -> Lease:
        """The lane's session."""
        return self.context.leases[self.lane]

    @abstractmethod
    def read(self, session: Session) -> Iterable[Sample]:
        """One run's samples."""


class SchemaCollector(DatabaseCollector):
    """A collector that reads each schema of River this exporter is elected for; `schema` is a label of its metrics."""

    def read(self, session: Session) -> Iterator[Sample]:
        """Every schema in turn."""
        for schema in self.context.led():
            yield from self.read_schema(session, schema)

    @abstractmethod
    def read_schema(self, session: Session, schema: str) -> Iterable[Sample]:
        """One schema's samples."""
