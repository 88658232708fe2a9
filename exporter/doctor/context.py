"""What doctor examines: a Context like the running exporter's, its collectors run for some seconds, nothing changed.

The collectors are the exporter's own, so that both see the same. Nothing is elected: the advisory lock by which
exporters agree who speaks for the database is not touched, so a running one is not disturbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from exporter.collectors.context import Context
from exporter.collectors.discovery import classes
from exporter.collectors.runner import Runner
from exporter.collectors.scheduler import Schedule
from exporter.collectors.schema_state import Blocking
from exporter.collectors.target import TargetCollector
from exporter.config import Config
from exporter.errors import ExporterError
from exporter.metrics.snapshot import Snapshot
from exporter.metrics.values import Values
from exporter.postgres.address import addresses
from exporter.postgres.leader import Election
from exporter.postgres.sessions import Database, Session, Unreachable

FOLDER = "exporter.doctor"
"""Where doctor's own queries are."""

POLL = 0.2


class NoElection(Election):
    """Looks at every schema and contends for none."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.schemas: tuple[str, ...] = ()

    def led(self, now: float) -> tuple[str, ...]:  # noqa: ARG002 - it holds at any time
        """The schemas to look at."""
        return self.schemas

    def known(self, now: float) -> bool:  # noqa: ARG002 - it holds at any time
        """Nobody else is asked."""
        return True


@dataclass(slots=True)
class DoctorContext:
    """What the checks look at.

    Attributes:
        context: configuration, target and what the samplers saw.
        session: of doctor's own queries; None when there is no contact with the database.
        values: what the collectors said last.
        blocking: every pair of waiter and blocker seen while watching, with the longest wait, by schema.
        failures: collectors that failed, with the reason.
        watched: seconds that the collectors ran.
        show_queries: whether statements of others may be shown.
        rivers: user, application and address of sessions that were seen to run River's statements.
    """

    context: Context
    session: Session | None = None
    values: Values = field(default_factory=lambda: Values([]))
    blocking: dict[str, dict[tuple[int, int], Blocking]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    watched: float = 0.0
    show_queries: bool = False
    rivers: set[tuple[str, str, str]] = field(default_factory=set)

    @property
    def config(self) -> Config:
        """The exporter's configuration."""
        return self.context.config

    @property
    def timeout(self) -> float:
        """The completer's budget in seconds."""
        return float(self.config.river.timeout)

    @property
    def warning(self) -> float:
        """Seconds of an attempt from which it is slow."""
        return self.config.thresholds.warning * self.timeout

    @property
    def critical(self) -> float:
        """Seconds of an attempt from which it nearly fails."""
        return self.config.thresholds.critical * self.timeout

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas of River that were found."""
        return self.context.target.schemas

    @property
    def found(self) -> bool:
        """Whether the database answers and River is there."""
        return self.context.database.reason == "" and bool(self.schemas)

    def completing(self, schema: str) -> bool:
        """Whether completions are committed as they are due, as far as was seen."""
        state = self.context.schema_states.get(schema)
        if state is None or state.completions is None:
            return False
        return not state.completions.seconds and not state.completions.due

    def river_users(self) -> list[str]:
        """Whom River logs in as, as far as its sessions were seen."""
        states = self.context.schema_states.values()
        return sorted({user for state in states if state.sessions for user in state.sessions.users})

    def unseen_sessions(self) -> str:
        """Why other users' sessions were not to be seen; empty when they were."""
        if not self.context.capable("pg_monitor"):
            return "without pg_monitor other users' sessions are not to be seen"
        if self.context.target.standby:
            return "a standby does not know the primary's sessions"
        return next((f"{name}: {self.failures[name]}" for name in ("sessions", "locks") if name in self.failures), "")

    def needed(self) -> Session:
        """The session; raises Unreachable when there is none."""
        if self.session is None:
            raise Unreachable(self.context.database.reason or "other", "no contact with the database")
        return self.session


def build_context(config: Config, environment: Mapping[str, str]) -> Context:
    """A context whose sessions are made when they are first needed.

    Raises:
        ConfigError: an address is wrong.
    """
    database, river, pgbouncer = addresses(config, environment)
    shared = Database(database, float(config.database.statement_timeout) + 2.0)
    return Context(
        config=config,
        database=shared,
        river=river,
        pgbouncer=pgbouncer,
        snapshot=Snapshot(time.monotonic),
        election=NoElection(),
        clock=time.monotonic,
        leases={"sampler": shared.lease(), "database": shared.lease()},
    )


def find_target(context: Context) -> None:
    """Look the target up; afterwards its schemas are looked at.

    Raises:
        ExporterError: there is no contact with the database.
        psycopg.Error: the server refuses to tell.
    """
    list(TargetCollector(context).collect())
    election = context.election
    if isinstance(election, NoElection) and not context.target.standby:
        election.schemas = context.target.schemas


def watch(doctor: DoctorContext, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
    """Let the exporter's collectors look for some seconds, then keep what they saw.

    Args:
        over: whether to end earlier.
    """
    context = doctor.context
    reach = context.database.reason == ""
    runners = [
        Runner(each(context))
        for each in classes()
        if each.name != "election" and (reach or each.lane not in ("sampler", "database"))
    ]
    schedule = Schedule(runners)
    started = time.monotonic()
    schedule.start()
    while (passed := time.monotonic() - started) < seconds and not over():
        time.sleep(min(POLL, seconds - passed))
        _keep_blocking(doctor)
    schedule.stop(timeout=context.database.deadline + 1)
    doctor.watched = time.monotonic() - started
    doctor.values = Values(list(context.snapshot.samples()))
    doctor.failures = {runner.collector.name: runner.failure for runner in runners if runner.failure}
    if any(lane.is_alive() for lane in schedule.lanes if lane.name in ("sampler", "database")):
        context.database.reason = context.database.reason or "timeout"  # a session of theirs still hangs
    for runner in runners:
        with suppress(ExporterError):
            runner.collector.close()


def _keep_blocking(doctor: DoctorContext) -> None:
    for schema, watch in doctor.context.schema_states.items():
        seen = doctor.blocking.setdefault(schema, {})
        for each in watch.blocking:
            key = (each.pid, each.blocker_pid)
            if key not in seen or seen[key].seconds < each.seconds:
                seen[key] = each
