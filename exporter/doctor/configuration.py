"""The exporter's own configuration: what it could see and does not, and thresholds that cannot warn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.config import Config
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
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
    "Which exporter speaks for each River, by the advisory lock that it holds; a session that holds it and has not "
    "asked anything for more than 10 s, or is no exporter's, is a warning, and none at all is a note.",
    "locks, statements, queues and lag are measured by that one only",
)
CHECKS = (CONFIGURATION, COLLECTORS, ELECTED)

SILENT = 10.0
"""Seconds after which a session that should ask each second is nobody's any more."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who holds a schema's lock; `connected` and `silent` in seconds, and None like `pid` where nobody does."""

    schema: str
    pid: int | None
    application: str
    address: str
    connected: float | None
    silent: float | None


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """The checks of this group that ask no database."""
    yield from judge(doctor.config)
    yield judge_collectors(doctor.failures, doctor.watched)


def elected(doctor: DoctorContext) -> Iterator[tuple[str, Finding]]:
    """Who speaks for each River."""
    parameters = {"schemas": list(doctor.schemas), "class": LOCK_CLASS}
    for speaker in doctor.needed().rows(Speaker, "configuration_election", parameters):
        yield speaker.schema, judge_speaker(speaker)


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


def judge_speaker(speaker: Speaker) -> Finding:
    """Whether the one who holds the lock is an exporter that is alive."""
    if speaker.pid is None:
        return ELECTED.note(
            "no exporter speaks for this River: nobody holds its lock",
            remedy="does one run? Its database.url must lead to PostgreSQL itself: a pooler in transaction mode keeps "
            "no lock",
        )
    who = f"{speaker.application or 'a session without a name'} at {speaker.address}, pid {speaker.pid}"
    since = f"connected for {seconds(speaker.connected or 0.0)}"
    remedy = f"SELECT pg_terminate_backend({speaker.pid});  -- another exporter takes over within seconds"
    if speaker.application != APPLICATION:
        return ELECTED.warning(f"the lock is held by {who}, which is no exporter", since, remedy=remedy)
    if speaker.silent is not None and speaker.silent > SILENT:
        return ELECTED.warning(
            f"the exporter that holds the lock has not asked anything for {seconds(speaker.silent)}", who, since,
            remedy=remedy,
        )  # fmt: skip
    return ELECTED.ok(f"{who}, speaks for this River, {since}")
