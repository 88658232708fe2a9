"""Silence: told apart from everything else that keeps completions away."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nlargest

from exporter.budget.silence import Running, Silence

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

    def at(self, now: float) -> float | None:
        """Look at second `now`."""
        until = min(now, self.stalled_from)
        ends = [(fetched + length, kind, length) for kind, fetched, length in self.jobs if fetched + length <= until]
        self.silence.completed(now, START + max(ends)[0] if ends else None, None)
        for _, kind, length in nlargest(200, ends):
            self.silence.ran(kind, length)
        if self.polls and now < self.stalled_from:
            self.silence.poll(now - 0.5 - (now - 0.5) % self.polls_each)
        if self.silence.since(now) <= 2.0:
            return 0.0
        running = [
            Running(kind, now - fetched, START + fetched)
            for kind, fetched, length in self.jobs
            if fetched <= until < fetched + length
        ]
        return self.silence.seconds(now, running, START + self.sessions_since)

    def worst(self, first: int, last: int) -> float:
        """The most silence of those seconds."""
        return max(self.at(second) or 0.0 for second in range(first, last + 1))


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
    silence.completed(0, START, None)
    silence.ran("mail", 0.25)
    assert silence.seconds(60, [Running("mail", 60, START)], None) is None


def test_a_completion_that_writes_nothing_new_is_one_all_the_same() -> None:
    """A batch of jobs to be retried moves no finalized_at; that its statement ended tells."""
    silence = Silence()
    silence.completed(0, START, None)
    silence.completed(10, START, 9.5)
    assert silence.since(10) == 0.5
    silence.completed(11, START, 9.5)
    assert silence.since(11) == 1.5


def test_the_longest_gap_of_late_is_known() -> None:
    """Between two completions, and forgotten after five seconds."""
    silence = Silence()
    for now, latest in ((0, 1.0), (4, 1.0), (5, 2.0), (6, 3.0)):
        silence.completed(now, latest, None)
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
