"""The generated dashboards: up to date, valid for Grafana 11 to 13, and asking only for what there is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.source.render import RUNBOOKS
from config.source.source import Record, load
from dashboards import style
from dashboards.frame import SCREEN, UIDS
from dashboards.generate import FOLDER, drift
from exporter.metrics.metric import Kind
from tests.grafana.catalogue import TARGET_LABELS, declared, metrics, recorded, series, shared
from tests.grafana.colours import DEFICIENCIES, contrast, difference
from tests.grafana.promql import Selection, selections
from tests.grafana.schema import Version, errors, override_errors
from tests.preview.fill import Ask, Window, asks, panel_asks, panels, seconds

DOCUMENTS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
CONFIG = Path(__file__).parents[2] / "config"
GRAFANAS: tuple[Version, ...] = ("11.0.0", "13.2.3")

NOT_SHOWN: dict[str, str] = {
    "river_index_gin_pending_pages": "only where somebody installed pgstattuple: an empty panel for everybody else",
    "river_jobs_oldest_finished_seconds": "a day or a week in health: what is past the retention is told by an alert",
    "river_jobs_capped": "a flag beside river_jobs, not a course over time",
    "river_exporter_undecodable_texts_total": "no fault: names and statements are shown with replacement characters",
}
"""Metrics on no dashboard and in no alert, with the reason."""


CONDITIONAL = {"not growing", "below it", "none"}
"""Texts of panels that are empty while all is well, beside one that says what is missing without the rules."""


def each_query() -> Iterator[tuple[str, Ask]]:
    """Every query of every dashboard, with the dashboard's name."""
    for name, document in DOCUMENTS.items():
        for ask in asks(document):
            yield name, ask


def each_selection() -> Iterator[tuple[str, Ask, Selection]]:
    """Every selector of every query."""
    for name, ask in each_query():
        for selection in selections(ask.expr):
            yield name, ask, selection


def each_panel() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel of every dashboard."""
    for name, document in DOCUMENTS.items():
        for panel in panels(document):
            yield name, panel


def test_the_committed_files_are_what_the_modules_make() -> None:
    """`make generate` would change nothing, and no file is left over."""
    assert drift() == [], "run make generate"
    assert set(DOCUMENTS) == set(UIDS.values())


@pytest.mark.parametrize("version", GRAFANAS)
def test_grafanas_own_types_accept_the_dashboards(version: Version) -> None:
    """Every option and override is one that the panel has; the newest Grafana knows every property."""
    found = {name: [*errors(version, each), *override_errors(version, each)] for name, each in DOCUMENTS.items()}
    assert found == {name: [] for name in DOCUMENTS}


@pytest.mark.parametrize("version", GRAFANAS)
def test_grafanas_types_refuse_what_is_wrong(version: Version) -> None:
    """The check can fail: wrong units of types, unknown kinds and overrides that a panel hasn't."""
    document = json.loads((FOLDER / "river-completer.json").read_text())
    document["panels"][0]["options"]["graphMode"] = "sideways"
    assert any("graphMode" in error for error in errors(version, document))
    document["panels"][6]["fieldConfig"]["overrides"][0]["properties"][0]["id"] = "custom.nothing"
    assert any("custom.nothing" in error for error in override_errors(version, document))


def test_every_selector_names_a_metric_and_labels_that_there_are() -> None:
    """A metric that the exporter doesn't export, or a label it doesn't have, would make an empty panel."""
    known = series()
    wrong = []
    for name, ask, selection in each_selection():
        if selection.metric not in known:
            wrong.append(f"{name}: {ask.where}: no metric {selection.metric}")
            continue
        labels = known[selection.metric][1] | TARGET_LABELS
        asked = {label for label, _, _ in selection.matchers}
        asked |= {label for call in selection.calls if call.name != "topk" for label in call.by} - {"version", "drawn"}
        wrong += [f"{name}: {ask.where}: {selection.metric} has no label {label}" for label in asked - labels]
    assert wrong == []


def test_every_selector_is_narrowed_to_the_target() -> None:
    """Two installations in one Prometheus are not mixed up once a namespace or a job is chosen."""
    free = [
        f"{name}: {ask.where}: {selection.metric}"
        for name, ask, selection in each_selection()
        if not ask.where.startswith("variable")
        and not {"cluster", "namespace", *({"job"} if has_job(selection.metric) else ())}
        <= {label for label, _, _ in selection.matchers}
    ]
    assert free == []


def has_job(metric: str) -> bool:
    """Whether series of a metric have the label `job`: alerts have none, and what the alerts' rules record neither."""
    return metric != "ALERTS" and "job" in recorded().get(metric, {"job"})


def test_rates_are_of_counters_and_trends_of_gauges() -> None:
    """rate() of a gauge is nonsense, and so is the trend of a counter."""
    rates = {"rate", "increase", "irate", "resets"}
    trends = {"deriv", "delta", "predict_linear", "max_over_time", "avg_over_time"}
    known = series()
    wrong = []
    for name, ask, selection in each_selection():
        innermost = selection.calls[-1].name if selection.calls else ""
        kind = known.get(selection.metric, (None, set()))[0]
        if (innermost in rates) != (kind is Kind.COUNTER) or (innermost in trends and kind is not Kind.GAUGE):
            wrong.append(f"{name}: {ask.where}: {innermost}({selection.metric}), a {kind}")
    assert wrong == []


def test_two_exporters_double_nothing() -> None:
    """What every exporter may say of one database is taken once, by all its labels, before anything is added up."""
    adding = {"sum", "count", "avg", "stddev"}
    once = {"max", "min"}
    wrong = []
    for name, ask, selection in each_selection():
        metric = declared(selection.metric)
        if metric not in shared() or selection.metric == "river_exporter_is_leader":
            continue
        aggregations = [call for call in selection.calls if call.name in adding | once]
        if not aggregations and not ask.where.startswith("variable"):
            wrong.append(f"{name}: {ask.where}: {selection.metric} is not aggregated")
            continue
        if any(call.name in adding for call in aggregations):
            inner, labels = aggregations[-1], series()[selection.metric][1] - {"job"}  # two jobs may say the same
            if inner.name in adding and {"job", "instance"} <= set(inner.by):  # what one exporter says, added up
                inner, labels = aggregations[-2], labels & set(inner.by)
            missing = labels - selection.pinned - set(inner.by)
            if inner.name not in once or missing:
                wrong.append(f"{name}: {ask.where}: {selection.metric} is added up without {sorted(missing)}")
    assert wrong == []


def test_every_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    """What nobody looks at need not be exported; an exception has its reason."""
    seen = {declared(selection.metric) for _, _, selection in each_selection()}
    rules = yaml.safe_load((CONFIG / "alerts.yaml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        names = re.findall(r"\b[a-z_]+_[a-z_]+\b", rule["expr"])
        seen |= {declared(name) for name in names}
    assert sorted(set(metrics()) - seen - set(NOT_SHOWN)) == []
    assert sorted(set(NOT_SHOWN) & seen) == [], "shown after all"


def test_every_panel_explains_itself() -> None:
    """A description, a unit of the house, and a text for when there is nothing."""
    for name, panel in each_panel():
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), f"{name}: {panel['title']}"
        assert defaults["unit"] in style.UNITS, f"{name}: {panel['title']}"
        assert defaults["noValue"], f"{name}: {panel['title']}"


def test_a_panel_of_recorded_series_says_what_it_needs_and_has_a_recording_in_each_step() -> None:
    """Without the rules it is empty and names the file; its steps are no shorter than the rules' interval."""
    intervals = {
        rule.record: seconds(group.interval or "15s")
        for group in load().groups
        for rule in group.rules
        if isinstance(rule, Record)
    }
    asking = [
        (name, panel, selection.metric)
        for name, panel in each_panel()
        for target in panel["targets"]
        for selection in selections(target["expr"])
        if selection.metric in intervals
    ]
    assert {intervals[metric] for _, _, metric in asking} == {10, 15, 120}
    for name, panel, metric in asking:
        empty = panel["fieldConfig"]["defaults"]["noValue"]
        assert "config/alerts.yaml" in empty or empty in CONDITIONAL, f"{name}: {panel['title']}"
        assert seconds(panel.get("interval", "15s")) >= intervals[metric], f"{name}: {panel['title']}"


def test_titles_are_unique() -> None:
    """Whoever names a panel of a dashboard means one."""
    for name, document in DOCUMENTS.items():
        titles = [panel["title"] for panel in panels(document)]
        assert sorted(titles) == sorted(set(titles)), name


def test_a_name_has_one_colour_on_all_dashboards() -> None:
    """A cause, a blocker or a source that has a colour has it everywhere."""
    colours: dict[str, set[str]] = {}
    for _, panel in each_panel():
        for override in panel["fieldConfig"]["overrides"]:
            for item in override["properties"]:
                if item["id"] == "color":
                    colours.setdefault(override["matcher"]["options"], set()).add(item["value"]["fixedColor"])
    causes = {name: {colour} for name, colour in style.CAUSES.items()}
    assert {name: colours[name] for name in causes} == causes
    several = {name for name, found in colours.items() if len(found) > 1}
    assert several == set()


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_causes_and_severities_are_told_apart_by_everybody(deficiency: str) -> None:
    """Also with a colour-vision deficiency, pairwise; 10 is a difference that is seen at a glance."""
    for palette in (style.CAUSES, style.SEVERITIES):
        names = list(palette)
        close = {
            (one, other): round(difference(palette[one], palette[other], deficiency), 1)
            for place, one in enumerate(names)
            for other in names[place + 1 :]
            if difference(palette[one], palette[other], deficiency) < 10
        }
        assert close == {}


@pytest.mark.parametrize("ground", ["#181B1F", "#FFFFFF"])
def test_colours_are_seen_on_grafanas_dark_and_light_ground(ground: str) -> None:
    """Areas of at least 1.9 to 1 stand out; words beside them say the same."""
    for palette in (style.CAUSES, style.SEVERITIES, style.BLOCKERS, style.JOB_STATES, style.SOURCES):
        faint = {name: contrast(colour, ground) for name, colour in palette.items() if contrast(colour, ground) < 1.9}
        assert faint == {}


def test_the_completers_story_fits_one_screen() -> None:
    """What answers the first questions is seen without scrolling, and nothing overlaps anywhere."""
    document = DOCUMENTS["river-completer"]
    first = [panel["title"] for panel in panels(document) if _end(panel) <= SCREEN]
    for title in (
        "Completions",
        "State of completions over time",
        "Share of the timeout",
        "Time to first timeout",
        "Dominant cause",
        "Above the warning threshold for",
        "Timeouts in this window",
        "Slowest attempt by cause",
        "Alerts firing",
        "Dominant cause over time",
        "Completion lag",
        "Attempt age and time since last completion",
        "Failed and slow attempts",
        "Backlog and orphaned jobs",
    ):
        assert title in first
    for name, each in DOCUMENTS.items():
        taken: set[tuple[int, int]] = set()
        for panel in each["panels"]:
            _take(name, panel, taken)
            opened: set[tuple[int, int]] = set()
            for inside in panel.get("panels", []):
                assert inside["gridPos"]["y"] > panel["gridPos"]["y"], f"{name}: {inside['title']} above its row"
                _take(name, inside, opened)


def _take(name: str, panel: dict[str, Any], taken: set[tuple[int, int]]) -> None:
    """Add a panel's cells to those taken, which must be free."""
    place = panel["gridPos"]
    cells = {(x, y) for x in _span(place, "x", "w") for y in _span(place, "y", "h")}
    assert not cells & taken, f"{name}: {panel['title']} overlaps"
    assert place["x"] + place["w"] <= 24
    taken |= cells


def test_the_database_dashboard_opens_with_few_panels() -> None:
    """At most 20 are open; the rest waits in collapsed rows, which Grafana asks nothing for until they are opened."""
    document = DOCUMENTS["river-database"]
    assert len([panel for panel in document["panels"] if panel["type"] != "row"]) <= 20
    rows = {panel["title"]: panel for panel in document["panels"] if panel["type"] == "row"}
    assert {title for title, row in rows.items() if row["collapsed"]} >= {"River's job table", "Vacuum", "Storage"}
    for row in rows.values():
        assert bool(row["panels"]) == row["collapsed"], row["title"]


@pytest.mark.parametrize("days", [0.04, 1, 15])
def test_rates_of_one_dashboard_have_one_window(days: float) -> None:
    """The same counter shows the same rate in two panels, however wide they are and however far one looks back."""
    window = Window(0, days * 86400)
    found: dict[str, set[str]] = {}
    for name, panel in each_panel():
        for ask in panel_asks(panel):
            if "$__rate_interval" in ask.expr:
                found.setdefault(name, set()).add(window.macros(ask.points, ask.least)["__rate_interval"])
    assert set(found) == set(DOCUMENTS)
    assert {name: windows for name, windows in found.items() if len(windows) > 1} == {}


def test_a_logarithmic_axis_has_gaps_where_there_is_nothing() -> None:
    """It has no 0: a value of 0 would plunge to the bottom."""
    found = 0
    for name, panel in each_panel():
        scale = panel["fieldConfig"]["defaults"].get("custom", {}).get("scaleDistribution", {}).get("type")
        if panel["type"] == "timeseries" and scale == "log":
            assert not panel["fieldConfig"]["defaults"]["custom"]["spanNulls"]
            assert all(target["expr"].endswith(") > 0") for target in panel["targets"]), f"{name}: {panel['title']}"
            found += 1
    assert found > 5


def test_healthy_numbers_are_quiet_and_trouble_is_loud() -> None:
    """A number has no fill until a threshold is passed or a word stands for trouble."""
    fills = set()
    for name, panel in each_panel():
        if panel["type"] != "stat" or panel["options"]["colorMode"] == "none":
            continue
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["options"]["colorMode"] == "background_solid"
        assert defaults["thresholds"]["steps"][0]["color"] == style.NO_FILL, f"{name}: {panel['title']}"
        colours = {step["color"] for step in defaults["thresholds"]["steps"]}
        colours |= {word["color"] for mapping in defaults.get("mappings", []) for word in mapping["options"].values()}
        assert style.GOOD not in colours, f"{name}: {panel['title']}"
        fills |= colours
    assert fills == {style.NO_FILL, style.WARNING, style.CRITICAL}


def test_alerts_firing_are_listed_with_their_runbooks() -> None:
    """A click on an alert opens what to do."""
    (panel,) = (panel for name, panel in each_panel() if panel["title"] == "Alerts firing")
    (override,) = panel["fieldConfig"]["overrides"]
    assert override["matcher"]["options"] in panel["transformations"][0]["options"]["renameByName"].values()
    ((link,),) = (item["value"] for item in override["properties"] if item["id"] == "links")
    assert link["url"] == f"{RUNBOOKS}/${{__value.raw}}.md"


def test_the_rules_of_grafanas_dashboard_linter_hold() -> None:
    """Those of grafana/dashboard-linter's docs/index.md, by their names there.

    Its rules on `instance` hold only where an exporter has series of its own: one about the database is the same from
    each.
    """
    for name, document in DOCUMENTS.items():
        assert document["editable"] is False, f"uneditable-dashboard: {name}"
        variables = {each["name"]: each for each in document["templating"]["list"]}
        source = variables["datasource"]
        assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source"), (
            f"template-datasource-rule: {name}"
        )
        for label in {"job", "instance"} & set(variables):
            each = variables[label]
            assert each["datasource"]["uid"] == "${datasource}", f"template-{label}-rule: {name}"
            assert (each["type"], each["label"], each["multi"], each["allValue"]) == (
                "query", label.capitalize(), True, ".+"
            ), f"template-{label}-rule: {name}"  # fmt: skip
        assert all(each["refresh"] == 2 for each in variables.values() if each["type"] == "query"), (
            f"template-on-time-change-reload-rule: {name}"
        )
        for panel in panels(document):
            where = f"{name}: {panel['title']}"
            assert panel["datasource"]["uid"] == "${datasource}", f"panel-datasource-rule: {where}"
            assert panel["title"], f"panel-title-description-rule: {where}"
            assert panel["description"], f"panel-title-description-rule: {where}"
            assert panel["fieldConfig"]["defaults"]["unit"], f"panel-units-rule: {where}"
            assert panel["targets"], f"panel-no-targets-rule: {where}"
            for target in panel["targets"]:
                for ranged in re.findall(r"\brate\([^\[]*\[([^\]]+)\]", target["expr"]):
                    assert ranged == "$__rate_interval", f"target-rate-interval-rule: {where}"
                for selection in selections(target["expr"]):
                    matchers = {label: (operator, value) for label, operator, value in selection.matchers}
                    if has_job(selection.metric):
                        assert matchers["job"] == ("=~", "$job"), f"target-job-rule: {where}"
                    if "instance" in matchers:
                        assert matchers["instance"] == ("=~", "$instance"), f"target-instance-rule: {where}"


def test_variables_are_used_and_those_used_are_there() -> None:
    """None without effect, and none that Grafana would leave as it stands."""
    builtin = {
        "__rate_interval",
        "__range",
        "__range_s",
        "__interval",
        "__url_time_range",
        "__all_variables",
        "__value",
    }
    for name, document in DOCUMENTS.items():
        text = json.dumps({key: document[key] for key in ("panels", "templating", "annotations")})
        used = set(re.findall(r"\$\{?([a-z_]\w*)\}?", text)) - {"__all"}
        there = {variable["name"] for variable in document["templating"]["list"]}
        assert used - builtin == there, name


def test_links_carry_window_and_variables_to_dashboards_that_there_are() -> None:
    """A click keeps what one looks at."""
    targets = set()
    for name, panel in each_panel():
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            match = re.fullmatch(r"/d/([\w-]+)\?\$\{__url_time_range\}&\$\{__all_variables\}", link["url"])
            assert match is not None, f"{name}: {panel['title']}: {link['url']}"
            targets.add(match[1])
    assert targets
    assert targets <= set(UIDS.values())
    for document in DOCUMENTS.values():
        assert all(link["keepTime"] and link["includeVars"] for link in document["links"])


def test_plain_grafana_is_provisioned_with_what_there_is() -> None:
    """The files say what Grafana's manual has ("Provision Grafana"); rates fit config/prometheus.yaml's scrapes."""
    folder = FOLDER / "provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards" / "river.yaml").read_text())["providers"]
    known = {"name", "orgId", "folder", "folderUid", "type", "allowUiUpdates", "disableDeletion"}
    assert set(provider) <= known | {"updateIntervalSeconds", "options"}
    assert provider["type"] == "file"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    scraped = yaml.safe_load((CONFIG / "prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def _end(panel: dict[str, Any]) -> int:
    return int(panel["gridPos"]["y"] + panel["gridPos"]["h"])


def _span(place: dict[str, int], start: str, length: str) -> range:
    return range(place[start], place[start] + place[length])
