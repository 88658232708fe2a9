"""Follows the configuration file, which Kubernetes changes in a running pod (``--config.follow``).

The exporter never stops River: a sidecar that ends over a wrong configuration would keep its pod from starting. So a
wrong one is waited out, while `/-/healthy` answers, and the file is read again whenever it changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from exporter.app import RELOADED, build_sample
from exporter.config import Web
from exporter.errors import ConfigError
from exporter.http.routes import Routes
from exporter.http.server import Server
from exporter.metrics.metric import Sample
from exporter.metrics.registry import expose
from exporter.metrics.snapshot import Snapshot

T = TypeVar("T")

log = logging.getLogger("exporter.reload")

INTERVAL = 1.0
"""Seconds between two looks at what is wrong: at a database's Secret as well, so not at the file alone."""


class Follower:
    """Notices that a file was written or replaced.

    Args:
        path: the file, or a link to it as in a mounted ConfigMap; None never changes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._signature()

    def changed(self) -> bool:
        """Whether it changed since the last call, or since the start; not while it is away."""
        now = self._signature()
        if now is None or now == self._seen:
            return False
        self._seen = now
        return True

    def _signature(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class Ending:
    """When to end: some time after SIGTERM, or at once at a second one.

    A sidecar receives SIGTERM once River has ended. River's last completions are then still to be observed and scraped.

    Args:
        linger: seconds.
    """

    def __init__(self, linger: float = 0.0) -> None:
        self._linger = linger
        self._deadline = float("inf")

    def told(self) -> None:
        """Note a signal: it may come at any point, so nothing here takes a lock."""
        now = time.monotonic()
        self._deadline = now + self._linger if self._deadline == float("inf") else now

    def wait(self, timeout: float) -> bool:
        """Wait for so many seconds at most, and return whether it is time to end."""
        time.sleep(max(0.0, min(timeout, self._deadline - time.monotonic())))
        return time.monotonic() >= self._deadline


def wait_out(make: Callable[[], T], flags: Mapping[str, Any], ended: Ending) -> T | None:
    """Return what `make` makes; as long as the configuration is wrong, serve why and try again.

    Args:
        make: raises ConfigError for a wrong configuration.
        flags: dotted configuration keys; those of `web` say where to serve meanwhile, with TLS or without.
        ended: no more tries once it is time; the answer is None then.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    try:
        return make()
    except ConfigError as error:
        reason = str(error)
    log.error("waiting for a right configuration", extra={"error": reason})
    routes = Routes(
        metrics=expose(Snapshot(time.monotonic), _samples),
        telemetry_path="/metrics",
        healthy=lambda: (True, "OK"),
        ready=lambda: (False, f"wrong configuration: {reason}"),
        reload=None,
        status_page=lambda: "<!doctype html><title>river-exporter</title><p>The configuration is wrong, see /-/ready",
    )
    server = _server(flags, routes)
    server.start()
    try:
        while not ended.wait(INTERVAL):
            try:
                return make()
            except ConfigError as error:
                if str(error) != reason:
                    reason = str(error)
                    log.error("still waiting for a right configuration", extra={"error": reason})
    finally:
        server.stop(timeout=2)
    return None


def _server(flags: Mapping[str, Any], routes: Routes) -> Server:
    """With the web configuration file of the command line, unless that is what is wrong."""
    address, file = flags.get("web.listen_address", Web().listen_address), flags.get("web.config_file")
    try:
        return Server(address, routes, Path(file) if file else None)
    except ConfigError:
        return Server(address, routes)


def _samples() -> Iterator[Sample]:
    """What there is to say without a configuration."""
    yield build_sample()
    yield RELOADED.sample(0)
