"""The dashboards' queries on a real Prometheus with made-up data of many queues, exporters and schemas."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageColor

from dashboards import style
from dashboards.generate import FOLDER
from tests.grafana.blocks import make, record
from tests.grafana.catalogue import declared, shared
from tests.grafana.promql import selections
from tests.grafana.synthetic import Site, write
from tests.preview.fill import Api, Ask, Window, asks, named, panel_asks, panels
from tests.preview.look import THEMES
from tests.preview.preview import draw_all
from tests.testbed.prometheus import Prometheus

SITES = (
    Site("one", exporters=1, speakers=1),
    Site("two", exporters=2, speakers=2),
    Site("many", exporters=25, speakers=2, queues=50, schemas=2),
)
SPAN, STEP = 1800, 15
DOCUMENTS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}


@pytest.fixture(scope="module")
def window() -> Window:
    """Half an hour that has just ended."""
    end = int(time.time()) // STEP * STEP - 60
    return Window(end - SPAN, end, STEP)


@pytest.fixture(scope="module")
def api(window: Window) -> Iterator[Api]:
    """A Prometheus that has the made-up data, and what the rules say about it."""
    server = Prometheus()
    text, begin, end = server.folder / "made-up.txt", int(window.start) - 600, int(window.end) + 1
    write(text, SITES, range(begin, end, STEP))
    make(text, server.folder / "data")
    with server:
        record(server, begin, end)
        yield Api(server.url)


def test_every_query_is_accepted_and_finds_the_made_up_data(api: Api, window: Window) -> None:
    """Where every series is there, only what filters by value may find nothing."""
    empty = []
    for name, document in DOCUMENTS.items():
        for ask in asks(document):
            found = api.ask(ask, window, {"job": "many"})
            if not found and not any(sign in ask.expr for sign in (" == ", " > ", " < ")):
                empty.append(f"{name}: {ask.where}: {ask.expr}")
    assert empty == []


def test_no_panel_draws_more_series_than_can_be_read(api: Api, window: Window) -> None:
    """With 50 queues, 25 exporters and two schemas; a heatmap's series are its rows, and a table scrolls."""
    drawn = {}
    for name, document in DOCUMENTS.items():
        for panel in panels(document):
            if panel["type"] in ("heatmap", "table"):
                continue
            only = {**document, "panels": [panel], "templating": {"list": []}, "annotations": {"list": []}}
            found = [series for ask in asks(only) for series in api.ask(ask, window, {"job": "many"})]
            drawn[f"{name}: {panel['title']}"] = len(found)
    assert {panel: number for panel, number in drawn.items() if number > style.SERIES_LIMIT} == {}
    assert max(drawn.values()) > 10, "the data has more queues and exporters than a panel draws"


def test_two_exporters_show_what_one_shows(api: Api, window: Window) -> None:
    """The same database seen by two exporters gives the same values, never twice as much."""
    compared = 0
    for name, document in DOCUMENTS.items():
        for ask in asks(document):
            if not _database_wide(ask):
                continue
            one = _values(api, ask, window, "one")
            assert one == _values(api, ask, window, "two"), f"{name}: {ask.where}: {ask.expr}"
            compared += 1
    assert compared > 50


def test_the_rest_of_the_queues_is_one_series(api: Api, window: Window) -> None:
    """Ten by name and the others together, which make the total."""
    panel = next(each for each in panels(DOCUMENTS["river-queues"]) if each["title"] == "Jobs available by queue")
    (ask,) = panel_asks(panel)
    found = {named(ask.legend, series.labels): series for series in api.ask(ask, window, {"job": "many"})}
    assert len(found) == 11
    assert "other" in found
    selector = 'river_jobs{job="many",state="available"}'
    whole = api.ask(replace(ask, expr=f"sum(max by (schema, queue) ({selector}))"), window)[0]
    summed = sum(series.points[-1][1] for series in found.values())
    assert summed == pytest.approx(whole.points[-1][1])


def test_every_dashboard_can_be_drawn(api: Api, window: Window, tmp_path: Path) -> None:
    """Every panel in its place, 1920 pixels wide, in Grafana's dark and light."""
    files = sorted(FOLDER.glob("*.json"))
    assert draw_all(files, api, window, "dark", tmp_path) == 0
    assert draw_all(files[:1], api, window, "light", tmp_path) == 0
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width == 1920
            assert len(picture.getcolors() or []) > 20, "more than an empty frame"
            theme = THEMES["light" if path.stem.endswith("-light") else "dark"]
            counted = picture.convert("RGB").getcolors(1 << 24) or []
            _, most = max(counted, key=lambda pair: pair[0])
            assert isinstance(most, tuple)
            wanted = ImageColor.getrgb(theme.panel)
            assert max(abs(one - other) for one, other in zip(most, wanted, strict=True)) <= 3, path.stem
    assert len(list(tmp_path.glob("*.png"))) == len(files) + 1


def _database_wide(ask: Ask) -> bool:
    """Whether a query asks only for what every exporter would say the same of; not how many are elected."""
    names = {declared(selection.metric) for selection in selections(ask.expr)}
    return ask.form != "series" and names <= shared() - {"river_exporter_is_leader"} and "(instance" not in ask.expr


def _values(api: Api, ask: Ask, window: Window, job: str) -> dict[str, list[tuple[float, str]]]:
    """Points by series, without the label of the job; to nine digits, as sums depend on their order."""
    found = api.ask(ask, window, {"job": job})
    return {
        str(sorted((key, value) for key, value in series.labels.items() if key != "job")): [
            (moment, f"{value:.9g}") for moment, value in series.points
        ]
        for series in found
    }
