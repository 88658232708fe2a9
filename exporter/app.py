"""The running exporter: configuration in, collectors on their lanes, one HTTP server out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import PlatformCollector, ProcessCollector

from exporter import __version__
from exporter.collectors.context import build_context, deadline
from exporter.collectors.discovery import classes
from exporter.collectors.runner import RUNNER_METRICS, Runner
from exporter.collectors.scheduler import Schedule
from exporter.config import Loaded, read
from exporter.errors import ConfigError
from exporter.http.routes import Routes
from exporter.http.server import Server
from exporter.metrics.metric import Sample, counter, gauge
from exporter.metrics.registry import expose
from exporter.postgres.address import addresses, unencrypted
from exporter.postgres.leader import Election
from exporter.postgres.state import ConnectionState
from exporter.status import Status
from exporter.version import build

log = logging.getLogger("exporter")

UP = gauge(
    "river_up",
    "1 when the last connection attempt or run on the database worked, else 0; absent before the first",
)
UNREACHABLE = gauge(
    "river_database_unreachable", "1 while river_up is 0, with the error category; absent otherwise", "reason"
)
BUILD = gauge(
    "river_exporter_build_info",
    "1, with version, revision and branch of the build and the Python version",
    "version",
    "revision",
    "branch",
    "pythonversion",
)
RELOADED = gauge(
    "river_exporter_config_last_reload_successful", "1 when the last reload of the configuration succeeded"
)
RELOADED_AT = gauge(
    "river_exporter_config_last_reload_success_timestamp_seconds",
    "Unix time of the last successful reload of the configuration",
)
DATABASE_SECONDS = counter(
    "river_exporter_database_seconds_total", "Seconds in which collectors used a session of the database"
)
UNDECODABLE = counter(
    "river_exporter_undecodable_texts_total",
    "Texts of the database that were not valid UTF-8 and are shown with replacement characters",
)
METRICS = (UP, UNREACHABLE, BUILD, RELOADED, RELOADED_AT, DATABASE_SECONDS, UNDECODABLE, *RUNNER_METRICS)
"""The exporter's metrics about itself, beside its collectors'."""


def build_sample() -> Sample:
    """What runs, as `river_exporter_build_info`."""
    found = build()
    return BUILD.sample(1, found.version, found.revision, found.branch, found.pythonversion)


class App:
    """One exporter.

    Args:
        config_file: re-read on reload; None where there is none.
        environment: variables, as of the start.
        flags: dotted configuration keys that the command line set.

    Raises:
        ConfigError: the configuration cannot be used.
    """

    def __init__(self, config_file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> None:
        self._read: Callable[[], Loaded] = partial(read, config_file, environment, flags)
        self._environment = environment
        loaded = self._read()
        config = loaded.config
        election = Election(config.sample_interval)
        self.context = build_context(config, environment, election, loaded.named)
        self.schedule = Schedule(Runner(each(self.context)) for each in classes())
        self._reload_lock = threading.Lock()
        self._reloaded = (True, time.time())
        registry = expose(self.context.snapshot, self.samples)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        status = Status(self.context, self.schedule.runners)
        routes = Routes(
            metrics=registry,
            telemetry_path=config.web.telemetry_path,
            healthy=self.healthy,
            ready=self.ready,
            reload=self.reload if config.web.enable_reload else None,
            status_page=status.page,
            status_data=status.data,
            status_scripts=status.scripts,
            status_styles=status.styles,
        )
        web_config = Path(config.web.config_file) if config.web.config_file else None
        self.server = Server(config.web.listen_address, routes, web_config)

    def start(self) -> None:
        """Serve first, then look: a scrape answers from the first moment.

        Raises:
            ExporterError: the listen address cannot be used.
        """
        self.server.start()
        self.schedule.start()
        log.info("started", extra={"version": __version__, "listen": self.server.address})
        context = self.context
        for warning in unencrypted((context.database.address, context.river, context.pgbouncer), self._environment):
            log.warning(warning)

    def stop(self) -> None:
        """End within a few seconds, whatever hangs."""
        self.schedule.stop(timeout=2)
        self.server.stop(timeout=2)
        for runner in self.schedule.runners:
            runner.collector.close()
        self.context.close()

    def reload(self) -> None:
        """Read the configuration again; a bad one changes nothing but a log line and a metric.

        Raises:
            ConfigError: what is wrong with the new one.
        """
        with self._reload_lock:
            try:
                loaded = self._read()
                config = loaded.config
                database, river, pgbouncer = addresses(config, self._environment, loaded.named)
            except ConfigError as error:
                self._reloaded = (False, self._reloaded[1])
                log.error("configuration not reloaded", extra={"error": str(error)})
                raise
            context = self.context
            if (config.web, config.log) != (context.config.web, context.config.log):
                log.warning("web and log settings take effect at the next start")
            context.configure(config)
            context.river, context.pgbouncer = river, pgbouncer
            context.database.move(database, deadline(config))
            self._reloaded = (True, time.time())
            log.info("configuration reloaded")

    def samples(self) -> Iterator[Sample]:
        """The exporter's samples about itself at this moment."""
        state = self.context.database.state
        if state is not ConnectionState.UNTRIED:
            yield UP.sample(float(state is ConnectionState.UP))
        if state.failed:
            yield UNREACHABLE.sample(1, state.value)
        yield build_sample()
        yield RELOADED.sample(float(self._reloaded[0]))
        yield RELOADED_AT.sample(self._reloaded[1])
        yield DATABASE_SECONDS.sample(self.context.database.seconds)
        yield UNDECODABLE.sample(self.context.database.undecodable)
        for runner in self.schedule.runners:
            yield from runner.samples()

    def healthy(self) -> tuple[bool, str]:
        """Whether every lane makes progress, whatever the state of the database."""
        stalled = self.schedule.stalled()
        return not stalled, f"no progress: {', '.join(stalled)}" if stalled else "OK"

    def ready(self) -> tuple[bool, str]:
        """Whether the database was collected from, or the reason why not."""
        context = self.context
        if reason := context.database.state.reason:
            return False, f"no connection to the database: {reason}"
        if context.snapshot.age("target") is None:
            return False, "the first collection has not ended yet"
        if not context.target.schemas:
            return False, "no river_job table found: see river_exporter_capability and the log"
        return True, "OK"
