"""Election: the sampler's session asks each second for the lock of each schema that it does not hold yet."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.budget.evidence import Evidence
from exporter.collectors.base import DatabaseCollector
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session, Unreachable

LEADER = gauge(
    "river_exporter_is_leader",
    "1 while this exporter is the elected leader of the schema, 0 while another one is",
    "schema",
)

RETRY = 10.0
"""Seconds after which a lock that the server refused is asked for again: each refusal is a line in the server's log."""


class ElectionCollector(DatabaseCollector):
    """Contends for the schemas of the target."""

    name = "election"
    interval = 1.0
    lane = "sampler"
    elected = False
    metrics = (LEADER,)

    _retry = 0.0

    def read(self, session: Session) -> Iterator[Sample]:
        """Contend; each schema with whether it is ours. Where the server refuses the lock, they are all ours."""
        context, now = self.context, self.context.clock()
        schemas = () if context.target.standby else context.target.schemas
        if now >= self._retry:
            with self.optional("pg_try_advisory_lock"):
                context.election.contend(session, self.lease.generation, schemas, now)
        if context.refusals.missing("pg_try_advisory_lock"):
            self._retry = now + RETRY if now >= self._retry else self._retry
            context.election.assume(schemas, now)
        led = context.led()
        for schema in schemas:
            yield LEADER.sample(float(schema in led), schema)

    def collect(self) -> list[Sample | Evidence]:
        """As read; a lost session loses its locks at once."""
        try:
            return list(super().collect())
        except Unreachable:
            self.context.election.resign()
            raise
