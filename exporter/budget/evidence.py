"""What collectors tell the budget beside their metrics: plain values, replaced whole at each reading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LagSummary:
    """Completions of one schema that a reading of `lag` found newly committed.

    Attributes:
        at: monotonic seconds of the reading.
        now: Unix time of the database at the reading.
        exact: whether commits have timestamps; else a commit is known to lie between two readings.
        count: completions by the completer that were new; JobCompleteTx not among them where it can be told.
        worst_seconds: the longest lag among them, at the least where it is not exact; None without any.
        latest_finalized: `finalized_at` of the latest completion seen so far (a worker's clock), Unix time.
        latest_committed: when the latest completion seen so far was committed (the database's clock), Unix time.
    """

    at: float
    now: float
    exact: bool
    count: int
    worst_seconds: float | None
    latest_finalized: float | None
    latest_committed: float | None
