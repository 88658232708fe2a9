"""Silence: told apart from everything else that keeps completions away."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nlargest

import pytest

from exporter.budget.silence import AttemptTotals, Latest, Running, Silence

START = 1_700_000_000.0
"""Unix time of the simulation's beginning."""


@dataclass
class Simulation:
    """A River seen once a second, as the collector does; `jobs` are (kind, fetched, length) in seconds."""

    silence: Silence = field(default_factory=Silence)
    jobs: list[tuple[str, float, float]] = field(default_factory=list)
    sessions_since: float = 0.0
    stalled_from: float = float("inf")
    polls: bool = True
    polls_each: float = 1.0
    ended: int = 0
    workers: int | None = None
    trouble: float | None = None

    def at(self, now: float) -> float | None:
        """Look at second `now`."""
        until = min(now, self.stalled_from)
        ends = [(fetched + length, kind, length) for kind, fetched, length in self.jobs if fetched + length <= until]
        for _, kind, length in nlargest(200, ends):
            self.silence.ran(kind, length)
        totals = AttemptTotals(ended=self.ended, oldest_session=START + self.sessions_since)
        self.silence.completed(now, latest(now, max(ends)[0]) if ends else [], totals)
        if self.polls and now < self.stalled_from:
            self.silence.poll(now - 0.5 - (now - 0.5) % self.polls_each)
        if self.silence.since(now) <= 2.0 and self.trouble is None:
            return 0.0
        running = [
            Running(number, kind, now - fetched, START + fetched)
            for number, (kind, fetched, length) in enumerate(self.jobs)
            if fetched <= until < fetched + length
        ]
        return self.silence.seconds(now, running, self.workers, self.trouble)

    def worst(self, first: int, last: int) -> float:
        """The most silence of those seconds."""
        return max(self.at(second) or 0.0 for second in range(first, last + 1))


def latest(now: float, finalized: float, state: str = "completed", run: float | None = 0.25) -> list[Latest]:
    """The newest job of one final state."""
    return [Latest(state, START + finalized, now - finalized, run)]


def load(first: int, last: int, kind: str = "mail", length: float = 0.25) -> list[tuple[str, float, float]]:
    """Jobs of a kind, two a second."""
    return [(kind, first + half / 2, length) for half in range((last - first) * 2)]


def test_completions_that_come_are_no_silence() -> None:
    """The batch interval aside."""
    assert Simulation(jobs=load(0, 120)).worst(0, 119) <= 2


def test_an_empty_pool_is_a_silence_from_when_a_completion_was_due() -> None:
    """It is seen within seconds, and grows until it heals."""
    river = Simulation(jobs=load(0, 120), stalled_from=60)
    assert river.worst(0, 60) <= 2
    seconds = [river.at(second) or 0.0 for second in range(61, 91)]
    assert seconds[5:] == sorted(seconds[5:])
    assert 5 <= seconds[5] <= 7  # after six seconds: beyond the critical half of the budget
    assert 28 <= seconds[-1] <= 30
    river.stalled_from = float("inf")
    assert (river.at(92) or 0.0) <= 2


def test_a_dead_network_is_a_silence_also_without_any_poll_ever_seen() -> None:
    """River's sessions show what they last did; with nothing seen, what is due decides."""
    river = Simulation(jobs=load(0, 60), stalled_from=30, polls=False)
    river.worst(0, 30)
    assert (river.at(40) or 0.0) >= 8


def test_a_queue_that_runs_dry_is_no_silence() -> None:
    """Nothing runs, so nothing is due: absent. A paused queue looks the same."""
    river = Simulation(jobs=load(0, 60))
    assert river.worst(0, 62) <= 2
    assert [river.at(second) for second in range(64, 600)] == [None] * 536


def test_long_jobs_are_no_silence() -> None:
    """Runs of ten minutes, once River has completed one; not even when one takes somewhat longer than ever."""
    river = Simulation(jobs=[("video", 0, 600), ("video", 620, 700)])
    assert river.worst(0, 1325) <= 2


def test_jobs_of_twenty_milliseconds_beside_ten_minutes_of_the_same_kind_are_no_silence() -> None:
    """The longest run of a kind is remembered, however many short ones follow."""
    jobs = [*load(0, 700, "mixed", 0.02), ("mixed", 1, 600), ("mixed", 699, 600)]
    assert Simulation(jobs=jobs).worst(0, 1310) <= 2


def test_a_first_long_job_that_begins_as_the_short_ones_run_dry_is_no_silence() -> None:
    """Nobody has seen a long run of this kind yet; but its worker goes on fetching, so its pool is not empty."""
    river = Simulation(jobs=[*load(0, 60, "mixed", 0.02), ("mixed", 59, 600)])
    assert river.worst(0, 650) <= 2


def test_a_first_long_job_is_no_silence_where_fetches_are_rare() -> None:
    """Every worker has its job, or fetches wait to be told of new jobs: then only the leader is heard, each 5 s."""
    river = Simulation(jobs=[*load(0, 60, "mixed", 0.02), ("mixed", 59, 600)], polls_each=5.0)
    assert river.worst(0, 650) <= 2
    river = Simulation(jobs=load(0, 120), stalled_from=60, polls_each=5.0)
    assert river.worst(0, 60) <= 2
    assert 6 <= (river.at(68) or 0.0) <= 9


def test_a_kind_never_seen_to_complete_is_no_silence() -> None:
    """Nothing says how long it takes."""
    river = Simulation(jobs=[*load(0, 30), ("new", 29, 300)], polls=False)
    assert river.worst(0, 320) <= 2


def test_jobs_of_a_worker_that_was_killed_are_no_silence() -> None:
    """After a deploy its jobs still say `running`, but were fetched before any session there is began."""
    river = Simulation(jobs=[*load(0, 30), ("mail", 29.9, 100_000)], polls=False)
    river.worst(0, 30)
    river.sessions_since = 31
    assert river.worst(31, 600) <= 2


def test_a_lost_job_beside_completions_is_no_silence() -> None:
    """Its completion was due long before the last one came."""
    river = Simulation(jobs=[("mail", 5, 100_000), *load(0, 60)], polls=False)
    assert river.worst(0, 300) <= 2


def test_without_sessions_of_river_nothing_is_due() -> None:
    """All workers are gone: that is for River's own absence to say."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals())
    silence.ran("mail", 0.25)
    assert silence.seconds(60, [Running(1, "mail", 60, START)]) is None


def test_a_statement_that_ends_is_no_completion() -> None:
    """It may have been refused: committed rows alone end a silence."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals())
    silence.completed(10, latest(10, 0), AttemptTotals(ended=3))
    assert silence.since(10) == 10


def test_a_due_job_that_runs_no_longer_was_completed() -> None:
    """A batch of jobs to be retried moves no finalized_at; that they no longer run tells."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals(oldest_session=START))
    silence.ran("mail", 0.25)
    silence.poll(9)
    assert silence.seconds(10, [Running(1, "mail", 2.0, START + 8)]) is None
    assert silence.since(10) == 10
    silence.seconds(10.5, [])
    assert silence.since(10.5) == 0
    assert silence.on_time == 10.5
    silence.seconds(20, [Running(2, "mail", 9.0, START + 11)])
    silence.seconds(21, [])
    assert (silence.since(21), silence.on_time) == (0, 10.5)  # committed, but late


def test_statements_that_complete_nothing_although_one_is_due_are_refused() -> None:
    """The second one proves it; from then on a completion is due since the last commit."""
    river = Simulation(jobs=load(0, 60), stalled_from=30)
    river.worst(0, 30)
    totals = []
    for second in range(31, 41):
        river.ended = second - 30
        totals.append((river.at(second) or 0.0, river.silence.refused))
    assert totals[-1][0] == pytest.approx(10, abs=1)
    assert totals[-1][1] >= 7
    assert river.silence.is_refused
    refused = river.silence.refused
    river.stalled_from = float("inf")
    river.at(41)
    assert not bool(river.silence.is_refused)
    assert river.silence.refused == refused  # a running total


def test_statements_that_end_while_jobs_leave_are_not_refused() -> None:
    """Every job fails and is to be retried after half a minute: no row is finalized, but they stop running."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals(oldest_session=START))
    silence.ran("mail", 0.25)
    for second in range(1, 120):
        totals = AttemptTotals(ended=second, oldest_session=START)
        silence.completed(second, latest(second, 0), totals)
        silence.poll(second)
        jobs = [Running(n, "mail", second - n, START + n) for n in range(max(0, second - 30), second)]
        seconds = silence.seconds(second, jobs)
        if second > 33:  # before, none has left: the first of them fails after half a minute
            assert (seconds or 0.0) <= 1


def test_more_jobs_than_workers_fetched_since_the_last_commit_are_a_silence() -> None:
    """Some of them have ended, whatever their kind."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals(oldest_session=START))
    jobs = [Running(number, "new", 5.0, START + 5) for number in range(21)]
    assert silence.seconds(10, jobs[:20], workers=20) is None
    assert silence.seconds(10, jobs, workers=20) == 0
    assert silence.seconds(16, jobs, workers=20) == 6


def test_in_trouble_whatever_is_due_is_a_silence() -> None:
    """River sleeps between its attempts, or makes none any more: that shows nothing."""
    river = Simulation(jobs=load(0, 60), stalled_from=30)
    river.worst(0, 30)
    assert river.at(33) is None
    river.polls = True
    river.trouble = 33
    river.silence.poll(40)  # it renews its lead now and then
    assert river.at(40) == pytest.approx(7)
    river.silence.poll(330)
    assert river.at(330) == pytest.approx(297)
    assert not river.silence.idle


def test_a_late_completion_is_not_on_time() -> None:
    """A clock that is behind is reckoned with: the quickest completion tells how far."""
    silence = Silence()
    for second, age in ((0, 5.1), (10, 5.2), (20, 5.3)):
        silence.completed(second, [Latest("completed", START + second, age, 0.25)], AttemptTotals())
    assert silence.on_time == 20
    silence.completed(40, [Latest("completed", START + 30, 15.0, 0.25)], AttemptTotals())
    assert (silence.changed, silence.on_time) == (40, 20)
    silence.completed(50, [Latest("completed", START + 50, 6.0, 0.25)], AttemptTotals())
    assert silence.on_time == 50


def test_what_the_completer_did_not_write_ends_no_silence() -> None:
    """A job cancelled before it ran, and one discarded by the rescuer."""
    silence = Silence()
    silence.completed(0, latest(0, 0), AttemptTotals())
    for row in (latest(5, 5, "cancelled", None), latest(6, 6, "discarded", 3700.0)):
        silence.completed(10, [*latest(10, 0), *row], AttemptTotals())
        assert silence.since(10) == 10
    silence.completed(11, [*latest(11, 0), *latest(11, 10.9, "discarded", 2.0)], AttemptTotals())
    assert silence.since(11) == 0


def test_the_longest_gap_of_late_is_known() -> None:
    """Between two completions, and forgotten after five seconds."""
    silence = Silence()
    for now, finalized in ((0, 0.0), (4, 0.0), (5, 2.0), (6, 3.0)):
        silence.completed(now, latest(now, finalized), AttemptTotals())
    assert silence.gap(7) == 5
    assert silence.gap(10.5) == 1
    assert silence.gap(20) == 0


def test_kinds_are_remembered_up_to_a_limit() -> None:
    """Whoever makes up kinds must not fill the memory."""
    silence = Silence()
    for number in range(1000):
        silence.ran(f"kind {number}", 1.0)
    assert len(silence.longest) == 500
    silence.ran("kind 1", 2.0)
    silence.ran("kind 1", 0.1)
    assert silence.longest["kind 1"] == 2.0
