"""The status page says what is happening, in words, numbers and two pictures, whatever names there are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from dashboards import style
from exporter.budget import CAUSES, Verdict
from exporter.budget.evidence import Blocking
from exporter.budget.history import SLOTS, History
from exporter.budget.state import CompleterState, Condition
from exporter.status.html import page, script
from exporter.status.sentence import Moment, sentence
from exporter.status.view import (
    CapabilityView,
    CollectorView,
    PoolView,
    QueueView,
    RiverView,
    View,
    as_data,
)

BLOCKED = Blocking(
    812, "JobSetStateIfRunningMany", 4.2, "transactionid/ShareLock", 977, "idle_in_transaction", "psql",
    "idle in transaction", 38.0, 1,
)  # fmt: skip


def a_river(**values: Any) -> RiverView:
    """A River in the middle of an incident, but for what is given."""
    quiet, slow = (0.0, 0.002, 0.0, 0.05, 0.01), (0.0, 0.002, 1.6, 0.3, 0.2)
    history = (None,) * 20 + (quiet,) * 60 + (slow,) * 20 + (quiet,) * 70 + ((0.0, 0.002, 6.4, 0.3, 0.2),) * 10
    usual: dict[str, Any] = {
        "schema": "public", "leads": True, "level": "critical", "text": "Completions wait.", "state": "slow",
        "silence": 4.2, "ratio": 0.69,
        "cause": "lock", "seconds": {"pool": 0.0, "network": 0.002, "lock": 6.4, "execution": 0.3, "storage": 0.2},
        "sources": {"pool": "pgxpool", "network": "probe", "lock": "sessions", "execution": "sessions",
                    "storage": "sessions"},
        "stall": 4.2, "timeouts": {"lock": 2}, "history": history, "sessions": 12, "inflight": 4.2,
        "blocking": (BLOCKED,),
    }  # fmt: skip
    return RiverView(**{**usual, **values})


def a_view(**values: Any) -> View:
    """A page in the middle of an incident, but for what is given."""
    usual: dict[str, Any] = {
        "version": "1.0", "at": 1_790_000_000.0, "level": "critical", "reason": "", "ready": True,
        "text": "Completions have waited 4.2 s for a row lock held by pid 977 (psql), idle in transaction for 38 s.",
        "timeout": 10.0, "warning": 0.3, "critical": 0.5, "window": 60.0, "details": True, "pod": "river-0",
        "database": "db:5432/app", "dashboard": "https://grafana.test/d/river-completer",
        "runbook": "https://runbooks.test/RiverCompleterBudget.md", "metrics": "/metrics",
        "rivers": (a_river(),), "pools": (PoolView("pgxpool", 8, 2, 10, 0.2, None, 0.4),),
        "queues": (QueueView("public", "default", {"available": 1200, "running": 20}, 42.0, 0.0),
                   QueueView("public", "mail", {"available": 3, "running": 1}, 0.2, 300.0)),
        "more_queues": 0,
        "collectors": (CollectorView("sessions", "ok", 0.002, 0.4, ""), CollectorView("lag", "failed", 3.0, None, "no"),
                       CollectorView("pgbouncer", "idle", None, None, "")),
        "capabilities": (CapabilityView("pg_monitor", there=True, optional=False, remedy=""),
                         CapabilityView("river_queue", there=False, optional=True, remedy="run setup-sql")),
    }  # fmt: skip
    return View(**{**usual, **values})


class Reader(HTMLParser):
    """Reads a page: its text, its ids, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "rect", "line", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.outside: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        loads = ("src", "action") if tag == "a" else ("src", "href", "action")  # a link loads nothing by itself
        self.outside += [str(found[name]) for name in loads if found.get(name)]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends, the last one that began."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text, but for style and script."""
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a person reads."""
        return " ".join(self.words)


def condition(state: CompleterState, cause: str | None = None, **values: Any) -> Condition:
    """What the state machine says."""
    return Condition(**{"state": state, "cause": cause, "since": 90.0, "silence": 4.2, **values})


def moment(**values: Any) -> Moment:
    """A moment at which a completion waits for a row lock, but for what is given."""
    seconds = {"network": 0.001, "lock": 4.2}
    usual: dict[str, Any] = {
        "now": 100.0, "condition": condition(CompleterState.SLOW, "lock"),
        "verdict": Verdict(seconds, 0.42, "lock", 4.2, {}, "lock"), "timeout": 10.0, "window": 60.0,
        "blocking": (BLOCKED,), "details": True, "leads": True,
    }  # fmt: skip
    return Moment(**{**usual, **values})


def test_sentence_names_who_holds_the_lock() -> None:
    """And how long no completion has been committed."""
    assert sentence(moment()) == (
        "warning",
        (
            "Completions have waited 4.2 s for a row lock held by pid 977 (psql), idle in transaction for 38 s. "
            "None has been committed for 4.2 s."
        ),
    )


def test_sentence_hides_pids_where_details_are_off() -> None:
    """The kind of session stays."""
    text = sentence(moment(details=False))[1]
    assert "977" not in text
    assert "psql" not in text
    assert "idle in transaction" in text


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("pool", "for a connection"),
        ("network", "no answer through River's connection endpoint"),
        ("execution", "has been running"),
        ("storage", "the disk or a standby"),
        (None, "under way"),
    ],
)
def test_sentence_says_what_each_cause_means(cause: str | None, words: str) -> None:
    """With its seconds."""
    verdict = Verdict({"lock": 4.2}, 0.42, cause, 4.2, {}, cause)
    level, text = sentence(moment(verdict=verdict, blocking=()))
    assert level == "warning"
    assert words in text
    assert "4.2 s" in text


QUIET = Verdict({"lock": 0.0}, 0.01, None, 0.0, {})


@pytest.mark.parametrize(
    ("state", "cause", "level", "words"),
    [
        (CompleterState.STALLED, "storage", "critical", "Completions are stalled, waiting for storage."),
        (CompleterState.STALLED, "unknown", "critical", "for a reason that is not known"),
        (CompleterState.FAILING, "refused", "critical", "PostgreSQL refuses completions"),
        (CompleterState.UNKNOWN, None, "unknown", "none was observed to be committed yet"),
        (CompleterState.UNKNOWN, "pool", "unknown", "they were late before, waiting for a connection"),
    ],
)
def test_sentence_of_trouble_is_never_that_of_ok_though_no_attempt_is_seen(
    state: CompleterState, cause: str | None, level: str, words: str
) -> None:
    """Between two attempts, or once none is made any more."""
    said = sentence(moment(condition=condition(state, cause), verdict=QUIET))
    assert said[0] == level
    assert words in said[1]
    assert "on time" not in said[1]


def test_sentence_tells_quiet_from_over_and_from_unknown() -> None:
    """What is held from a minute ago is not happening now; a ratio is a hundred per cent at most."""
    over = Verdict({"lock": 12.0}, 1.2, "lock", 0.0, {})
    resumed = condition(CompleterState.OK, None, silence=0.0, resumed=88.0, before="lock")
    assert sentence(moment(condition=resumed, verdict=over)) == (
        "ok",
        (
            "Completions resumed 12 s ago (lock); the worst attempt of the last 60 s used 100 % of its 10 s, "
            "12 s of it waiting for a lock."
        ),
    )
    fine = condition(CompleterState.OK, None, silence=0.0)
    assert sentence(moment(condition=fine, verdict=QUIET)) == (
        "ok",
        "Completions are on time: the worst attempt of the last 60 s used 1 % of its 10 s.",
    )
    assert "Another exporter" in sentence(moment(condition=None, verdict=QUIET, leads=False))[1]
    assert sentence(moment(condition=None, verdict=None))[0] == "unknown"


def test_history_keeps_the_worst_of_each_ten_seconds_for_half_an_hour() -> None:
    """In a ring: what is older is gone, and where nobody looked nothing is made up."""
    history = History()
    for now, seconds in ((5.0, 1.0), (6.0, 3.0), (7.0, 2.0), (25.0, 0.5)):
        history.see(now, Verdict({"lock": seconds}, seconds / 10, None, 0.0, {}))
    points = list(history.points(29.0))
    assert len(points) == SLOTS
    assert points[-3:] == [(0.0, 0.0, 3.0, 0.0, 0.0), None, (0.0, 0.0, 0.5, 0.0, 0.0)]
    assert set(points[:-3]) == {None}
    late = list(history.points(29.0 + SLOTS * 10))
    assert set(late) == {None}
    history.see(5.0 + SLOTS * 10, Verdict({"pool": 1.0}, 0.1, None, 0.0, {}))
    assert list(history.points(9.0 + SLOTS * 10))[-1] == (1.0, 0.0, 0.0, 0.0, 0.0)


def test_page_is_whole_and_well_formed() -> None:
    """Every element is closed, no id stands twice, nothing is loaded from elsewhere."""
    reader = Reader(page(a_view()))
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert all(address.startswith(("/", "data:")) for address in reader.outside)
    for words in (
        "critical",
        "held by pid 977",
        "The budget of 10 s : 69 % used".replace(" :", ":"),
        "6.4 s",
        "mail",
        "pgxpool",
    ):
        assert words in reader.text


def test_details_can_be_switched_off() -> None:
    """No pid, no application, no chain."""
    view = a_view(details=False, text="x", rivers=(a_river(blocking=None),))
    text = page(view) + json.dumps(as_data(view))
    for secret in ("977", "812", "psql", "Who blocks River"):
        assert secret not in text


def test_names_from_outside_cannot_break_the_page() -> None:
    """Queues, schemas and applications may be called anything."""
    evil = "<script>alert(1)</script>&\"'"
    view = a_view(
        rivers=(
            a_river(schema=evil, blocking=(replace(BLOCKED, application=evil),)),
            a_river(),
        ),
        queues=(QueueView(evil, evil, {}, 0.0, 0.0), QueueView("public", "q", {}, 0.0, 0.0)),
        collectors=(CollectorView("lag", "failed", 1.0, None, evil),),
    )
    text = page(view)
    assert text.count("<script>") == 1
    assert Reader(text).open == []


def test_page_stays_small_with_many_queues_and_a_restless_half_hour() -> None:
    """200 queues with long names, and every ten seconds other than the one before."""
    restless = tuple(tuple((index * 7 % 13 + cause) / 10 for cause in range(5)) for index in range(SLOTS))
    queues = tuple(QueueView("public", f"{number:03d}" + "q" * 60, dict.fromkeys(("available", "running"), 1e6), 1, 1)
                   for number in range(200))  # fmt: skip
    text = page(a_view(queues=queues, more_queues=50, rivers=(a_river(history=restless),)))
    assert len(text.encode()) <= 100_000
    assert "And 50 queues more." in Reader(text).text


def test_bar_has_each_cause_as_wide_as_its_share() -> None:
    """Also when attempts took longer than the timeout: the bar is then the longer of both."""
    text = page(a_view(rivers=(a_river(seconds={"lock": 12.0, "storage": 3.0}, ratio=1.5),)))
    bar = re.search(r'<svg class="bar".*?</svg>', text)
    assert bar is not None
    widths = {
        name: float(width) for name, width in re.findall(r'class="(\w+)" x="[\d.]+" y="8" width="([\d.]+)"', bar[0])
    }
    assert widths == {"lock": 800.0, "storage": 200.0}
    assert "15 s of 10 s used: lock 12 s, storage 3 s" in bar[0]


def test_which_of_several_pools_counts_is_shown() -> None:
    """By its labels, which are a process's own words."""
    pool = PoolView("pgxpool", 8, 2, 10, 0.2, None, 0.4, "db_name=<app>")
    assert "db_name=&lt;app&gt;" in page(a_view(pools=(pool,)))


def test_nothing_known_is_said_and_drawn_as_nothing() -> None:
    """Right after the start there is no verdict, no queue, no pool."""
    river = a_river(
        level="unknown", ratio=None, cause=None, seconds={}, sources={}, history=(None,) * SLOTS, blocking=()
    )
    text = page(a_view(level="unknown", text="x", rivers=(river,), pools=(), queues=(), capabilities=()))
    assert Reader(text).open == []
    for words in ("No pool is seen", "No queue with jobs", "not known yet", "not seen from here"):
        assert words in text


def test_data_has_everything_as_json() -> None:
    """The history's points are in the order of the causes."""
    data = json.loads(json.dumps(as_data(a_view())))
    assert data["causes"] == list(CAUSES)
    assert data["rivers"][0]["blocking"][0]["blocker_pid"] == 977
    assert len(data["rivers"][0]["history"]) == SLOTS
    assert data["pools"][0]["free"] == 0.2


def test_causes_have_the_dashboards_colours() -> None:
    """A cause looks the same wherever it is seen; the style sheet has a copy, as dashboards/ is not installed."""
    text = page(a_view())
    for cause, colour in style.CAUSES.items():
        assert f"--{cause}:{colour.lower()}" in text


def test_script_holds_nothing_that_ends_it() -> None:
    """It stands inline, and its hash is in the page's policy."""
    assert "</" not in script()


def test_page_says_what_to_do_next_while_something_is_wrong() -> None:
    """The command, the runbook and the dashboard; nothing of it while all is well, and no pod where details are off."""
    text = page(a_view())
    assert "kubectl exec river-0 -c river-exporter -- river-exporter doctor" in text
    assert 'href="https://runbooks.test/RiverCompleterBudget.md"' in text
    assert 'href="https://grafana.test/d/river-completer"' in text
    assert "database db:5432/app" in text
    assert "Next:" not in page(a_view(level="ok", text="Completions are on time."))
    hidden = page(a_view(details=False))
    assert "river-0" not in hidden
    assert "db:5432" not in hidden


def test_a_count_that_stopped_is_shown_as_a_lower_bound() -> None:
    """Only the number that counting stopped at."""
    jobs = {"available": 6000.0, "running": 20.0}
    text = page(a_view(queues=(QueueView("public", "default", jobs, 42.0, 0.0, ("available",)),)))
    assert "≥ 6,000" in text
    assert "≥ 20" not in text
