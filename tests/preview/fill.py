"""Reads generated dashboards as Grafana does: queries with their variables filled, asked over Prometheus' HTTP API."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import requests

Document = dict[str, Any]
"""A dashboard's JSON."""

POINTS = 1000
"""About the points that Grafana asks for where a panel doesn't say."""

SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Window:
    """What is looked at; Unix seconds.

    Args:
        scrape: seconds between two scrapes, which Grafana's data source is told.
    """

    start: float
    end: float
    scrape: float = 15.0

    def step(self, points: int = POINTS, least: float = 0) -> float:
        """Seconds between two points: so many in the window, no more than there are scrapes, and `least` if given."""
        return max(self.scrape, least, math.ceil((self.end - self.start) / points))

    def macros(self, points: int = POINTS, least: float = 0) -> dict[str, str]:
        """What Grafana fills in for its own variables; the rate's interval as its data source makes it."""
        length, step = self.end - self.start, self.step(points, least)
        return {
            "__rate_interval": f"{max(step + self.scrape, 4 * self.scrape) * 1000:.0f}ms",
            "__interval": f"{step * 1000:.0f}ms",
            "__range_s": f"{length:.0f}",
            "__range": f"{length:.0f}s",
        }


@dataclass(frozen=True)
class Ask:
    """One query of a dashboard.

    Args:
        where: the panel's title, or the variable's or annotation's name.
        form: over the range, at its end, or the series of a selector, for a variable.
        points: how many of them over the range.
        least: seconds between two of them, at least; the panel's own minimum.
    """

    where: str
    expr: str
    form: Literal["range", "instant", "series"]
    legend: str = ""
    points: int = POINTS
    least: float = 0


def panels(document: Document) -> Iterator[Document]:
    """Every panel, those of collapsed rows included, but no row."""
    for panel in document["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def panel_asks(panel: Document) -> Iterator[Ask]:
    """Every query of a panel."""
    points, least = panel.get("maxDataPoints", POINTS), seconds(panel.get("interval", "0"))
    for target in panel["targets"]:
        form: Literal["range", "instant"] = "instant" if target["instant"] else "range"
        yield Ask(panel["title"], target["expr"], form, target["legendFormat"], points, least)


def asks(document: Document) -> Iterator[Ask]:
    """Every query of every panel, variable and annotation."""
    for panel in panels(document):
        yield from panel_asks(panel)
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            selector, _label = label_values(variable["query"]["query"])
            yield Ask(f"variable {variable['name']}", selector, "series")
    for annotation in document["annotations"]["list"]:
        yield Ask(f"annotation {annotation['name']}", annotation["expr"], "range", annotation["titleFormat"])


def seconds(words: str) -> float:
    """Read a duration as `15m`; raises ValueError."""
    return float(words[:-1]) * SPANS[words[-1]] if words[-1:] in SPANS else float(words)


def label_values(query: str) -> tuple[str, str]:
    """Split `label_values(selector, label)`."""
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    if match is None:
        raise ValueError(f"not label_values(selector, label): {query}")
    return match[1], match[2]


def fill(ask: Ask, window: Window, variables: Mapping[str, str] | None = None) -> str:
    """Put values in place of a query's variables; one that isn't given is All, `.*`; `$1` is Prometheus' own."""
    known = window.macros(ask.points, ask.least) | dict(variables or {})
    return re.sub(r"\$([a-z_]\w*)", lambda match: known.get(match[1], ".*"), ask.expr)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """The name of a series, as its legend says."""
    if legend in ("", "__auto"):
        return ", ".join(f"{key}={value}" for key, value in labels.items() if key != "__name__") or "value"
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend).strip()


@dataclass
class Series:
    """A series with its points, (Unix seconds, value) each; one point of an instant query."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class QueryFailed(Exception):  # noqa: N818 - reads as what a user is told
    """Prometheus refuses a query, or isn't there."""


class Api:
    """Prometheus' HTTP API at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False

    def ask(self, ask: Ask, window: Window, variables: Mapping[str, str] | None = None) -> list[Series]:
        """Send one query as Grafana would.

        Raises:
            QueryFailed: with the query and Prometheus' reason.
        """
        expr = fill(ask, window, variables)
        if ask.form == "series":
            asked: dict[str, str | float] = {"match[]": expr, "start": window.start, "end": window.end}
            found = self._get("series", expr, **asked)
            return [Series(labels, []) for labels in found]
        if ask.form == "instant":
            data = self._get("query", expr, query=expr, time=window.end)
            return [Series(each["metric"], [_point(each["value"])]) for each in data["result"]]
        step = window.step(ask.points, ask.least)
        start, end = window.start // step * step, window.end // step * step
        data = self._get("query_range", expr, query=expr, start=start, end=end, step=step)
        return [Series(each["metric"], [_point(value) for value in each["values"]]) for each in data["result"]]

    def _get(self, path: str, expr: str, **parameters: str | float) -> Any:
        try:
            answer = self._http.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=60)
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise QueryFailed(f"no answer of Prometheus at {self._url}: {error}") from None
        if document.get("status") != "success":
            raise QueryFailed(f"{expr}: {document.get('error', answer.status_code)}")
        return document["data"]


def _point(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
