"""One sentence that says what is happening to a River's completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.budget import Verdict
from exporter.collectors.schema_state import Blocking
from exporter.humanize import seconds, share

STALLS = 1.0
"""Seconds from which the attempt under way is spoken of."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the sentence is made of.

    Attributes:
        verdict: the budget's last word; None when nothing is known.
        cause: what the attempt now under way waits for.
        details: whether pids and applications may be named.
        leads: whether this exporter speaks for the database.
    """

    verdict: Verdict | None
    cause: str | None
    timeout: float
    window: float
    warning: float
    critical: float
    blocking: Sequence[Blocking]
    details: bool
    leads: bool


def sentence(moment: Moment) -> tuple[str, str]:
    """The level (ok, warning, critical or unknown) and the sentence."""
    verdict = moment.verdict
    if verdict is None:
        return "unknown", "Nothing is known of completions yet."
    ratio, stall = verdict.ratio, verdict.stall or 0.0
    level = "critical" if ratio >= moment.critical else "warning" if ratio >= moment.warning else "ok"
    if stall >= STALLS:
        return level, _now(moment, stall)
    scope = (
        "" if moment.leads else " Another exporter speaks for the database; this one sees its own pod's connections."
    )
    worst = (
        f"the worst attempt of the last {seconds(moment.window)} used {share(ratio)} of its {seconds(moment.timeout)}"
    )
    if level == "ok":
        return level, f"Completions are on time: {worst}.{scope}"
    cause = largest(verdict)
    return level, (
        f"Completions are on time again: {worst}, "
        f"{seconds(verdict.seconds.get(cause, 0.0))} of it {_WORDS[cause]}.{scope}"
    )


def largest(verdict: Verdict) -> str:
    """The cause that took most of the worst attempt; the metric's changes only after some seconds, not to flicker."""
    return max(verdict.seconds, key=lambda each: verdict.seconds[each])


_WORDS = {
    "pool": "waiting for a connection",
    "network": "on the network",
    "lock": "waiting for a lock",
    "execution": "executing",
    "storage": "waiting for storage",
}


def _now(moment: Moment, stall: float) -> str:
    if moment.cause == "lock":
        return _lock(moment, stall)
    return {
        "pool": f"Completions have waited {seconds(stall)} for a connection.",
        "network": f"There has been no answer through River's address for {seconds(stall)}.",
        "execution": f"A completing statement has been running for {seconds(stall)}.",
        "storage": f"A completion has waited {seconds(stall)} for the disk or a standby.",
    }.get(moment.cause or "", f"A completion has been under way for {seconds(stall)}.")


def _lock(moment: Moment, stall: float) -> str:
    behind = max(moment.blocking, key=lambda each: each.seconds, default=None)
    if behind is None:
        return f"Completions have waited {seconds(stall)} for a lock."
    kind = "a lock on the table" if behind.lock.startswith("relation") else "a row lock"
    who = f"a session ({behind.blocker.replace('_', ' ')})"
    if behind.blocker == "prepared_transaction":
        who = "a prepared transaction"
    elif moment.details:
        who = f"pid {behind.blocker_pid} ({behind.application or 'no application name'})"
    state = f", {behind.state} for {seconds(behind.since_seconds)}" if behind.state else ""
    return f"Completions have waited {seconds(stall)} for {kind} held by {who}{state}."
