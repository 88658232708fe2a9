"""Runs a process of docs/pool-statistics.md and reads its pool as the exporter does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import requests

from exporter.collectors.pools.statistics import PoolStatistics, parse
from tests.testbed.process import Server, wait_for

URL = "http://127.0.0.1:2112/metrics"
"""Where every snippet exposes its pool."""


def exposes_a_pool(name: str, command: Sequence[str | Path], source: str, **environment: str) -> PoolStatistics:
    """Run a snippet until its pool is there: one of 25, free, read by the vocabulary of `source`."""
    server = Server(f"snippet-{name}", [*command], env=environment)
    try:
        server.start()
        found = wait_for(_pool, 30, "the snippet's metrics", server)
    finally:
        server.close()
    assert found.vocabulary.source == source
    assert found.limit == 25
    assert found.free_ratio == 1
    return found


def _pool() -> PoolStatistics | None:
    try:
        (found,) = parse(requests.get(URL, timeout=5).text)
    except requests.ConnectionError:
        return None
    return found
