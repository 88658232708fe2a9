"""Whether Prometheus has our alerts loaded, evaluates them, and scrapes an exporter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.rules import severities
from exporter.logs.masking import mask
from exporter.postgres.sessions import one_line

ALERTS = Check(
    "alerts",
    "With `--prometheus URL`: whether our alerts are loaded and evaluated there. A page (critical) missing is a "
    "problem, another one a warning.",
    "an alert that is not loaded never fires",
)
SCRAPED = Check(
    "scraped",
    "With `--prometheus URL`: whether an exporter is scraped there and is connected to its database.",
    "alerts on series that are not there never fire",
)
FIRING = Check(
    "firing", "With `--prometheus URL`: which of our alerts fire now: a note.", "they say what is wrong already"
)
NAMES = frozenset(severities())
CRITICAL = frozenset(name for name, found in severities().items() if "critical" in found)
"""Alerts with a critical tier."""

DEADLINE = 5.0
_REMEDY = (
    "load config/alerts.yaml (rule_files), or the chart's PrometheusRule; promtool check rules names what is wrong"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule as Prometheus has it; `trouble` is why its last evaluation failed."""

    name: str
    severity: str
    firing: bool
    trouble: str


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """Ask, and judge."""
    import requests

    base = (doctor.options.prometheus or "").rstrip("/")
    try:
        rules = list(_rules(_get(requests, f"{base}/api/v1/rules", {"type": "alert"})))
        up = _get(requests, f"{base}/api/v1/query", {"query": "river_up"})["result"]
    except (requests.RequestException, ValueError, KeyError, TypeError, OSError) as error:
        yield ALERTS.problem(
            "Prometheus does not answer as one",
            mask(f"{base}: {one_line(error)}"),
            remedy="check the address given with --prometheus",
        )
        return
    yield from judge(rules)
    yield judge_scraped([float(each["value"][1]) for each in up])


def _get(requests: Any, url: str, parameters: dict[str, str]) -> Any:
    answer = requests.get(url, params=parameters, timeout=DEADLINE, allow_redirects=False)
    answer.raise_for_status()
    return answer.json()["data"]


def _rules(data: Any) -> Iterator[Rule]:
    for group in data["groups"]:
        for rule in group["rules"]:
            if rule["name"] in NAMES:
                trouble = rule.get("lastError", "") if rule.get("health") == "err" else ""
                yield Rule(rule["name"], rule.get("labels", {}).get("severity", ""), rule["state"] == "firing", trouble)


def judge(rules: Sequence[Rule]) -> Iterator[Finding]:
    """Which of our alerts are there, which fail, which fire."""
    there = {rule.name for rule in rules}
    pages = {rule.name for rule in rules if rule.severity == "critical"}
    missing, silent = sorted(NAMES - there), sorted(CRITICAL - pages)
    broken = [rule for rule in rules if rule.trouble]
    if not rules:
        yield ALERTS.problem("none of our alerts is loaded", remedy=_REMEDY)
    elif silent:
        yield ALERTS.problem(f"not loaded as critical: {', '.join(silent)}", remedy=_REMEDY)
    elif missing:
        yield ALERTS.warning(f"not loaded: {', '.join(missing)}", remedy=_REMEDY)
    elif not broken:
        yield ALERTS.ok(f"all {len(NAMES)} are loaded")
    for rule in broken:
        yield ALERTS.problem(f"{rule.name} cannot be evaluated", rule.trouble, remedy=_REMEDY)
    firing = sorted({f"{rule.name} ({rule.severity})" for rule in rules if rule.firing})
    yield FIRING.note(", ".join(firing)) if firing else FIRING.ok("none of our alerts fires")


def judge_scraped(up: Sequence[float]) -> Finding:
    """Whether exporters are scraped, and see their database."""
    if not up:
        return SCRAPED.problem(
            "Prometheus has no river_up: it scrapes no exporter",
            remedy="add a scrape job for the exporter's port, or enable the PodMonitor in the chart",
        )
    if not all(up):
        return SCRAPED.warning(
            f"{sum(value == 0 for value in up)} of {len(up)} exporters have no connection to their database",
            remedy="river_database_unreachable has the reason, as its label",
        )
    return SCRAPED.ok(f"{len(up)} scraped, connected to the database")


GROUP = Group(
    "Prometheus", (ALERTS, SCRAPED, FIRING), examine, needs="nothing", progress="asking Prometheus for its rules",
    wanted=lambda options: options.prometheus is not None,
)  # fmt: skip
