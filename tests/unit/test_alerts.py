"""The alerts, their runbooks, their unit tests and the metrics they use can't drift apart."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from config.source import cases, generate, render
from config.source.source import Group, Record, Source, Threshold, expand, load
from dashboards.frame import UIDS
from exporter.catalog import catalog
from exporter.collectors.target import OPTIONAL, REMEDIES
from exporter.doctor.run import GROUPS
from exporter.metrics.metric import Kind
from exporter.river.facts import COMPLETER_GIVES_UP, HOT_OPERATION_TIMEOUT
from exporter.river.operations import COMPLETING
from tests.grafana.catalogue import recorded

ROOT = Path(__file__).parents[2]
RUNBOOKS = {path.stem: path.read_text() for path in (ROOT / "docs/runbooks").glob("*.md")}
SOURCE = load()
ALERTS = list(SOURCE.alerts())
TARGET_LABELS = {"namespace", "job", "instance"}
FOREIGN = {"up": (Kind.GAUGE, set[str]())}
RISES = {"rate", "irate", "increase"}

STRING = r'"(?:[^"\\]|\\.)*"'
SELECTOR = re.compile(rf"(?<![\w:$.])((?:river_|namespace[\w]*:)[\w:]*|up)(?!\w)(?:\{{((?:[^{{}}\"]|{STRING})*)\}})?")
MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({STRING}|%q)")
CALLED = re.compile(r"(\w+)\($")
GROUPING = re.compile(r"\b(?:by|on|group_left|without|ignoring)\s*\([^)]*\)")


@cache
def committed(path: str) -> Any:
    """A committed file, parsed."""
    return yaml.safe_load((ROOT / path).read_text())


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of the committed config/alerts.yaml."""
    for group in committed("config/alerts.yaml")["groups"]:
        yield from group["rules"]


def queries() -> Iterator[tuple[str, str]]:
    """Every expression, and every query that a text sends, with the rule's name."""
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        yield name, re.sub(r"#.*", "", rule["expr"])
        for text in rule.get("annotations", {}).values():
            for quoted in re.findall(rf"printf ({STRING}) \$labels", text):
                yield name, quoted[1:-1].replace('\\"', '"')


def selections() -> Iterator[tuple[str, str, list[tuple[str, str, str]], str]]:
    """Every selector: the rule's name, the metric, its matchers, and the function it stands in (may be empty)."""
    for name, query in queries():
        bare = GROUPING.sub(lambda match: " " * len(match[0]), query)
        for match in SELECTOR.finditer(bare):
            called = CALLED.search(bare[: match.start()].rstrip())
            yield name, match[1], MATCHER.findall(match[2] or ""), called[1] if called else ""


def known() -> dict[str, tuple[Kind, set[str]]]:
    """Kind and labels by exposed name: the catalogue, Prometheus' own and what the rules record."""
    found = dict(FOREIGN)
    for metric, _ in catalog().values():
        if metric.kind in (Kind.GAUGE, Kind.COUNTER):
            found[metric.name] = (metric.kind, set(metric.labels))
            continue
        for suffix in ("_bucket", "_sum", "_count"):
            found[metric.name + suffix] = (Kind.COUNTER, {*metric.labels, "le"})
    return found | {name: (Kind.GAUGE, labels) for name, labels in recorded().items()}


def test_every_alert_has_a_runbook_and_unit_tests_and_the_other_way_round() -> None:
    """The three sets of names are the same, and none is empty."""
    tests = committed("config/alerts_test.yaml")["tests"]
    tested = {check["alertname"] for test in tests for check in test.get("alert_rule_test", []) if check["exp_alerts"]}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert len(alerts) > 20
    assert alerts == set(RUNBOOKS) == tested == {alert.alert for alert in ALERTS}


def test_every_tier_of_every_alert_fires_and_stays_silent_in_a_unit_test() -> None:
    """Each has a case, and only one."""
    tested = [(case.alert, case.severity) for case in cases.read()]
    assert len(tested) == len(set(tested)) > 0
    assert set(tested) == {(alert.alert, alert.severity) for alert in ALERTS}


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_a_runbook_has_its_four_parts_and_each_says_something(name: str) -> None:
    """Meaning, Impact, Diagnosis, Mitigation, in this order."""
    title, *parts = re.split(r"(?m)^## ", RUNBOOKS[name])
    assert title.strip() == f"# {name}"
    assert [part.split("\n")[0] for part in parts] == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    for part in parts:
        assert len(part.split("\n", 1)[1].split()) >= 8, part
    assert "TODO" not in RUNBOOKS[name]


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_a_runbook_names_checks_of_doctor_that_there_are(name: str) -> None:
    """Whoever is sent to doctor finds the check, and every runbook sends there."""
    mentioned = re.findall(r"\bchecks?\s+((?:`[a-z-]+`(?:,\s+|\s+and\s+)?)+)", RUNBOOKS[name])
    checks = {check for each in mentioned for check in re.findall(r"`([a-z-]+)`", each)}
    assert checks
    assert checks <= {check.name for group in GROUPS for check in group.checks}


def test_links_of_runbooks_lead_to_runbooks() -> None:
    """No link leads nowhere."""
    targets = {target for text in RUNBOOKS.values() for target in re.findall(r"\]\((\w+)\.md\)", text)}
    assert targets
    assert targets <= set(RUNBOOKS)


def test_every_metric_of_an_alert_exists() -> None:
    """An alert on a metric that nobody exports can never fire."""
    used = {metric for _, metric, _, _ in selections()}
    assert len(used) > 30
    assert used - set(known()) == set()


def test_matchers_name_labels_that_the_metric_has() -> None:
    """A matcher on a label that isn't there selects nothing, or everything."""
    for name, metric, matchers, _ in selections():
        labels = known()[metric][1] | TARGET_LABELS
        for label, _, _ in matchers:
            assert label in labels, f"{name}: {metric}{{{label}}}"


def test_matchers_on_operations_select_the_completing_ones() -> None:
    """The pattern is a list in disguise: of all operations that complete jobs, and of no other."""
    matched = [matcher for _, _, matchers, _ in selections() for matcher in matchers]
    patterns = {value.strip('"') for label, _, value in matched if label == "operation"}
    assert patterns
    for pattern in patterns:
        alternatives = pattern.removesuffix("|COMMIT")
        assert all(re.fullmatch(alternatives, operation) for operation in COMPLETING)
        assert not re.fullmatch(alternatives, "JobGetAvailable")


def test_rates_are_taken_of_counters_only() -> None:
    """The rate of a gauge means nothing, and the value of a counter neither."""
    found = 0
    for name, metric, _, function in selections():
        kind = known()[metric][0]
        assert (function in RISES) == (kind is Kind.COUNTER), f"{name}: {function}({metric}) of a {kind}"
        found += function in RISES
    assert found


def test_every_raw_gauge_outlives_a_failed_scrape() -> None:
    """Only recorded series, which outlive one themselves, are selected without a range."""
    for rule in rules():
        expression = GROUPING.sub("", rule["expr"])
        for match in SELECTOR.finditer(expression):
            assert ":" in match[1] or re.match(r"\s*\[", expression[match.end() :]), f"{rule}: {match[0]}"


def test_severities_and_texts_are_complete() -> None:
    """What a person is told: severity, summary, description, runbook and dashboard."""
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        texts = rule["annotations"]
        assert {"summary", "description", "runbook_url", "dashboard_url"} <= set(texts)
        assert texts["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")
        assert re.search(r"/d/([\w-]+)\?", texts["dashboard_url"])[1] in UIDS.values()  # type: ignore[index]
        assert {"for", "keep_firing_for"} <= set(rule)


def test_the_critical_tier_of_the_budget_waits_for_nothing_and_names_the_cause_outside_its_labels() -> None:
    """A label would make every flip of the cause another alert, and another page."""
    tiers = {rule["labels"]["severity"]: rule for rule in rules() if rule.get("alert") == "RiverCompleterBudget"}
    assert list(tiers) == ["critical", "warning"]
    assert tiers["critical"]["for"] == "0s"
    for rule in tiers.values():
        assert "cause" not in rule["labels"]
        assert "| query" in rule["annotations"]["cause"]
        assert rule["annotations"]["cause"] in rule["annotations"]["summary"]


def muted_by(page: str) -> Iterator[dict[str, Any]]:
    """Every alert that config/alertmanager.yaml mutes while this one pages."""
    patterns = [
        matcher.split('"')[1]
        for rule in committed("config/alertmanager.yaml")["inhibit_rules"]
        if f'alertname = "{page}"' in rule["source_matchers"]
        for matcher in rule["target_matchers"]
        if matcher.startswith("alertname")
    ]
    assert patterns
    for rule in rules():
        named = any(re.fullmatch(pattern, rule.get("alert", "")) for pattern in patterns)
        if named or rule.get("labels", {}).get("stage") == "precursor":
            yield rule


def test_nothing_outlasts_the_page_that_mutes_it() -> None:
    """When the page resolves, nothing it muted may still fire, and be told as something new."""
    kept = {(rule["alert"], rule["labels"]["severity"]): rule for rule in rules() if "alert" in rule}
    pages = "RiverCompleterBudget", "RiverAddressRefused"
    page = min(cases.seconds(kept[each, "critical"]["keep_firing_for"]) for each in pages)
    for (alert, severity), rule in kept.items():
        lower = kept.get((alert, "warning"))
        if severity == "critical" and lower and alert != "RiverCompletionsLost":
            assert cases.seconds(lower["keep_firing_for"]) <= cases.seconds(rule["keep_firing_for"]), alert
    page_rule = kept["RiverCompleterBudget", "critical"]  # what it reads itself ends with it
    tier = cases.seconds(kept["RiverCompleterBudget", "warning"]["keep_firing_for"])
    assert tier + 60 < page  # the window in which the peak is held
    lasting = {
        ("RiverWorkersExceedConnections", "warning"),  # a setting, which no incident brings about
        ("RiverCompletionsLost", "warning"),  # what is left of an incident, to be seen to in the morning
        ("RiverDatabaseUnreachable", "warning"),
    }
    muted = [
        rule for each in pages for rule in muted_by(each) if (rule["alert"], rule["labels"]["severity"]) not in lasting
    ]
    assert len(muted) > 30
    for rule in muted:
        read = [each for each in rules() if each.get("record", "-") in rule["expr"]]
        expressions = [rule["expr"], *(each["expr"] for each in read if each["record"] not in page_rule["expr"])]
        windows = [cases.seconds(each) for text in expressions for each in re.findall(r"\[(\d+[sm])\]", text)]
        assert cases.seconds(rule["keep_firing_for"]) + max(windows) < page, rule["alert"]


def test_facts_of_river_stand_behind_the_thresholds() -> None:
    """After so many timeouts of silence River has given a batch up; capabilities left out are the optional ones."""
    silence = SOURCE.thresholds()["RiverCompletionsLost"]["silence"].value
    assert silence == pytest.approx(COMPLETER_GIVES_UP / HOT_OPERATION_TIMEOUT)
    (left_out,) = {
        value.strip('"')
        for _, metric, matchers, _ in selections()
        for label, operator, value in matchers
        if metric == "river_exporter_capability" and operator == "!~"
    }
    assert {capability for capability in REMEDIES if re.fullmatch(left_out, capability)} == OPTIONAL


def test_the_generated_files_are_current() -> None:
    """`make generate` would change nothing."""
    for path, text in generate.outputs(SOURCE).items():
        assert (ROOT / path).read_text() == text, f"{path}: run make generate"


def test_check_names_the_files_that_are_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing and fails; without it all is written, and then it succeeds."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "config/alerts.yaml is not current" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_what_is_rendered_reads_back_as_it_was_meant() -> None:
    """Folding a text over several lines changes nothing of it."""
    values = render.defaults(SOURCE)
    for rule, alert in zip([rule for rule in rules() if "alert" in rule], ALERTS, strict=True):
        names = render.names(SOURCE, alert, values)
        assert rule["annotations"] == render.texts(alert, names)
        assert rule["expr"] == expand(alert.expr.rstrip("\n"), names, alert.alert)
        assert "${" not in str(rule)


def test_the_charts_copy_with_its_defaults_is_the_same() -> None:
    """The chart replaces `${Alert.threshold}`, `${runbooks}` and `${grafana}`, and has the same rules then."""
    text = (ROOT / generate.CHART / "alerts.yaml").read_text()
    assert "${" in text
    for alert, thresholds in committed(f"{generate.CHART}/alert-thresholds.yaml").items():
        for name, value in thresholds.items():
            assert f"${{{alert}.{name}}}" in text
            text = text.replace(f"${{{alert}.{name}}}", str(value))
    text = text.replace("${runbooks}", render.RUNBOOKS).replace("${grafana}", render.GRAFANA)
    assert yaml.safe_load(text) == committed("config/alerts.yaml")


def test_every_threshold_is_used() -> None:
    """A number that changes nothing would mislead whoever sets it."""
    records = [rule for group in SOURCE.groups for rule in group.rules if isinstance(rule, Record)]
    for alert in ALERTS:
        recorded = [record.expr for record in records if record.thresholds_of == alert.alert]
        for name in alert.thresholds:
            assert f"${{{name}}}" in "".join([alert.expr, *recorded]), f"{alert.alert}: {name}"


def test_an_unknown_name_is_refused() -> None:
    """A slip in `${…}` names the rule and the slip."""
    with pytest.raises(ValueError, match=r"RiverX: \$\{fre\} is neither"):
        expand("x < ${fre}", {"free": "0.1"}, "RiverX")


def test_tiers_that_disagree_on_a_threshold_are_refused() -> None:
    """The chart has one value for both."""
    tiers = [alert for alert in ALERTS if alert.alert == "RiverCompletionsLost"]
    changed = tuple(replace(each, thresholds={"n": Threshold(i, "")}) for i, each in enumerate(tiers))
    source = Source({}, (Group("g", "", changed),))
    with pytest.raises(ValueError, match="RiverCompletionsLost: two tiers give the threshold n different values"):
        source.thresholds()


def test_recorded_series_are_used() -> None:
    """A recording rule that neither an alert nor a dashboard reads costs and earns nothing."""
    drawn = "".join(path.read_text() for path in (ROOT / "dashboards").glob("*.json"))
    read = {metric for _, metric, _, _ in selections()} | set(re.findall(r"\b(namespace[\w]*:[\w:]+)\{", drawn))
    assert recorded()
    assert set(recorded()) == {metric for metric in read if ":" in metric}


def test_the_level_of_a_recorded_series_names_its_labels() -> None:
    """As Prometheus' manual has it ("Recording rules", level:metric:operations); the metric is one of ours."""
    for name, labels in recorded().items():
        level, metric, operation = name.split(":")
        assert sorted(label for label in labels if re.search(rf"(^|_){label}(_|$)", level)) == sorted(labels), name
        assert len(level) == len("_".join(labels)), name
        assert metric.startswith("river_"), name
        assert re.fullmatch(r"(ratio_)?(rate|increase)\d+[mhd]|max|min|sum|ratio", operation), name


def test_a_walk_writes_runs_rises_and_restarts_in_promtools_words() -> None:
    """A counter begins again at 0 after a restart; a gauge does not; a failed scrape is stale."""
    walk = cases.Walk().go("rest", 3).go("lost", 1).go("rest", 1).go("restart", 2).go("fault", 3)
    assert walk.values(cases.Course(1, 1, 2), "x") == "1x2 stale 1 stale stale 2x2"
    assert walk.values(cases.Course(1, 1, 2), "x_total") == "0+1x2 stale 3 stale stale 0+2x2"
    assert walk.values(cases.Course(1, 1, 0), "up") == "1x2 0 1 0x4"
