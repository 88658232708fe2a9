"""River's own pool, as its process says: free connections, waits, and acquires that gave up.

An acquire that still waits is in no counter: a full pool from which no acquire has succeeded since T is a wait of
now - T, while a full pool whose acquires go on is only busy.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.budget import Wait
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.pools import metrics as pool
from exporter.collectors.pools.page import Page, PageError
from exporter.collectors.pools.statistics import PoolChange, PoolStatistics, change, parse
from exporter.collectors.schema_state import Stalls
from exporter.errors import ExporterError
from exporter.logs.log import RepeatLimit
from exporter.logs.masking import mask
from exporter.metrics.metric import Counter, Sample, Summary

log = logging.getLogger("exporter.pgxpool")

DEADLINE = 2.0
"""Seconds for all pages together."""

FRESH = 5.0
"""Seconds after which a reading no longer says what is so now."""

SCARCE = 0.4
"""Share of free connections from which the pages are read every second."""


@dataclass(slots=True)
class _Pool:
    """One page's pool over time; times are monotonic seconds."""

    page: Page
    stalls: Stalls
    free: pool.Free = field(default_factory=pool.Free)
    calm: float | None = None
    before: PoolStatistics | None = None
    at: float = 0.0
    moved: float = 0.0
    done: float = 0.0
    last: PoolChange = field(default_factory=PoolChange)

    def take(self, now: float, statistics: PoolStatistics) -> PoolChange:
        """Take a reading."""
        happened = change(self.before, statistics) if self.before else PoolChange()
        if not statistics.full or happened.succeeded is not False:
            self.moved = now
        self.before, self.at = statistics, now
        self.calm = self.free.see(now, statistics.free_ratio) if statistics.free_ratio is not None else None
        self.done = happened.waited / happened.waits if happened.waits else 0.0
        self.last = happened
        return happened

    def waiting(self) -> float:
        """Seconds that whoever wants a connection has waited, as of the last reading."""
        return self.at - self.moved


class PgxpoolCollector(Collector):
    """Reads `river.metrics_urls`."""

    name = "pgxpool"
    interval = 2.0
    lane = "pgxpool"
    elected = False
    metrics = (
        pool.ACQUIRE, pool.CONNECTIONS, pool.MOST, pool.FREE, pool.WAITS, pool.WAITED, pool.CANCELED, pool.LONGEST,
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pools: dict[str, _Pool] = {}
        self._acquire = Summary(pool.ACQUIRE)
        self._waits, self._waited, self._canceled = map(Counter, (pool.WAITS, pool.WAITED, pool.CANCELED))
        self._longest = context.peak(pool.LONGEST)
        self._said = RepeatLimit(60.0)
        context.waits["pgxpool"] = self.wait

    def wanted(self) -> bool:
        """Only where pages are configured."""
        return super().wanted() and bool(self.context.config.river.metrics_urls)

    def pace(self) -> float:
        """Every second while connections are scarce."""
        base = super().pace()
        ratios = [each.before.free_ratio for each in self._pools.values() if each.before]
        return min(base, 1.0) if any(ratio is not None and ratio <= SCARCE for ratio in ratios) else base

    def collect(self) -> Iterator[Sample]:
        """Read every page at the same time; those that fail drop out, and nothing else is touched."""
        self._adopt(self.context.config.river.metrics_urls)
        ends = time.monotonic() + DEADLINE
        for each in self._pools.values():
            each.page.start()
        read = [each for each in self._pools.values() if self._read(each, ends)]
        if not read:
            raise PageError("none of river.metrics_urls gives pool statistics")
        yield from self._samples(read)

    def wait(self, now: float) -> Wait | None:
        """What the budget is told: the worst of the pools that are known at this moment."""
        fresh = [each for each in self._pools.values() if each.before and now - each.at <= FRESH]
        if not fresh:
            return None
        source = fresh[0].before.source if fresh[0].before else "pgxpool"
        timeout = float(self.context.config.river.timeout)
        cut = any(each.waiting() > 0 and each.last.canceled for each in fresh)
        done = timeout if cut else max(each.done for each in fresh)
        return Wait(source, done, max(each.waiting() for each in fresh), now)

    def _adopt(self, urls: tuple[str, ...]) -> None:
        timeout = float(self.context.config.river.timeout)
        self._pools = {url: self._pools.get(url) or _Pool(Page(url, DEADLINE), Stalls(timeout)) for url in urls}

    def _read(self, each: _Pool, ends: float) -> bool:
        address = mask(each.page.url)
        try:
            statistics = parse(each.page.finish(ends))
        except ExporterError as error:
            return self._drop(each, str(error))
        except ValueError as error:
            return self._drop(each, f"{address}: {error}")
        if statistics is None:
            return self._drop(each, f"{address}: no pool statistics on the page; see docs/pool-statistics.md")
        self._said.forget(each.page.url)
        happened = each.take(time.monotonic(), statistics)
        source = statistics.source
        self._acquire.add(happened.waits, happened.waited, source)
        self._waits.add(happened.waits, source)
        self._waited.add(happened.waited, source)
        self._canceled.add(happened.canceled, source)
        self._longest.see(each.at, max(each.done, each.waiting()), source)
        ended = each.stalls.take(each.waiting(), happened.canceled)
        if ended and (schema := self.context.target.default):
            self.context.schema_state(schema).time_out("pool", ended, each.at)
        return True

    def _drop(self, each: _Pool, reason: str) -> bool:
        self._said.kv(log, logging.WARNING, "no pool statistics", key=each.page.url, error=reason)
        return False

    def _samples(self, read: list[_Pool]) -> Iterator[Sample]:
        known = [(each.before, each.calm) for each in read if each.before]
        for source in dict.fromkeys(each.source for each, _ in known):
            of = [each for each, _ in known if each.source == source]
            for state in ("acquired", "idle", "constructing", "total"):
                values = [value for each in of if (value := getattr(each, state)) is not None]
                if values:
                    yield pool.CONNECTIONS.sample(sum(values), source, state)
            yield pool.MOST.sample(sum(each.most or 0 for each in of), source)
            ratios = [calm for each, calm in known if each.source == source and calm is not None]
            if ratios:
                yield pool.FREE.sample(min(ratios), source)
        for counted in (self._acquire, self._waits, self._waited, self._canceled):
            yield from counted.samples()
