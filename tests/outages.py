"""Follows an exporter through an outage of a real River: what it reports second by second, and what must hold."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psycopg

from tests.conftest import Database, StartRiver
from tests.testbed.exporter import Exporter, Metrics
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for

STATES = ("ok", "slow", "stalled", "failing", "unknown")


@dataclass
class Story:
    """What the exporter reported, second by second of one phase."""

    states: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def add(self, metrics: Metrics) -> None:
        """Take one scrape."""
        (state,) = [each for each in STATES if metrics.total("river_completer_state", state=each) == 1]
        self.states.append(state)
        self.causes.append(",".join(each.labels["cause"] for each in metrics.samples("river_completer_cause")))
        self.silences.append(metrics.most("river_completer_silence_seconds") or 0.0)
        self.ratios.append(metrics.most("river_completer_budget_used_ratio") or 0.0)


def follow(exporter: Exporter, seconds: float) -> Story:
    """Scrape once a second for so long."""
    story, ends = Story(), time.monotonic() + seconds
    while time.monotonic() < ends:
        story.add(exporter.metrics())
        time.sleep(1)
    return story


def completed(admin: psycopg.Connection, fault: str = "") -> int:
    """How many jobs are completed; 0 where a lock keeps everybody from counting."""
    if fault == "table-lock":
        return 0
    row = admin.execute("SELECT count(*) FROM river_job WHERE state = 'completed'").fetchone()
    assert row is not None
    return int(row[0])


def is_ok(exporter: Exporter) -> bool:
    """Whether the exporter says so."""
    return exporter.metrics().total("river_completer_state", state="ok") == 1


def no_completion_no_ok(database: Database, river: StartRiver, fault: str) -> None:
    """For 35 s nothing is completed: from the 15th on never `ok`, the cause right; `ok` again with completions."""
    worker = river(rate=50, job_seconds=0.25, workers=20, pool=10)
    with Exporter(database.exporter_url) as exporter, database.connect() as admin:
        admin.execute("SET synchronous_commit = off")
        wait_for(lambda: is_ok(exporter), 30, "a healthy River to be ok")
        with FAULTS[fault](Environment(database.superuser_url, worker), 3600):
            story = follow(exporter, 15)
            before = completed(admin, fault)
            story = follow(exporter, 20)
            during = completed(admin, fault) - before
        lifted = time.monotonic()
        assert "ok" not in story.states, story
        assert "unknown" not in story.states
        assert set(story.causes) == {FAULTS[fault].cause}, story
        if fault != "sync-standby":  # there a cancelled commit is durable all the same
            assert during == 0
        if fault == "table-lock":  # the exporter cannot read the table either: when the last commit was is not known
            assert max(story.silences) < 15
        elif fault != "sync-standby":
            assert max(story.silences) > 25
        wait_for(lambda: is_ok(exporter), 40, "completions to be on time again")
        assert completed(admin) > before
        assert time.monotonic() - lifted < 40
