"""The exporter's own configuration: what it could see and does not, and thresholds that cannot warn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.config import Config
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import Ending, ending, read
from exporter.humanize import seconds
from exporter.postgres.address import APPLICATION
from exporter.postgres.leader import LOCK_CLASS
from exporter.river.facts import HOT_OPERATION_TIMEOUT

CONFIGURATION = Check(
    "exporter-configuration",
    "The exporter's own configuration: `river.metrics_urls` and `river.workers` not set are notes, a timeout that is "
    "not River's, or a critical threshold above 90 %, a warning.",
    "what the exporter does not see it cannot warn of",
)
COLLECTORS = Check(
    "exporter-collectors",
    "Whether the exporter's collectors ran well while doctor looked; one that failed is a warning.",
    "a collector that fails shows nothing",
)
ELECTED = Check(
    "exporter-elected",
    "Which exporter is elected for each River, by the advisory lock that it holds; a session that holds it and has not "
    "sent a query for more than 10 s, or is no exporter's, is a warning, and none at all is a note.",
    "locks, statements, queues and lag are measured by that one only",
)
SILENT = 10.0
"""Seconds after which an exporter that should send a query each second counts as hung."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The session that holds a schema's lock; `connected` and `silent` in seconds, None like `pid` without one."""

    schema: str
    pid: int | None
    application: str
    address: str
    connected: float | None
    silent: float | None


def examine(doctor: DoctorContext) -> Iterator[tuple[str | None, Finding]]:
    """All checks of this group; which exporter is elected needs the database."""
    for finding in judge(doctor.config):
        yield None, finding
    yield None, judge_collectors(doctor.failures, doctor.watched)
    if doctor.missing():
        return
    parameters = {"schemas": list(doctor.schemas), "class": LOCK_CLASS}
    sessions = read(doctor)
    for holder in doctor.needed().rows(LockHolder, "configuration_election", parameters):
        end = ending(sessions, holder.pid) if holder.pid is not None else Ending("")
        yield holder.schema, judge_elected(holder, end)


def judge(config: Config) -> Iterator[Finding]:
    """What the configuration leaves out."""
    found = []
    if not config.river.metrics_urls:
        found.append(CONFIGURATION.note(
            "river.metrics_urls is not set: River's own pool is not seen, only what follows from its silence",
            remedy="docs/pool-statistics.md shows the lines that expose it",
        ))  # fmt: skip
    if config.river.workers is None:
        found.append(CONFIGURATION.note(
            "river.workers is not set: the most jobs seen running at once stand in",
            remedy="set river.workers to the sum of MaxWorkers over all clients",
        ))  # fmt: skip
    if float(config.river.timeout) != HOT_OPERATION_TIMEOUT:
        found.append(CONFIGURATION.warning(
            f"river.timeout is {seconds(config.river.timeout)}, in River's code it is {seconds(HOT_OPERATION_TIMEOUT)}",
            remedy="leave river.timeout out, unless your River is built with another",
        ))  # fmt: skip
    if config.thresholds.critical > 0.9:
        found.append(CONFIGURATION.warning(
            f"thresholds.critical is {config.thresholds.critical:g}: the page would come with the failure",
            remedy="set it to 0.5, the default",
        ))  # fmt: skip
    yield from found or [CONFIGURATION.ok("it leaves nothing out")]


def judge_collectors(failures: Mapping[str, str], watched: float) -> Finding:
    """Whether all collectors ran well."""
    if not failures:
        return COLLECTORS.ok(f"all ran well for {seconds(watched)}")
    return COLLECTORS.warning(
        f"failed: {', '.join(sorted(failures))}",
        *(f"{name}: {reason}" for name, reason in sorted(failures.items())),
        remedy="see connection, rights and locks; a table that is locked cannot be read",
    )


def judge_elected(holder: LockHolder, end: Ending) -> Finding:
    """Whether the session that holds the lock is a living exporter's.

    Args:
        end: how to end that session.
    """
    if holder.pid is None:
        return ELECTED.note(
            "no exporter is elected for this River: no session holds its lock",
            remedy="is one running? Its database.url must lead to PostgreSQL itself: a pooler in transaction mode "
            "keeps no lock",
        )
    who = f"{holder.application or 'a session without a name'} at {holder.address}, pid {holder.pid}"
    since = f"connected for {seconds(holder.connected or 0.0)}"
    if holder.application != APPLICATION:
        return ELECTED.warning(
            f"the lock is held by {who}, which is no exporter", since,
            remedy=f"{end.text}; an exporter then takes over", sql=end.sql,
        )  # fmt: skip
    if holder.silent is not None and holder.silent > SILENT:
        return ELECTED.warning(
            f"the exporter that holds the lock has not sent a query for {seconds(holder.silent)}", who, since,
            remedy=f"restart the exporter at {holder.address}: another one takes over within seconds",
        )  # fmt: skip
    return ELECTED.ok(f"{who}, is the elected exporter, {since}")


GROUP = Group("The exporter", (CONFIGURATION, COLLECTORS, ELECTED), examine, needs="nothing")
