"""Renders rules as YAML that people read: comments with the reasons, folded texts, derived links."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping

from config.source.source import Alert, Record, Source, expand
from exporter.status.view import RUNBOOKS as RUNBOOKS  # re-exported for the rules

GRAFANA = "https://grafana.example.com"
"""Where the links lead; Grafana is each operator's own."""

WIDTH = 118

_HEADER = """\
# Alert and recording rules of river-exporter, for Prometheus 2.42 or newer. Generated from config/source/rules.yaml by
# `make generate`. The dashboards need the group river-dashboards.
#
# Severities: critical is for a pager, warning for a chat channel, info for a digest. config/alertmanager.yaml mutes by
# the label `stage`. The links to dashboards need the address of your Grafana:
#   sed -i 's#https://grafana.example.com#https://grafana.your.domain#' alerts.yaml
# `namespace` and `schema` identify a River: outside Kubernetes give the targets of each database a label
# `namespace` of its own, as config/prometheus.yaml does.
"""


def defaults(source: Source) -> dict[str, dict[str, str]]:
    """What replaces `${name}`, by alert (`""` for the rest): the thresholds' own values."""
    values = {
        alert: {name: number(threshold.value) for name, threshold in names.items()}
        for alert, names in source.thresholds().items()
    }
    return {**values, "": {"runbooks": RUNBOOKS, "grafana": GRAFANA}}


def placeholders(source: Source) -> dict[str, dict[str, str]]:
    """The same for the chart: `${Alert.name}`, which the chart replaces."""
    values = {alert: {name: f"${{{alert}.{name}}}" for name in names} for alert, names in source.thresholds().items()}
    return {**values, "": {name: f"${{{name}}}" for name in ("runbooks", "grafana")}}


def rules(source: Source, values: Mapping[str, Mapping[str, str]]) -> str:
    """The rule file."""
    lines = [_HEADER.rstrip("\n"), "groups:"]
    for group in source.groups:
        lines += [*_comment(group.why, "  "), f"  - name: {group.name}"]
        if group.interval:
            lines.append(f"    interval: {group.interval}")
        lines.append("    rules:")
        for rule in group.rules:
            known = names(source, rule, values)
            lines += _record(rule, known) if isinstance(rule, Record) else _alert(rule, known)
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def thresholds(source: Source) -> str:
    """The chart's defaults: a mapping of alert to threshold to number."""
    lines = [
        "# Thresholds of the alerts, with what each counts. Generated from config/source/rules.yaml by `make generate`."
    ]
    for alert, each in source.thresholds().items():
        lines.append(f"{alert}:")
        for name, threshold in each.items():
            lines += [*_comment(threshold.why, "  "), f"  {name}: {number(threshold.value)}"]
    return "\n".join(lines) + "\n"


def names(source: Source, rule: Record | Alert, values: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """All that `${…}` may name in a rule."""
    alert = rule.alert if isinstance(rule, Alert) else rule.thresholds_of
    own = values.get(alert, {}) if alert else {}
    return {**source.snippets, **values[""], **own, **{text[2:-1]: text for text in own.values() if text[:2] == "${"}}


def texts(alert: Alert, known: Mapping[str, str]) -> dict[str, str]:
    """All annotations of an alert, the derived links among them."""
    label = "{{{{ with $labels.{0} }}}}&var-{0}={{{{ . | urlquery }}}}{{{{ end }}}}"
    own = {
        "summary": alert.summary,
        "description": alert.description,
        **alert.annotations,
        "runbook_url": f"${{runbooks}}/{alert.alert}.md",
        "dashboard_url": f"${{grafana}}/d/{alert.dashboard}?from=now-1h&to=now"
        + label.format("namespace")
        + label.format("schema"),
    }
    return {name: expand(text, known, alert.alert) for name, text in own.items()}


def doctor(source: Source) -> str:
    """Names, severities and thresholds of the alerts, for doctor."""
    alerts: dict[str, list[str]] = {}
    for alert in source.alerts():
        alerts.setdefault(alert.alert, []).append(alert.severity)
    thresholds = {
        alert: {name: threshold.value for name, threshold in names.items()}
        for alert, names in source.thresholds().items()
    }
    return json.dumps({"alerts": alerts, "thresholds": thresholds}, indent=2) + "\n"


def number(value: float) -> str:
    """A threshold as PromQL and YAML write it."""
    return f"{value:g}" if abs(value) < 1e6 else str(value)


def _record(rule: Record, known: Mapping[str, str]) -> Iterator[str]:
    yield from _comment(expand(rule.why, known, rule.record), "      ")
    yield f"      - record: {rule.record}"
    yield from _expression(rule.expr, known, rule.record)


def _alert(rule: Alert, known: Mapping[str, str]) -> Iterator[str]:
    yield from _comment(expand(rule.why, known, rule.alert), "      ")
    yield f"      - alert: {rule.alert}"
    yield from _expression(rule.expr, known, rule.alert)
    yield f"        for: {rule.for_}"
    yield f"        keep_firing_for: {rule.keep_firing_for}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    yield f"          stage: {rule.stage}"
    yield "        annotations:"
    for name, text in texts(rule, known).items():
        yield from _folded(name, text, "          ")


def _expression(text: str, known: Mapping[str, str], where: str) -> Iterator[str]:
    yield "        expr: |-"
    for line in expand(text.rstrip("\n"), known, where).splitlines():
        yield f"          {line}".rstrip()


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _folded(name: str, text: str, indent: str) -> Iterator[str]:
    """A text as `>-`: YAML joins the lines with a space, also inside a template's braces."""
    yield f"{indent}{name}: >-"
    for line in textwrap.wrap(text, WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}  {line}"
