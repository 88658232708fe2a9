"""The exporter's own configuration: what it could see and does not, and thresholds that cannot warn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.config import Config
from exporter.doctor.finding import Check, Finding
from exporter.doctor.patient import Patient
from exporter.river.facts import HOT_OPERATION_TIMEOUT
from exporter.words import seconds

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
CHECKS = (CONFIGURATION, COLLECTORS)


def examine(patient: Patient) -> Iterator[Finding]:
    """All checks of this group."""
    yield from judge(patient.config)
    yield judge_collectors(patient.failures, patient.watched)


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
