"""The benchmarks' own arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.figures import Figure, keep, quantile, shown, table, with_unit
from tests.bench.healthy import Record, chosen
from tests.bench.hour import plan
from tests.bench.precursor import Result
from tests.bench.report import verdict
from tests.bench.statements import Cost, Entry, best, costs, names, one_form
from tests.bench.usage import ProcessorTime
from tests.testbed.exporter import Metrics


def test_a_figure_keeps_its_limit_up_to_the_limit() -> None:
    """One without a limit is only shown, and what never came fails."""
    assert Figure("x", 10, "ms", 10).verdict == "pass"
    assert Figure("x", 10.1, "ms", 10).verdict == "FAIL"
    assert Figure("x", 10).verdict == ""
    assert Figure("x", math.inf, "ms", 10).verdict == "FAIL"
    assert Figure("x", math.nan, "ms", 10).verdict == "FAIL"


def test_a_quantile_is_a_value_that_was_measured() -> None:
    """The nearest rank; of nothing there is none."""
    values = [float(number) for number in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)) == (50, 99, 100)
    assert quantile([7], 0.99) == 7
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


@pytest.mark.parametrize(("value", "text"), [(0.04567, "0.046"), (4.567, "4.57"), (45, "45"), (1234.5, "1,234")])
def test_numbers_are_shown_with_the_digits_that_count(value: float, text: str) -> None:
    """A reader compares them at a glance."""
    assert shown(value) == text


def test_no_answer_is_said_in_words() -> None:
    """It is no number."""
    assert (with_unit(math.inf, "ms"), with_unit(1, "")) == ("no answer", "1")


def test_the_table_and_the_file_say_the_same(tmp_path: Path) -> None:
    """Each figure with its unit, limit and verdict."""
    figures = [Figure("a scrape", 12.5, "ms", 10, 3.25), Figure("series", 420)]
    assert "| a scrape | 12.50 ms | 10 ms | FAIL | 3.2" in " ".join(table(figures).split())
    keep(figures, tmp_path / "build" / "cost.json")
    kept = json.loads((tmp_path / "build" / "cost.json").read_text())
    assert [(each["value"], each["limit"], each["passed"]) for each in kept] == [(12.5, 10, False), (420, None, True)]


def test_a_statement_is_known_by_its_words() -> None:
    """What PostgreSQL 18 keeps of it has placeholders for constants, and a list's as one with a comment."""
    kept = "SELECT $1 from public.river_job j where j.state in ($2 /*, ... */) and extract($3 from j.x) > $4"
    ours = "-- Why\nselect 1 from {schema}.river_job j where j.state in ('a', 'it''s') and extract(epoch from j.x) > 2"
    assert one_form(kept) == one_form(ours)


def test_no_two_packaged_statements_look_alike() -> None:
    """Else one's cost would be taken for the other's."""
    assert len(names(18)) == len(set(names(18).values())) > 30


def test_costs_are_those_between_two_readings() -> None:
    """An entry that appeared counts from zero, one without calls does not count, a foreign one is `other`."""
    mine = next(text for text, name in names(18).items() if name == "jobs")
    before = {1: Entry(1, mine, 10, 100.0), 3: Entry(3, "select 3", 5, 5.0)}
    after = {1: Entry(1, mine, 14, 120.0), 2: Entry(2, mine, 1, 10.0), 3: Entry(3, "select 3", 5, 5.0)}
    assert costs(before, after, 18) == {"jobs": Cost(5, 6.0)}
    assert costs({}, {3: Entry(3, "select unknown_thing", 2, 3.0)}, 18) == {"other": Cost(2, 1.5)}


def test_the_best_window_counts_for_each_statement() -> None:
    """What others do on the same cores only adds."""
    windows = [{"a": Cost(3, 2.0), "b": Cost(1, 1.0)}, {"a": Cost(4, 1.5)}]
    assert best(windows) == {"a": Cost(4, 1.5), "b": Cost(1, 1.0)}


def test_processor_time_counts_from_the_first_look_or_from_birth() -> None:
    """A process that ended keeps what it used; one that came later counts whole."""
    spent = ProcessorTime()
    spent.look({1: 5.0, 2: 1.0})
    spent.look({1: 6.0, 3: 0.5})
    spent.look({1: 7.0})
    assert spent.total() == pytest.approx(2.0 + 0.0 + 0.5)


def _said(ratio: float, silence: float | None = None) -> Metrics:
    lines = [f'river_completer_budget_used_ratio{{schema="public"}} {ratio}']
    if silence is not None:
        lines.append(f'river_completer_silence_seconds{{schema="public"}} {silence}')
    return Metrics("\n".join(lines) + "\n")


def test_a_breach_is_recorded_once_with_what_went_on() -> None:
    """A held peak is one breach, and a higher one is another."""
    record = Record()
    for at, ratio in enumerate((0.1, 0.4, 0.4, 0.5, 0.2)):
        record.look(float(at), _said(ratio), "a burst")
    assert record.ratio == 0.5
    assert [str(each) for each in record.breaches] == [
        "1 s: ratio 0.40 () during a burst",
        "3 s: ratio 0.50 () during a burst",
    ]


def test_what_is_said_during_the_servers_own_restart_is_excused() -> None:
    """Silence for its seconds, a ratio for as long as its peak is held; not a moment longer."""
    record = Record(excused=[(100.0, 115.0)])
    record.look(110.0, _said(0.9, 9.0), "a restart")
    record.look(170.0, _said(0.9, 1.0), "a restart")
    assert record.breaches == []
    record.look(120.0, _said(0.9, 5.0), "a restart")
    record.look(176.0, _said(0.9), "a restart")
    assert [each.what[:7] for each in record.breaches] == ["silence", "ratio 0"]


def test_the_hour_is_in_order_and_can_be_cut_down() -> None:
    """Each event begins after the one before; a part of a name selects."""
    shares = [event.share for event in plan()]
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert [event.name for event in chosen(plan(), ["VACUUM"])] == ["VACUUM"]
    assert len(chosen(plan(), [])) == len(plan())


GROWING = Result("x", "lock", sudden=False, patience=600.0, cause="lock", critical=100.0, deadline=210.0, deadlines=2,
                 pages=1, paged=125.0, page_cause="lock", resolved=400.0, first_told=125.0)  # fmt: skip
SUDDEN = replace(GROWING, sudden=True, critical=6.0, deadline=10.0, paged=18.0, first_told=18.0)
CLIFF = replace(GROWING, cliff=True, critical=246.0, deadline=250.0, paged=257.0, first_told=185.0)


@pytest.mark.parametrize("fine", [GROWING, SUDDEN, CLIFF])
def test_each_kind_of_fault_is_judged_by_its_own_measure(fine: Result) -> None:
    """What grows by its lead, what is sudden by the clock, a cliff by the warning before it."""
    assert verdict(fine) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (replace(GROWING, critical=160.0), "lead 50 s"),
        (replace(GROWING, paged=160.0), "page 50.0 s before"),
        (replace(GROWING, pages=2), "2 pages"),
        (replace(GROWING, page_cause="pool"), "the page names pool"),
        (replace(GROWING, resolved=None), "did not resolve"),
        (replace(GROWING, timeouts=3.0), "3 timeouts counted"),
        (replace(GROWING, false_alarms=1), "before the fault"),
        (replace(SUDDEN, critical=8.5), "critical after 8.5"),
        (replace(SUDDEN, paged=31.0), "page after 31.0"),
        (replace(CLIFF, critical=249.0), "critical 1.0 s before"),
        (replace(CLIFF, first_told=200.0), "the first word 50.0 s before"),
        (replace(CLIFF, first_told=None), "the first word None"),
    ],
)
def test_what_is_wrong_with_a_result_is_said(found: Result, word: str) -> None:
    """Each in a few words."""
    (said,) = verdict(found)
    assert word in said
