"""Runs collectors one at a time against a real database, as a running exporter would, and gives what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from psycopg import sql

from exporter.collectors.base import Collector, DatabaseCollector
from exporter.collectors.context import build_context
from exporter.collectors.discovery import classes
from exporter.collectors.runner import publish
from exporter.config import load
from exporter.metrics.metric import Buckets, Totals
from exporter.postgres.leader import Election
from exporter.postgres.sessions import Row, Session
from exporter.postgres.sessions import load as load_query
from tests.testbed.process import wait_for

Values = dict[str, dict[tuple[str, ...], float]]
"""What a run said: by metric, then by label values."""


@dataclass(frozen=True)
class Plan:
    """What a query cost: shared blocks it touched, seconds on the server, its nodes as `Seq Scan on river_job`."""

    blocks: int
    seconds: float
    nodes: list[str]


class Exporter:
    """An elected exporter without its schedule; the target is looked up when it is entered.

    Args:
        url: of the database.
        environment: its configuration beside the address: ``RIVER_EXPORTER_LIMITS_QUEUES="2"``.
    """

    def __init__(self, url: str, **environment: str) -> None:
        config = load(None, {"RIVER_EXPORTER_DATABASE_URL": url, **environment})
        self.context = build_context(config, {}, Election(3600))
        self.context.database.deadline = 30
        self._collectors: dict[str, Collector] = {}

    def collector(self, name: str) -> Collector:
        """The collector of that name, the same one each time."""
        if name not in self._collectors:
            (found,) = (each for each in classes() if each.name == name)
            self._collectors[name] = found(self.context)
        return self._collectors[name]

    def run(self, name: str) -> Values:
        """Run a collector once: its values by metric and labels; a histogram's buckets have `le` as last label.

        The series `…_count` and `…_sum` of a histogram or summary stand beside `…_bucket`. Peaks of its
        metrics are among them. What it raises passes.
        """
        collector = self.collector(name)
        samples = publish(collector)
        self.context.snapshot.put(name, samples, 3 * collector.pace())
        samples += [held for held in self.context.snapshot.held() if held.metric in collector.metrics]
        found: Values = {}
        for metric, labels, value in samples:
            if isinstance(value, Buckets):
                found.setdefault(f"{metric.name}_count", {})[labels] = value.counts[-1][1]
                found.setdefault(f"{metric.name}_sum", {})[labels] = value.total
                for bound, count in value.counts:
                    found.setdefault(f"{metric.name}_bucket", {})[(*labels, f"{bound:g}")] = count
            elif isinstance(value, Totals):
                found.setdefault(f"{metric.name}_count", {})[labels] = value.count
                found.setdefault(f"{metric.name}_sum", {})[labels] = value.total
            else:
                found.setdefault(metric.name, {})[labels] = value
        return found

    def plans(self, name: str) -> dict[str, Plan]:
        """Run a collector, then each of its queries again under EXPLAIN ANALYZE, as the same role: plan by query."""
        asked: list[tuple[str, Mapping[str, Any] | None, str | None]] = []

        class Recording(Session):
            def rows(
                self,
                kind: type[Row],
                query: str,
                parameters: Mapping[str, Any] | None = None,
                schema: str | None = None,
            ) -> list[Row]:
                asked.append((query, parameters, schema))
                return super().rows(kind, query, parameters, schema)

        collector = self.collector(name)
        assert isinstance(collector, DatabaseCollector)
        with collector.lease.session() as session:
            list(collector.read(Recording(session._connection)))
            return {query: self._plan(session, query, given, schema) for query, given, schema in asked}

    @staticmethod
    def _plan(session: Session, query: str, parameters: Mapping[str, Any] | None, schema: str | None) -> Plan:
        statement: sql.Composable = sql.SQL(load_query(query, session.version // 10000))
        if schema is not None:
            statement = sql.SQL(load_query(query, session.version // 10000)).format(schema=sql.Identifier(schema))
        statement = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}").format(statement)
        row = session._connection.execute(statement, parameters).fetchone()
        assert row is not None
        root = row[0][0]["Plan"]
        nodes, todo = [], [root]
        while todo:
            node = todo.pop()
            todo += node.get("Plans", [])
            nodes.append(f"{node['Node Type']} on {node.get('Relation Name', '')}")
        blocks = sum(root[f"Shared {source} Blocks"] for source in ("Hit", "Read"))
        return Plan(blocks, row[0][0]["Execution Time"] / 1000, nodes)

    def until(self, name: str, condition: Callable[[Values], object], what: str, timeout: float = 20) -> Values:
        """Run a collector until what it says meets the condition, and return that."""

        def met() -> Values | None:
            found = self.run(name)
            return found if condition(found) else None

        return wait_for(met, timeout, what, interval=0.1)

    def __enter__(self) -> Self:
        self.run("target")
        wait_for(lambda: self.run("election") and self.context.led(), 10, "the lock of the exporter before")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.context.close()
