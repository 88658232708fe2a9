"""Makes promtool tests of `cases.yaml`: for each tier of each alert one that fires and one just below its threshold.

The first walks through rest, a restart of the exporter at rest, the fault with a failed scrape and another restart
in it, and rest again. A failed scrape is `stale` in every series, as Prometheus writes it; a restart is two of those,
after which counters begin at 0. What fits no such walk stands in `scenarios.yaml`, in promtool's own words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from config.source import render as rules
from config.source.source import FOLDER, Alert, Severity, Source

STEP = 10
"""Seconds between two scrapes, as in config/prometheus.yaml."""

EXPORTER = {"namespace": "shop", "job": "river-exporter", "instance": "10.0.0.1:10917"}
"""Labels of a series, unless a case says otherwise."""

LINKS = ("runbook_url", "dashboard_url")
_DURATION = re.compile(r"(\d+)([smh])")
_CUMULATIVE = ("_total", "_bucket", "_sum", "_count")
_SERIES = re.compile(r"(\w+)(?:\{(.*)\})?")

Value = float | int | Literal["stale"]
"""A gauge's value, a counter's or bucket's rise at each scrape, or `stale`: the series is not there."""


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a series says at rest, during the fault, and just below the threshold."""

    rest: Value
    below: Value
    fault: Value


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tier of an alert.

    Attributes:
        series: what drives it, by series; labels of `EXPORTER` are added.
        context: series that never change.
        labels: of the alert, beside namespace, severity and stage.
        quiet: how long after the fault's begin it is still silent.
        fires: how long after the fault's begin it fires.
        resolves: how long after the fault's end it is silent again.
        rest: how long all is well before.
        namespace: of the alert.
    """

    alert: str
    severity: Severity
    series: Mapping[str, Course]
    fires: str
    resolves: str
    summary: str
    description: str
    quiet: str | None = None
    context: Mapping[str, Value] = {}
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    rest: str = "2m"


def read(path: Path = FOLDER / "cases.yaml") -> list[Case]:
    """Read the cases; raises msgspec.ValidationError for what is none."""
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Case])


def seconds(text: str) -> int:
    """A duration of Prometheus' in seconds; raises ValueError when it is none."""
    if _DURATION.sub("", text):
        raise ValueError(f"{text!r} is no duration")
    return sum(int(count) * {"s": 1, "m": 60, "h": 3600}[unit] for count, unit in _DURATION.findall(text))


Phase = Literal["rest", "below", "fault", "lost", "restart"]


@dataclass
class Walk:
    """A timeline in scrapes, and the moments to look at."""

    phases: list[Phase] = field(default_factory=list)

    def go(self, phase: Phase, scrapes: int) -> Walk:
        """Add scrapes of one kind."""
        self.phases += [phase] * scrapes
        return self

    @property
    def now(self) -> int:
        """Seconds from the begin to the next scrape."""
        return len(self.phases) * STEP

    def values(self, course: Course, name: str) -> str:
        """A series' values in promtool's notation, a run of the same rise as `first+rise x times`."""
        raw: list[float | str] = []
        total, started = 0.0, False
        for phase in self.phases:
            if phase in ("lost", "restart"):
                total, started = (0.0, False) if phase == "restart" else (total, started)
                raw.append(0.0 if name == "up" else "stale")
                continue
            value: Value = getattr(course, phase)
            if isinstance(value, float | int) and name.endswith(_CUMULATIVE):
                total, started = (total + value) if started else 0.0, True
                raw.append(total)
            else:
                raw.append(value)
        return " ".join(_runs(raw))


def _runs(raw: list[float | str]) -> Iterator[str]:
    place = 0
    while place < len(raw):
        first = raw[place]
        if isinstance(first, str):
            length = len(list(next(groupby(raw[place:]))[1]))
            yield " ".join([first] * length)
            place += length
            continue
        rise, length = 0.0, 1
        for before, after in zip(raw[place:], raw[place + 1 :], strict=False):
            if isinstance(before, str) or isinstance(after, str):
                break
            if length == 1:
                rise = after - before
            if not math.isclose(after - before, rise, abs_tol=1e-9):
                break
            length += 1
        if length == 2 and rise:
            length = 1  # two different values are no run
        yield f"{first:g}" if length == 1 else f"{first:g}+{rise:g}x{length - 1}" if rise else f"{first:g}x{length - 1}"
        place += length


def render(source: Source) -> str:
    """The text of config/alerts_test.yaml."""
    alerts = {(alert.alert, alert.severity): alert for alert in source.alerts()}
    known = rules.defaults(source)
    tests: list[dict[str, object]] = []
    for case in read():
        alert = alerts[case.alert, case.severity]
        links = rules.texts(alert, rules.names(source, alert, known))
        tests += [_fires(case, alert, links), _below(case)]
    head = (
        "# Unit tests of alerts.yaml: `promtool test rules alerts_test.yaml`. Generated from\n"
        "# config/source/cases.yaml and scenarios.yaml by `make generate`; cases.py tells how a case is run.\n"
    )
    body = yaml.dump(
        {
            "rule_files": ["alerts.yaml"],
            "evaluation_interval": f"{STEP}s",
            "group_eval_order": [group.name for group in source.groups],  # else any: what is recorded may come late
            "tests": tests,
        },
        Dumper=_Dumper,
        sort_keys=False,
        width=116,
        allow_unicode=True,
    )
    scenarios = (FOLDER / "scenarios.yaml").read_text(encoding="utf-8")
    return head + re.sub(r"(?m)^(  - name:)", r"\n\1", body) + "\n" + scenarios


def _fires(case: Case, alert: Alert, links: Mapping[str, str]) -> dict[str, object]:
    walk = Walk().go("rest", 4).go("restart", 2).go("rest", seconds(case.rest) // STEP)
    begin = walk.now
    silent = [begin - STEP]
    fires = seconds(case.fires)
    walk.go("fault", 1).go("lost", 1 if fires else 0)
    if case.quiet:
        silent.append(begin + seconds(case.quiet))
    walk.go("fault", begin // STEP + fires // STEP - len(walk.phases) + 1)
    lost = walk.go("fault", 2).go("lost", 1).now - STEP
    restart = walk.go("fault", 3).go("restart", 2).now - STEP
    end = walk.go("fault", 6).now
    walk.go("rest", seconds(case.resolves) // STEP + 1)
    silent.append(end + seconds(case.resolves))
    return {
        "name": f"{case.alert} ({case.severity}) fires, outlives a failed scrape and a restart, and resolves",
        "interval": f"{STEP}s",
        "input_series": _inputs(case, walk),
        "alert_rule_test": [
            {
                "eval_time": _time(begin + fires),
                "alertname": case.alert,
                "exp_alerts": [_expected(case, alert, links)],
            }
        ],
        "promql_expr_test": [
            *(_state(case, moment) for moment in silent),
            *(_state(case, moment, alert) for moment in (lost, restart, end + 2 * STEP)),
        ],
    }


def _below(case: Case) -> dict[str, object]:
    walk = Walk().go("rest", seconds(case.rest) // STEP)
    begin = walk.now
    walk.go("below", seconds(case.fires) // STEP + 7)
    return {
        "name": f"{case.alert} ({case.severity}) stays silent just below its threshold",
        "interval": f"{STEP}s",
        "input_series": _inputs(case, walk),
        "promql_expr_test": [_state(case, moment) for moment in (begin, begin + seconds(case.fires), walk.now - STEP)],
    }


def _inputs(case: Case, walk: Walk) -> list[dict[str, str]]:
    found = []
    courses = {**case.series, **{name: Course(value, value, value) for name, value in case.context.items()}}
    for series, course in courses.items():
        match = _SERIES.fullmatch(series)
        if match is None:
            raise ValueError(f"{case.alert}: {series!r} is no series")
        own = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        labels = ",".join(f'{name}="{value}"' for name, value in {**EXPORTER, **own}.items() if value)
        found.append({"series": f"{match[1]}{{{labels}}}", "values": walk.values(course, match[1])})
    return found


def _labels(case: Case, alert: Alert) -> dict[str, str]:
    labels = {"severity": alert.severity, "stage": alert.stage, "namespace": "shop", **case.labels}
    return {name: value for name, value in labels.items() if value}


def _expected(case: Case, alert: Alert, links: Mapping[str, str]) -> dict[str, object]:
    labels = _labels(case, alert)
    texts = {"summary": case.summary, "description": case.description, **case.annotations}
    for name in LINKS:
        texts[name] = re.sub(
            r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \| urlquery \}\}\{\{ end \}\}",
            lambda match: f"{match[2]}{labels[match[1]]}" if match[1] in labels else "",
            links[name],
        )
    return {"exp_labels": labels, "exp_annotations": texts}


def _state(case: Case, moment: int, firing: Alert | None = None) -> dict[str, object]:
    """That this tier fires, or not: one series of ALERTS, whatever its sister tier does."""
    samples: list[object] = []
    if firing:
        labels = {"alertname": case.alert, "alertstate": "firing", **_labels(case, firing)}
        inside = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        samples = [{"labels": f"ALERTS{{{inside}}}", "value": 1}]
    expression = f'ALERTS{{alertname="{case.alert}", severity="{case.severity}", alertstate="firing"}}'
    return {"expr": expression, "eval_time": _time(moment), "exp_samples": samples}


def _time(moment: int) -> str:
    minutes, rest = divmod(moment, 60)
    return f"{minutes}m{rest}s" if minutes and rest else f"{minutes}m" if minutes else f"{rest}s"


class _Dumper(yaml.SafeDumper):
    """Indents lists below their keys."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """As yaml's own, never indentless."""
        super().increase_indent(flow, indentless=False)
