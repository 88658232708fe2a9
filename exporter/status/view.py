"""What the status page shows: plain values read from memory at one moment, the same for HTML and JSON."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter import __version__
from exporter.budget import CAUSES
from exporter.budget.evidence import Blocking
from exporter.collectors.capabilities import BLINDING, OPTIONAL, REMEDIES
from exporter.collectors.context import Context
from exporter.collectors.runner import Runner
from exporter.collectors.schema_state import SchemaState
from exporter.collectors.target import remedy
from exporter.logs.masking import mask
from exporter.metrics.values import Values
from exporter.postgres.state import ConnectionState
from exporter.status.sentence import Moment, largest, sentence

MOST_QUEUES, MOST_RIVERS = 200, 4
"""Queues, and schemas with a picture, that are shown; of further ones the number is shown."""

RUNBOOKS = "https://github.com/river-exporter/river-exporter/blob/main/docs/runbooks"
"""Where the alerts' runbooks are published."""

LEVELS = ("ok", "warning", "critical", "unknown")


@dataclass(frozen=True, slots=True)
class RiverView:
    """One River, by its schema.

    Attributes:
        level: one of LEVELS.
        text: the sentence on the state.
        state: of the completions; None where another exporter reports it.
        silence: seconds since a completion was committed while one is due; None when none is due, or it is not known.
        ratio: of the worst attempt within the window over the timeout, at most 1; None while nothing is known.
        seconds: of that attempt by cause.
        stall: seconds that the attempt now under way has taken; None without an observation.
        history: seconds by CAUSES each ten seconds of the last half an hour, None where there was no observation.
        blocking: waiting sessions and who is at the root; None where details are off.
    """

    schema: str
    leads: bool
    level: str
    text: str
    state: str | None
    silence: float | None
    ratio: float | None
    cause: str | None
    seconds: Mapping[str, float]
    sources: Mapping[str, str]
    stall: float | None
    timeouts: Mapping[str, int]
    history: tuple[tuple[float, ...] | None, ...]
    sessions: int | None
    inflight: float | None
    blocking: tuple[Blocking, ...] | None


@dataclass(frozen=True, slots=True)
class PoolView:
    """One source's view of a pool; None is what it does not say.

    Attributes:
        name: the labels of the pool, where the source has several and this one counts.
    """

    source: str
    acquired: float | None
    idle: float | None
    most: float | None
    free: float | None
    waiting: float | None
    longest: float | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue; of the `capped` states `jobs` is a lower bound."""

    schema: str
    name: str
    jobs: Mapping[str, float]
    oldest: float
    paused: float
    capped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectorView:
    """One collector: `ok`, `failed` or `idle`, which is that it has no reason to run here."""

    name: str
    state: str
    took: float | None
    age: float | None
    failure: str


@dataclass(frozen=True, slots=True)
class CapabilityView:
    """One part that the exporter may observe or not, and its fix."""

    name: str
    there: bool
    optional: bool
    remedy: str


@dataclass(frozen=True, slots=True)
class View:
    """The whole page.

    Attributes:
        at: Unix time of it.
        pod: the host's name, which is the pod's in Kubernetes.
        database: where it is, without user and password.
        dashboard: the address of the Grafana dashboard, where it is configured.
        runbook: the address of the runbook of a late completer.
        reason: error category while there is no connection to the database, else None.
    """

    version: str
    at: float
    level: str
    text: str
    reason: str | None
    ready: bool
    timeout: float
    warning: float
    critical: float
    window: float
    details: bool
    pod: str
    database: str
    dashboard: str | None
    runbook: str
    metrics: str
    rivers: tuple[RiverView, ...]
    pools: tuple[PoolView, ...]
    queues: tuple[QueueView, ...]
    more_queues: int
    collectors: tuple[CollectorView, ...]
    capabilities: tuple[CapabilityView, ...]


def look(context: Context, runners: Iterable[Runner]) -> View:
    """Everything, as it is now; asks no server."""
    config, values, now = context.config, Values(context.snapshot.samples()), context.clock()
    rivers = tuple(
        _river(context, context.schema_state(schema), now) for schema in context.target.schemas[:MOST_RIVERS]
    )
    queues = _queues(values)
    level, text = _overall(context, rivers)
    return View(
        version=__version__,
        at=time.time(),
        level=level,
        text=text,
        reason=context.database.state.reason,
        ready=context.snapshot.age("target") is not None,
        timeout=float(config.river.timeout),
        warning=config.thresholds.warning,
        critical=config.thresholds.critical,
        window=float(config.window),
        details=config.web.details,
        pod=socket.gethostname(),
        database=str(context.database.address),
        dashboard=config.web.dashboard_url,
        runbook=f"{RUNBOOKS}/RiverCompleterBudget.md",
        metrics=config.web.telemetry_path,
        rivers=rivers,
        pools=_pools(values, context.pool_names if config.web.details else {}),
        queues=tuple(queues[:MOST_QUEUES]),
        more_queues=len(queues[MOST_QUEUES:]),
        collectors=tuple(_collector(context, runner) for runner in runners),
        capabilities=tuple(
            CapabilityView(name, there, name in OPTIONAL, "" if there else remedy(context.target, name))
            for name, there in context.target.capabilities.items()
        ),
    )


def _overall(context: Context, rivers: tuple[RiverView, ...]) -> tuple[str, str]:
    """The level and the sentence of the whole."""
    state = context.database.state
    if reason := state.reason:
        return "critical", f"No connection to the database: {reason}. What is not known any more is not shown."
    if state is ConnectionState.UNTRIED:
        return "unknown", "The database has not been asked yet."
    if not rivers:
        return "warning", f"No river_job table was found: {REMEDIES['river_schema']}."
    worst = max(rivers, key=lambda river: (LEVELS.index(river.level) % 3, river.ratio or 0.0))
    place = f"{worst.schema}: " if len(rivers) > 1 else ""
    return worst.level, f"{place}{worst.text}"


def _hidden(context: Context, schema: str) -> str:
    """Why completions of this schema cannot be observed, with the fix."""
    known = context.target.capabilities
    for name in BLINDING:
        if name in known and not context.capable(name, schema):
            fix = remedy(context.target, name)
            return f"the capability {name} is missing. {fix[0].upper()}{fix[1:]}" + ("" if fix.endswith(";") else ".")
    return ""


def _river(context: Context, watch: SchemaState, now: float) -> RiverView:
    verdict, config = watch.verdict, context.config
    leads = watch.schema in context.led()
    seen = watch.sessions if leads else None
    if verdict is not None and not verdict.seconds:
        verdict = None
    blocking = watch.blocking if seen else ()
    moment = Moment(
        now=now,
        condition=watch.condition,
        verdict=verdict,
        timeout=float(config.river.timeout),
        window=float(config.window),
        blocking=blocking,
        details=config.web.details,
        leads=leads,
        hidden=_hidden(context, watch.schema),
    )
    level, text = sentence(moment)
    return RiverView(
        schema=watch.schema,
        leads=leads,
        level=level,
        text=text,
        state=watch.condition.state.value if watch.condition else None,
        silence=watch.condition.silence if watch.condition else None,
        ratio=min(verdict.ratio, 1.0) if verdict else None,
        cause=largest(verdict) if verdict and verdict.cause else None,
        seconds=verdict.seconds if verdict else {},
        sources=verdict.sources if verdict else {},
        stall=verdict.stall if verdict else None,
        timeouts=watch.timeouts,
        history=tuple(watch.history.points(now)),
        sessions=seen.total if seen else None,
        inflight=seen.inflight if seen else None,
        blocking=blocking if config.web.details else None,
    )


def _pools(values: Values, chosen: Mapping[str, str]) -> tuple[PoolView, ...]:
    names = ("river_pool_connections", "river_pool_max_connections", "river_pool_clients_waiting")
    sources = sorted({labels["source"] for name in names for labels, _ in values.all(name)})
    return tuple(
        PoolView(
            source=source,
            name=chosen.get(source, ""),
            acquired=values.one("river_pool_connections", source=source, state="acquired"),
            idle=values.one("river_pool_connections", source=source, state="idle"),
            most=values.one("river_pool_max_connections", source=source),
            free=values.one("river_pool_free_ratio", source=source),
            waiting=values.one("river_pool_clients_waiting", source=source),
            longest=values.one("river_pool_longest_wait_seconds", source=source),
        )
        for source in sources
    )


def _queues(values: Values) -> list[QueueView]:
    jobs: dict[tuple[str, str], dict[str, float]] = {}
    for labels, value in values.all("river_jobs"):
        jobs.setdefault((labels["schema"], labels["queue"]), {})[labels["state"]] = value
    oldest = _by_queue(values, "river_queue_oldest_available_seconds")
    paused = _by_queue(values, "river_queue_paused_seconds")
    capped: dict[tuple[str, str], set[str]] = {}
    for labels, _ in values.all("river_jobs_capped"):
        capped.setdefault((labels["schema"], labels["queue"]), set()).add(labels["state"])
    found = [
        QueueView(
            schema,
            name,
            states,
            oldest.get((schema, name), 0.0),
            paused.get((schema, name), 0.0),
            tuple(sorted(capped.get((schema, name), ()))),
        )
        for (schema, name), states in jobs.items()
    ]
    return sorted(found, key=lambda queue: (-sum(queue.jobs.values()), queue.schema, queue.name))


def _by_queue(values: Values, metric: str) -> dict[tuple[str, str], float]:
    return {(labels["schema"], labels["queue"]): value for labels, value in values.all(metric)}


def _collector(context: Context, runner: Runner) -> CollectorView:
    name, took = runner.collector.name, runner.seconds
    state = "idle" if took is None else "failed" if runner.failure else "ok"
    failure = mask(runner.failure) if context.config.web.details and took is not None else ""
    return CollectorView(name, state, took, context.snapshot.age(name), failure)


def as_data(view: View) -> dict[str, object]:
    """The view as JSON has it; the history's points are lists in the order of `causes`."""
    return {
        "causes": CAUSES,
        **{name: _plain(getattr(view, name)) for name in View.__slots__},
    }


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if hasattr(value, "__slots__"):
        return {name: _plain(getattr(value, name)) for name in type(value).__slots__}
    return value
