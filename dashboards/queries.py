"""PromQL in the house's way: selectors that carry the variables, and aggregations that two exporters don't double.

Every exporter on a database may show the same database-wide series (for a moment, while leadership moves), so these are
always taken as `max by (namespace, schema, …)` before anything is summed over schemas or namespaces.
"""

from dataclasses import dataclass
from typing import Literal

PLACE = 'cluster=~"$cluster",namespace=~"$namespace"'
"""Where a River is. Both labels are empty where the scrape gives none, which the variables' `.*` matches."""

TARGET = f'{PLACE},job=~"$job"'
"""Labels that the scrape gives."""

OWN = ("namespace", "schema")
"""What makes a database-wide series one and the same, whoever exports it."""

DEFAULT_TOP = 10

RECORDED_EVERY = "2m"
"""How often the recording rules that panels ask for are evaluated: the group `river-dashboards` of the alerts' file."""


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Args:
        expr: PromQL with Grafana's variables.
        legend: the series' name; `{{label}}` is replaced by the label's value.
        form: how Grafana asks: over the range, at its end, or as rows of a table or buckets of a heatmap.
    """

    expr: str
    legend: str = ""
    form: Literal["range", "instant", "table", "heatmap"] = "range"

    @property
    def recorded_seldom(self) -> bool:
        """Whether it asks for what a rule of the group `river-dashboards` made; only these keep the label `job`."""
        return "namespace_job" in self.expr


def _selector(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join(matchers)}}}"


def server(metric: str, *matchers: str) -> str:
    """Select series about the database server or the exporter's settings, which have no schema."""
    return _selector(metric, TARGET, *matchers)


def river(metric: str, *matchers: str) -> str:
    """Select series about River in the schemas chosen."""
    return _selector(metric, TARGET, 'schema=~"$schema"', *matchers)


def pod(metric: str, *matchers: str) -> str:
    """Select series that each exporter has of its own: its pod's pool and network, itself."""
    return _selector(metric, TARGET, 'instance=~"$instance"', *matchers)


def incident(metric: str, *matchers: str) -> str:
    """Select what the rules of the alerts recorded about River, which has no job."""
    return _selector(metric, PLACE, 'schema=~"$schema"', *matchers)


def queue(metric: str, *matchers: str) -> str:
    """Select series of the queues chosen."""
    return river(metric, 'queue=~"$queue"', *matchers)


def worst(expr: str, *by: str) -> str:
    """Take the highest, by labels."""
    return f"max by ({', '.join(by)}) ({expr})" if by else f"max({expr})"


def total(expr: str, *by: str, over: tuple[str, ...] = ()) -> str:
    """Sum over schemas, databases and the labels `over` what each says once; `by` and `over` are all other labels."""
    once = worst(expr, *dict.fromkeys((*OWN, *by, *over)))
    return f"sum by ({', '.join(by)}) ({once})" if by else f"sum({once})"


def all_queues(selector: str, *by: str) -> str:
    """Sum over queues what each exporter says, and take the exporter that says most: `total` at half the cost."""
    each = f"sum by ({', '.join((*OWN, 'job', 'instance', *by))}) ({selector})"
    return f"sum by ({', '.join(by)}) ({worst(each, *OWN, *by)})"


def rate(selector: str) -> str:
    """Per second, of a counter."""
    return f"rate({selector}[$__rate_interval])"


def mean(selector: str) -> str:
    """Between two points of the picture, of what a recording rule says."""
    return f"avg_over_time({selector}[$__rate_interval])"


def increase(selector: str) -> str:
    """Over the window of the dashboard, of a counter; asked at its end."""
    return f"increase({selector}[$__range])"


def ratio(part: str, whole: str) -> str:
    """Divide; without a value where there was nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def quantile(share: float, bucket_selector: str, *by: str) -> str:
    """Estimate a quantile of a histogram that each exporter observes for itself, over the last moments, by labels."""
    return f"histogram_quantile({share:g}, sum by ({', '.join(('le', *by))}) ({rate(bucket_selector)}))"


def buckets(bucket_selector: str) -> str:
    """Observations per second by bucket, for a heatmap."""
    return total(rate(bucket_selector), "le")


def ranked(function: str, selector: str) -> str:
    """Give each series of the window one value to rank it by: of what is drawn of it, at the window's end.

    The ranking is made once, so a series is either drawn all along or not at all: a plain topk picks anew at each step
    and draws many more than it says.
    """
    return f"{function}_over_time({selector}[$__range:$__interval] @ end())"


def top(now: str, ranking: str, label: str, limit: int) -> str:
    """Draw the `limit` highest values of a label by themselves, and the sum of what is left as `other`.

    Both are by `label`, and the result by `drawn`: so `now`, which costs most, is asked for once.
    """
    chosen = f'label_replace(topk({limit}, {ranking}), "drawn", "$1", "{label}", "(.*)")'
    names = f'{chosen} or on ({label}) label_replace({ranking}, "drawn", "other", "", "")'
    return f"sum by (drawn) ({now} + on ({label}) group_left (drawn) 0 * ({names}))"


def top_gauge(selector: str, label: str, limit: int = DEFAULT_TOP, *, over: tuple[str, ...] = ()) -> str:
    """Draw a gauge's highest series of the window and the sum of the rest; see `top` and `total`."""
    return top(total(selector, label, over=over), total(ranked("max", selector), label, over=over), label, limit)


def top_mean(selector: str, label: str, limit: int = DEFAULT_TOP) -> str:
    """Draw a recorded rate's highest series of the window, and the rest; see `top` and `total`."""
    return top(total(mean(selector), label), weight(selector, label), label, limit)


def weight(selector: str, label: str) -> str:
    """How high a recorded rate was on the whole in the window, to rank by."""
    return total(ranked("avg", selector), label)


def grown(selector: str, label: str) -> str:
    """How much a counter grew in the window, to rank by."""
    return total(f"increase({selector}[$__range:$__interval] @ end())", label)


def best(now: str, ranking: str, label: str, limit: int) -> str:
    """Draw what ranks highest, without the rest, for what doesn't add up to a whole."""
    return f"{now} and on ({label}) topk({limit}, {ranking})"


def highest(now: str, selector: str, label: str, limit: int = DEFAULT_TOP) -> str:
    """Draw the series of a label that were highest in the window, without the rest; `selector` is the gauge's."""
    return best(now, worst(ranked("max", selector), label), label, limit)


def lowest(now: str, selector: str, label: str, limit: int = DEFAULT_TOP) -> str:
    """Draw the series of a label that were lowest in the window, without the rest."""
    return f"{now} and on ({label}) bottomk({limit}, min by ({label}) ({ranked('min', selector)}))"


def timeout() -> str:
    """Seconds an attempt has."""
    return worst(server("river_completer_timeout_seconds"))


def threshold(severity: str) -> str:
    """The configured share of the timeout."""
    return worst(server("river_completer_threshold_ratio", f'severity="{severity}"'))


def alerts(state: str) -> str:
    """Select our alerts in that state; they have no job."""
    return f'ALERTS{{alertname=~"River.*",alertstate="{state}",{PLACE}}}'


def used() -> str:
    """The share of the timeout that the slowest attempt took, in the schema where it is highest.

    Each exporter knows only some causes: the alerts' recording rule adds them up, here and for the alerts.
    """
    return worst(incident("namespace_schema:river_completer_budget_used:ratio"))


def lines(*, seconds: bool) -> tuple[Query, ...]:
    """The exporter's own thresholds, and the timeout, to draw what is measured against."""
    scale = f" * {timeout()}" if seconds else ""
    return (
        Query(f"{threshold('warning')}{scale}", "warning"),
        Query(f"{threshold('critical')}{scale}", "critical"),
        *([Query(timeout(), "timeout")] if seconds else []),
    )
