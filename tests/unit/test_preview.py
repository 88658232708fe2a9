"""The pictures of the dashboards: values written as Grafana does, variables filled, mistakes of the user explained."""

import pytest

from dashboards.units import text
from tests.preview import preview
from tests.preview.fill import Ask, Window, fill, label_values, named


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "written"),
    [
        (0.0042, "s", None, "4.2 ms"),
        (90, "s", None, "1.5 min"),
        (7200, "s", 0, "2 h"),
        (0, "s", None, "0 s"),
        (0.987, "percentunit", 0, "99%"),
        (1536, "bytes", None, "1.5 KiB"),
        (2048, "Bps", None, "2 KiB/s"),
        (12345, "short", None, "12.3 K"),
        (50, "suffix: jobs/s", None, "50 jobs/s"),
        (float("nan"), "short", None, "-"),
        (float("inf"), "s", None, "+Inf"),
    ],
)
def test_values_are_written_with_their_unit(value: float, unit: str, decimals: int | None, written: str) -> None:
    """Three digits that mean something, and the unit."""
    assert text(value, unit, decimals) == written


def test_variables_are_filled_as_grafana_does() -> None:
    """Rates are taken over four scrapes, or more where points are further apart; what isn't chosen is All."""
    ask = Ask(
        "", 'rate(x{schema=~"$schema",queue=~"$queue"}[$__rate_interval]) @ $__range_s $__range', "range", points=100
    )
    hour = Window(0, 3600, 15)
    assert fill(ask, hour, {"queue": "a|b"}) == 'rate(x{schema=~".*",queue=~"a|b"}[60000ms]) @ 3600 3600s'
    assert "[879000ms]" in fill(ask, Window(0, 86400, 15))


def test_legends_name_series() -> None:
    """By the legend's labels, or all of them."""
    assert named("{{cause}} of {{ schema }}", {"cause": "lock", "schema": "public"}) == "lock of public"
    assert named("__auto", {"__name__": "x", "a": "1"}) == "a=1"
    assert named("__auto", {}) == "value"


def test_a_variable_asks_for_the_values_of_a_label() -> None:
    """Nothing else is understood."""
    assert label_values('label_values(up{job="x"}, instance)') == ('up{job="x"}', "instance")
    with pytest.raises(ValueError, match="not label_values"):
        label_values("query_result(up)")


def test_a_dead_prometheus_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Which dashboard, and where nobody answers."""
    code = preview.main(["--prometheus", "http://127.0.0.1:9", "--window", "5m", "river-queues"])
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("river-queues: no answer of Prometheus at http://127.0.0.1:9")
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [["--window", "soon"], ["river-nothing"]])
def test_a_wrong_argument_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is instead."""
    with pytest.raises(SystemExit) as ended:
        preview.main(arguments)
    assert ended.value.code == 2
    assert "15m" in capsys.readouterr().err or arguments == ["river-nothing"]
