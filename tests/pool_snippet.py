"""Runs a process of docs/pool-statistics.md and reads its pool as the exporter does."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import requests

from exporter.collectors.pools.statistics import PoolStatistics, parse
from tests.testbed.cache import fetch, run
from tests.testbed.process import Server, wait_for

URL = "http://127.0.0.1:2112/metrics"
"""Where every snippet exposes its pool."""


def exposes_a_pool(name: str, command: Sequence[str | Path], source: str, **environment: str) -> PoolStatistics:
    """Run a snippet until its pool is there: one of 25, of which one may be in use, by the vocabulary of `source`."""
    server = Server(f"snippet-{name}", [*command], env=environment)
    try:
        server.start()
        found = wait_for(_pool, 30, "the snippet's metrics", server)
    finally:
        server.close()
    assert found.vocabulary.source == source
    assert found.limit == 25
    assert found.acquired <= 1
    assert found.free_ratio is not None
    return found


def node(folder: Path) -> list[str | Path]:
    """Return the command that runs the program of a folder, with what its package.json asks for."""

    def install(into: Path) -> None:
        for name in ("package.json", "main.js"):
            shutil.copy(folder / name, into)
        remedy = "install Node.js with npm and check that it reaches its registry"
        run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], "node", remedy, cwd=into)

    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()[:16]
    return ["node", fetch(f"pool_snippet_{folder.name}-{digest}", install) / "main.js"]


def _pool() -> PoolStatistics | None:
    """The only pool there; None before the process answers, and before its pool's first connection."""
    try:
        found = parse(requests.get(URL, timeout=5).text)
    except requests.ConnectionError:
        return None
    assert len(found) <= 1
    return found[0] if found else None
