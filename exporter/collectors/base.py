"""The contract of a collector: what each declares, and on which lane it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import ClassVar, Literal

import psycopg

from exporter.budget.evidence import Evidence
from exporter.collectors.capabilities import answered
from exporter.collectors.context import Context
from exporter.collectors.identity import Identity
from exporter.metrics.metric import Metric, Sample
from exporter.postgres.sessions import Lease, Session

Lane = Literal["sampler", "database", "probe", "pgxpool", "pgbouncer", "budget"]
"""A lane is a thread with what it may block on: a session, River's connection endpoint, an HTTP server. It runs one
collector at a time."""


class Collector(ABC):
    """One module beside its SQL. Subclasses set the class variables and yield samples of their declared metrics.

    Attributes:
        name: the module's name; also its key under `collectors` in the configuration.
        interval: seconds between the starts of two runs, unless configured otherwise.
        metrics: every metric it may yield.
        lane: the thread it runs on.
        elected: whether only the elected exporter runs it, because every other would say the same.
        evidence: every kind of evidence it may yield, beside its samples.
        needs: capabilities it cannot do without; while one is missing it does not run and shows nothing. Only those
            that the catalogue shows: what shows by trying would never be tried again.
        partial: why the last run left a part or a schema out, while it published the others.
    """

    name: ClassVar[str]
    interval: ClassVar[float]
    metrics: ClassVar[tuple[Metric, ...]]
    lane: ClassVar[Lane] = "database"
    elected: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    partial: Exception | None = None
    evidence: ClassVar[tuple[type[Evidence], ...]] = ()

    def __init__(self, context: Context) -> None:
        self.context = context

    def wanted(self) -> bool:
        """Whether the configuration, as it is now, gives it something to look at."""
        return self.context.config.collector(self.name).enabled

    @abstractmethod
    def collect(self) -> Iterable[Sample | Evidence]:
        """One run's samples and evidence; an exception means that nothing is known."""

    def pace(self) -> float:
        """Seconds from one start to the next."""
        settings = self.context.config.collector(self.name)
        return float(settings.interval or self.interval)

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of what it holds."""


class DatabaseCollector(Collector):
    """A collector that reads the watched database over its lane's session."""

    def collect(self) -> Iterable[Sample | Evidence]:
        """Read over the lane's session."""
        self.partial = None
        with self.lease.session() as session:
            return list(self.read(session))

    @property
    def lease(self) -> Lease:
        """The lane's session."""
        return self.context.leases[self.lane]

    def optional(self, capability: str, schema: str = "") -> AbstractContextManager[None, bool]:
        """A part that the server may refuse: the capability is then missing, and the rest of the run goes on."""
        return self.context.refusals.optional(capability, schema)

    def part(self) -> AbstractContextManager[None, bool]:
        """A part that may fail for now, as behind a lock: the rest of the run goes on, and the run counts as failed.

        What took the whole `statement_timeout` is not passed over: the run's deadline leaves no time for more.
        """
        return _Part(self)

    def identity(self, session: Session) -> Identity:
        """Which run of which server the session is connected to."""
        return self.context.identities.of(self.lane, self.lease.generation, session, self.context.refusals)

    @abstractmethod
    def read(self, session: Session) -> Iterable[Sample | Evidence]:
        """One run's samples and evidence."""


def columns(*names: str) -> tuple[str, ...]:
    """The capabilities that a query of these columns of river_job needs, beside `state`, which all do."""
    return ("river_job", *(f"river_job.{name}" for name in names))


class _Part(AbstractContextManager[None, bool]):
    """The context of one part."""

    def __init__(self, collector: DatabaseCollector) -> None:
        self._collector = collector

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, psycopg.Error) or isinstance(error, psycopg.errors.QueryCanceled):
            return False
        if answered(error):
            self._collector.partial = error
        return self._collector.partial is error


class SchemaCollector(DatabaseCollector):
    """A collector that reads each schema of River this exporter is elected for; `schema` is a label of its metrics.

    Attributes:
        served: the schemas that the run under way has read.
    """

    served: frozenset[str] = frozenset()
    _slow: frozenset[str] = frozenset()

    def read(self, session: Session) -> Iterator[Sample | Evidence]:
        """Every schema in turn, each on its own: one that fails leaves the others their samples.

        One that takes the whole `statement_timeout` is the last of its run, as of the next.

        Raises:
            psycopg.Error: no schema could be read.
        """
        self.served, failed = frozenset(), None
        for schema in sorted(self.context.led(), key=lambda each: (each in self._slow, each)):
            if not all(self.context.capable(each, schema) for each in self.needs):
                continue
            try:
                samples = list(self.read_schema(session, schema))
            except psycopg.Error as error:
                if not answered(error):
                    raise
                self.partial = failed = error
                if isinstance(error, psycopg.errors.QueryCanceled):
                    self._slow |= {schema}
                    break
            else:
                self.served |= {schema}
                self._slow -= {schema}
                yield from samples
        if failed and not self.served:
            raise failed

    @abstractmethod
    def read_schema(self, session: Session, schema: str) -> Iterable[Sample | Evidence]:
        """One schema's samples and evidence."""
