"""The pools of River's processes, by their own metrics endpoints: free connections, waits, canceled acquires.

Pools on one endpoint are separate pools. `river.pool.labels` picks River's; else the limited one that is nearest to
refusing a connection counts, and the log and the status page name it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from exporter.budget import Wait
from exporter.budget.evidence import Evidence, Waiting
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.pools import metrics as pool
from exporter.collectors.pools.page import Page, PageError
from exporter.collectors.pools.stalls import Stalls
from exporter.collectors.pools.statistics import Labels, PoolStatistics, parse
from exporter.collectors.pools.tracked import TrackedPool
from exporter.config.model import River
from exporter.errors import ExporterError
from exporter.logs.log import RepeatLimit
from exporter.logs.masking import mask
from exporter.metrics.metric import Counter, Sample, Summary

log = logging.getLogger("exporter.pgxpool")

DEADLINE = 2.0
"""Seconds for all endpoints together."""

FRESH = 5.0
"""Seconds after which a reading is stale."""

SCARCE = 0.4
"""Share of free connections from which the endpoints are read every second."""

WAITING = 1.0
"""Seconds from which a wait is evidence even where other pools do not report theirs."""


@dataclass(slots=True)
class _Endpoint:
    """One metrics endpoint with its pools; `counted` is the one that stands for them."""

    page: Page
    pools: dict[tuple[str, Labels], TrackedPool] = field(default_factory=dict)
    counted: TrackedPool | None = None

    def observe(self, at: float, found: Collection[PoolStatistics], timeout: float, *, picked: bool) -> TrackedPool:
        """Take a reading of its pools, at least one; a pool that is gone is forgotten. Returns the one that counts."""
        pools = {}
        for statistics in found:
            tracked = self.pools.get(statistics.key) or TrackedPool(Stalls(timeout))
            tracked.rivers = picked or len(found) == 1
            tracked.observe(at, statistics)
            pools[statistics.key] = tracked
        self.pools = pools
        self.counted = max(pools.values(), key=TrackedPool.pressure)
        return self.counted


class PgxpoolCollector(Collector):
    """Reads `river.metrics_urls`."""

    name = "pgxpool"
    interval = 2.0
    lane = "pgxpool"
    elected = False
    metrics = (
        pool.ACQUIRE, pool.CONNECTIONS, pool.MAX, pool.FREE, pool.WAITS, pool.WAITED, pool.CANCELED, pool.LONGEST,
        pool.WAITING,
    )  # fmt: skip
    evidence = (Waiting,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._endpoints: dict[str, _Endpoint] = {}
        self._acquire = Summary(pool.ACQUIRE)
        self._waits, self._waited, self._canceled = map(Counter, (pool.WAITS, pool.WAITED, pool.CANCELED))
        self._longest = context.peak(pool.LONGEST)
        self._failures, self._choices = RepeatLimit(60.0), RepeatLimit(60.0)
        self._timeouts = 0

    def wanted(self) -> bool:
        """Only where endpoints are configured."""
        return super().wanted() and bool(self.context.config.river.metrics_urls)

    def pace(self) -> float:
        """Every second while connections are scarce."""
        base = super().pace()
        ratios = [each.now.free_ratio for each in self._counted() if each.now]
        return min(base, 1.0) if any(ratio is not None and ratio <= SCARCE for ratio in ratios) else base

    def collect(self) -> Iterator[Sample | Evidence]:
        """Read every endpoint at the same time; those that fail drop out, and nothing else is touched."""
        self._adopt(self.context.config.river)
        ends = time.monotonic() + DEADLINE
        for each in self._endpoints.values():
            each.page.start()
        read = [tracked for each in self._endpoints.values() if (tracked := self._read(each, ends)) is not None]
        if not read:
            raise PageError("none of river.metrics_urls gives pool statistics")
        yield from self._samples(read)
        now = self.context.clock()
        if (wait := self.wait(now)) is not None:
            yield Waiting("pgxpool", now, wait, timeouts=self._timeouts)

    def wait(self, now: float) -> Wait | None:
        """The worst wait of the pools that are known at this moment.

        None where no pool reports waits. One without a limit never makes an attempt wait. Beside one whose waits are
        not known the others are evidence only while one of them waits.
        """
        limited = [each for each in self._counted() if each.limited and now - each.at <= FRESH]
        reporting = [each for each in limited if each.waits_known]
        worst = max(reporting, key=lambda each: max(each.waiting(), each.mean_wait), default=None)
        if worst is None or worst.now is None or (len(reporting) < len(limited) and worst.waiting() < WAITING):
            return None
        done, waiting = max(each.mean_wait for each in reporting), max(each.waiting() for each in reporting)
        return Wait(worst.now.vocabulary.source, done, waiting, now)

    def _counted(self) -> list[TrackedPool]:
        return [each.counted for each in self._endpoints.values() if each.counted]

    def _adopt(self, river: River) -> None:
        """Keep what is known of an endpoint for as long as it is configured, also when its requests change."""
        found = {url: self._endpoints.get(url) or _Endpoint(Page(url, DEADLINE)) for url in river.metrics_urls}
        for each in found.values():
            each.page.pool = river.pool
        self._endpoints = found

    def _read(self, each: _Endpoint, ends: float) -> TrackedPool | None:
        config, address = self.context.config.river, mask(each.page.url)
        try:
            found = parse(each.page.finish(ends), config.pool.labels)
        except ExporterError as error:
            self._drop(each, str(error))
            return None
        except ValueError as error:
            self._drop(each, f"{address}: {error}")
            return None
        if not found:
            picked = f" with {_named(tuple(config.pool.labels.items()))}" if config.pool.labels else ""
            self._drop(each, f"{address}: no pool statistics{picked} on the page; see docs/pool-statistics.md")
            return None
        self._failures.forget(each.page.url)
        before = each.counted
        tracked = each.observe(self.context.clock(), found, float(config.timeout), picked=bool(config.pool.labels))
        if len(found) > 1 and tracked is not before and tracked.now:
            fields = {
                "url": address,
                "pools": len(found),
                "counted": _named(tracked.now.labels),
                "remedy": "river.pool.labels picks River's",
            }
            self._choices.log(log, logging.INFO, "several pools on the page", key=each.page.url, extra=fields)
        self._count(tracked)
        return tracked

    def _count(self, tracked: TrackedPool) -> None:
        if tracked.now is None:
            return
        source, happened = tracked.now.vocabulary.source, tracked.last
        if tracked.now.waited is not None:
            self._acquire.add(happened.acquires or 0.0, happened.waited or 0.0, source)
        for counter, there, rise in (
            (self._waits, tracked.now.empty, happened.waits),
            (self._waited, tracked.now.waited, happened.waited),
            (self._canceled, tracked.now.canceled, happened.canceled),
        ):
            if there is not None:  # a counter that the library does not have is absent, not 0
                counter.add(rise or 0.0, source)
        if tracked.waits_known:
            self._longest.see(tracked.at, max(tracked.mean_wait, tracked.waiting()), source)
        self._timeouts += tracked.stalls.take(tracked.waiting(), happened.canceled or 0.0)

    def _drop(self, each: _Endpoint, reason: str) -> None:
        self._failures.log(log, logging.WARNING, "no pool statistics", key=each.page.url, extra={"error": reason})

    def _samples(self, read: list[TrackedPool]) -> Iterator[Sample]:
        """The pools that count, one of each endpoint, added up by source: those with a limit where there are any."""
        known = [(each.now, each.free) for each in read if each.now]
        for source in dict.fromkeys(now.vocabulary.source for now, _ in known):
            of = [(now, free) for now, free in known if now.vocabulary.source == source]
            limits = [now.limit for now, _ in of if now.limit is not None]
            pools = [now for now, _ in of if now.limit is not None or not limits]
            for state in ("acquired", "idle", "constructing", "total"):
                values = [value for each in pools if (value := getattr(each, state)) is not None]
                if values:
                    yield pool.CONNECTIONS.sample(sum(values), source, state)
            if limits:
                yield pool.MAX.sample(sum(limits), source)
            ratios = [free for _, free in of if free is not None]
            if ratios:
                yield pool.FREE.sample(min(ratios), source)
            pending = [each.pending for each in pools if each.pending is not None]
            if pending:
                yield pool.WAITING.sample(sum(pending), source)
        self.context.pool_names = self._names()
        for counted in (self._acquire, self._waits, self._waited, self._canceled):
            yield from counted.samples()

    def _names(self) -> dict[str, str]:
        """Which pool counts, by source, where an endpoint has several; of several endpoints the worst one's."""
        chosen = [each.counted for each in self._endpoints.values() if each.counted and len(each.pools) > 1]
        ordered = sorted(chosen, key=TrackedPool.pressure)
        return {each.now.vocabulary.source: _named(each.now.labels) for each in ordered if each.now}


def _named(labels: Labels) -> str:
    """Labels as a log line shows them, never long."""
    text = ", ".join(f"{name}={value}" for name, value in labels) or "without labels"
    return text if len(text) <= 200 else f"{text[:197]}..."
