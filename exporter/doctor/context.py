"""What doctor examines: a Context like the running exporter's, its collectors run for some seconds, nothing changed.

The collectors are the exporter's own, so that both see the same. Nothing is elected: the advisory lock by which one
exporter is elected is not touched, so a running one is not disturbed.

Doctor shares the role's connection limit with a running exporter, so it has two sessions at most: one on
`database.url`, over which all collectors and checks run one after the other, and one through River's endpoint.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from exporter.budget import Verdict
from exporter.budget.evidence import Blocking
from exporter.budget.state import CompleterState, Condition
from exporter.collectors.context import Context, build_context
from exporter.collectors.discovery import classes
from exporter.collectors.runner import Runner
from exporter.collectors.scheduler import Lane, Schedule
from exporter.collectors.schema_state import SchemaState
from exporter.collectors.target import TargetCollector
from exporter.config import Config
from exporter.errors import ExporterError
from exporter.metrics.values import Values
from exporter.postgres.address import Address
from exporter.postgres.leader import Election
from exporter.postgres.sessions import Connection, Session, Unreachable
from exporter.postgres.state import ConnectionState

FOLDER = "exporter.doctor"
"""Where doctor's own queries are."""

DATABASE_LANES = ("sampler", "database")

POLL = 0.2

Connected = TypeVar("Connected")

WATCH = 8.0
"""Seconds the collectors run: long enough for a slow attempt and two readings of each counter."""

LOST = (CompleterState.STALLED, CompleterState.FAILING)
"""States in which completions that are due are not committed."""

OVERDUE = 2
"""Running jobs past the usual run of their kind from which a completion is due."""

_AT_LIMIT = re.compile(r"too many connections for (role|database)")


def at_limit(text: str) -> bool:
    """Whether a connection was refused because the role, or the database, has its number of them."""
    return _AT_LIMIT.search(text) is not None


def patiently(connect: Callable[[], Connected], patience: float = 3.0) -> Connected:
    """A connection; where the role has none left, it is asked for again for `patience` seconds.

    The server takes some milliseconds to count a connection that was closed as closed.
    """
    ends = time.monotonic() + patience
    while True:
        try:
            return connect()
        except (psycopg.Error, Unreachable) as error:
            if not at_limit(str(error)) or time.monotonic() > ends:
                raise
            time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line.

    Attributes:
        explain: whether to explain the completing statement.
        explain_url_file: a file with the URL of stronger credentials for that; None for those of `database.url`.
        prometheus: address of a Prometheus whose rules are looked at.
        output: `text`, `json` or `markdown`.
        verbose: whether the text shows every finding that is ok.
        watch: seconds the collectors run.
    """

    config_file: Path | None = None
    explain: bool = False
    explain_url_file: Path | None = None
    show_queries: bool = False
    prometheus: str | None = None
    output: str = "text"
    verbose: bool = False
    watch: float = WATCH


class NoElection(Election):
    """Looks at every schema and contends for none."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.schemas: tuple[str, ...] = ()

    def standing(self, now: float) -> tuple[str, ...]:  # noqa: ARG002 - it holds at any time
        """The schemas to look at."""
        return self.schemas


@dataclass(frozen=True, slots=True)
class Commits:
    """Completions that are committed, which alone show that completing works.

    Attributes:
        seen: whether a newer one was there after the collectors ran than before.
        since: seconds since the newest completed job was finished; None without any.
        running: jobs marked running, counted up to 30,000.
        overdue: those of them that have outlasted their kind since the newest completion.
    """

    seen: bool
    since: float | None
    running: int
    overdue: int = 0


@dataclass(slots=True)
class Observed:
    """What the collectors said of one River last, and in `blocking` and `users` all they said while they ran.

    `stuck` is the age of the oldest statement of River's own in flight, in seconds.
    """

    verdict: Verdict | None = None
    condition: Condition | None = None
    users: set[str] = field(default_factory=set)
    stuck: float = 0.0
    blocking: dict[tuple[int, int], Blocking] = field(default_factory=dict)

    def update(self, state: SchemaState) -> None:
        """Keep what is known now; of each pair of waiter and blocker the longest wait."""
        self.verdict, self.condition = state.verdict or self.verdict, state.condition or self.condition
        if sessions := state.sessions:
            self.users |= sessions.users
            self.stuck = sessions.stuck
        for each in state.blocking:
            key = (each.pid, each.blocker_pid)
            if key not in self.blocking or self.blocking[key].seconds < each.seconds:
                self.blocking[key] = each


@dataclass(slots=True)
class DoctorContext:
    """What the checks look at.

    Attributes:
        context: configuration, target and what the samplers saw.
        explain_address: where the completing statement is explained.
        session: of doctor's own queries; None when there is no connection to the database.
        before: what groups read before the collectors ran, by the group's title.
        values: the collectors' last samples.
        failures: collectors that failed, with the reason.
        watched: seconds that the collectors ran.
        commits: whether completions were committed while the collectors ran, by schema.
        observed: the collectors' evidence of each River at their end; their evidence itself ages within seconds.
        rivers: user, application and address of sessions that were seen to run River's statements.
    """

    context: Context
    options: Options = field(default_factory=Options)
    explain_address: Address | None = None
    session: Session | None = None
    before: dict[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=lambda: Values([]))
    failures: dict[str, str] = field(default_factory=dict)
    watched: float = 0.0
    commits: dict[str, Commits] = field(default_factory=dict)
    observed: dict[str, Observed] = field(default_factory=dict)
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
    def answers(self) -> bool:
        """Whether the database answers."""
        return self.context.database.state is ConnectionState.UP

    def missing(self) -> str:
        """Why nothing of River can be examined in the database: the reason; empty when it can be."""
        if not self.answers:
            return "no connection to the database"
        if self.context.target.standby:
            return "database.url leads to a standby, which knows neither the primary's sessions nor its statistics"
        return "" if self.schemas else "River's tables are not there"

    def seen(self, schema: str) -> Observed:
        """The collectors' evidence of a River."""
        return self.observed.get(schema) or Observed()

    def lost(self, schema: str) -> bool:
        """Whether completions are due and none is committed.

        The state says so, or what lies before the seconds in which doctor watches: jobs that have outlasted their kind,
        or a statement of River's that hangs. One such job may be a long one.
        """
        seen, commits = self.seen(schema), self.commits.get(schema)
        if seen.condition is not None and seen.condition.state in LOST:
            return True
        if commits is None or commits.seen or not seen.users:
            return False
        return commits.overdue >= OVERDUE or (commits.running > 0 and seen.stuck >= self.critical)

    def completing(self, schema: str) -> bool:
        """Whether a completion was committed while the collectors ran, and completions are not in trouble."""
        condition, commits = self.seen(schema).condition, self.commits.get(schema)
        return commits is not None and commits.seen and condition is not None and not condition.trouble

    def river_users(self) -> list[str]:
        """Whom River logs in as, as far as its sessions were seen."""
        return sorted({user for seen in self.observed.values() for user in seen.users})

    def unseen_sessions(self) -> str:
        """Why other users' sessions were not to be seen; empty when they were."""
        if not self.context.capable("pg_monitor"):
            return "without pg_monitor other users' sessions are not to be seen"
        if not self.context.target.capabilities.get("track_activities", True):
            return "track_activities is off: what sessions run is not to be seen"
        return next((f"{name}: {self.failures[name]}" for name in ("sessions", "locks") if name in self.failures), "")

    def needed(self) -> Session:
        """The session; raises Unreachable when there is none."""
        if self.session is None:
            raise Unreachable(self.context.database.state.reason or "other", "no connection to the database")
        return self.session


def observing(config: Config, environment: Mapping[str, str], named: Callable[[str], str] = str) -> Context:
    """A context that contends for no lock, and has one connection for all lanes.

    Raises:
        ConfigError: an address is wrong.
    """
    return build_context(config, environment, NoElection(), named, one_session=True)


class _OneSession(Schedule):
    """A schedule whose collectors of the database share a lane, as they share a session."""

    def __init__(self, runners: list[Runner]) -> None:
        super().__init__([runner for runner in runners if runner.collector.lane not in DATABASE_LANES])
        shared = [runner for runner in runners if runner.collector.lane in DATABASE_LANES]
        self.runners += shared
        self.database = Lane("database", shared)
        self.lanes.append(self.database)


@contextmanager
def session_without(doctor: DoctorContext, setting: str) -> Iterator[Session]:
    """A session without one of the settings that the exporter's have: what holds then is what others have.

    Raises:
        psycopg.Error, Unreachable: it cannot be had.
    """
    parameters = doctor.context.database.address.parameters()
    parameters["options"] = re.sub(rf"-c {setting}=\S+\s*", "", parameters.get("options", ""))
    with patiently(lambda: Connection.connect(**parameters, autocommit=True)) as connection:
        connection.deadline = time.monotonic() + doctor.context.database.deadline
        yield Session(connection, FOLDER)


def find_target(context: Context) -> None:
    """Look the target up; afterwards its schemas are looked at.

    Raises:
        ExporterError: there is no connection to the database.
        psycopg.Error: the server refuses the query.
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
    runners = [
        Runner(each(context))
        for each in classes()
        if each.name != "election" and (doctor.answers or each.lane not in DATABASE_LANES)
    ]
    schedule = _OneSession(runners)
    started = time.monotonic()
    schedule.start()
    while (passed := time.monotonic() - started) < seconds and not over():
        time.sleep(min(POLL, seconds - passed))
        for schema, state in context.schema_states.items():
            doctor.observed.setdefault(schema, Observed()).update(state)
    schedule.stop(timeout=context.database.deadline + 1)
    doctor.watched = time.monotonic() - started
    doctor.values = Values(list(context.snapshot.samples()))
    doctor.failures = {runner.collector.name: runner.failure for runner in runners if runner.failure}
    if schedule.database.is_alive():
        lease = context.leases["database"]
        if not lease.state.failed:
            lease.state = ConnectionState.TIMEOUT  # their session still hangs
    for runner in runners:
        with suppress(ExporterError):
            runner.collector.close()
