"""One sentence on the state of a River's completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.budget import Verdict
from exporter.budget.evidence import Blocking
from exporter.budget.state import CompleterState, Condition
from exporter.humanize import seconds, share

SLOW = 1.0
"""Seconds from which the attempt under way is mentioned."""

LEVELS = {
    CompleterState.OK: "ok",
    CompleterState.SLOW: "warning",
    CompleterState.STALLED: "critical",
    CompleterState.FAILING: "critical",
    CompleterState.UNKNOWN: "unknown",
}

WORDS = {
    "pool": "waiting for a connection",
    "network": "on the network",
    "lock": "waiting for a lock",
    "execution": "executing",
    "storage": "waiting for storage",
    "refused": "refused by PostgreSQL",
    "unknown": "for a reason that is not known",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What the sentence is made of.

    Attributes:
        now: monotonic seconds.
        condition: the completer's state; None where another exporter reports it.
        verdict: the budget's last verdict; None when nothing is known.
        details: whether pids and applications may be named.
        leads: whether this exporter is the elected leader.
        hidden: why completions cannot be observed, with the fix; empty when they can.
    """

    now: float
    condition: Condition | None
    verdict: Verdict | None
    timeout: float
    window: float
    blocking: Sequence[Blocking]
    details: bool
    leads: bool
    hidden: str = ""


def sentence(moment: Moment) -> tuple[str, str]:
    """The level (ok, warning, critical or unknown) and the sentence."""
    condition = moment.condition
    if condition is None:
        if moment.leads or moment.verdict is None:
            return "unknown", "Nothing is known of completions yet."
        return "unknown", f"Another exporter is the elected leader; of this pod's connections: {_worst(moment)}."
    level = LEVELS[condition.state]
    if condition.state is CompleterState.UNKNOWN:
        return level, _unknown(condition, moment.hidden)
    stall = moment.verdict.stall or 0.0 if moment.verdict else 0.0
    if condition.trouble:
        return level, _trouble(moment, condition, stall)
    if stall >= SLOW:
        return level, _now(moment, stall)
    if condition.resumed is not None and moment.now - condition.resumed <= moment.window:
        cause = f" ({condition.before})" if condition.before else ""
        return level, f"Completions resumed {seconds(moment.now - condition.resumed)} ago{cause}; {_worst(moment)}."
    return level, f"Completions are on time: {_worst(moment)}."


def largest(verdict: Verdict) -> str:
    """The cause that took most of the worst attempt; the metric's changes only after some seconds, not to flicker."""
    return max(verdict.seconds, key=lambda each: verdict.seconds[each])


def _worst(moment: Moment) -> str:
    verdict = moment.verdict
    if verdict is None:
        return f"no attempt was observed in the last {seconds(moment.window)}"
    used = share(min(verdict.ratio, 1.0))
    text = f"the worst attempt of the last {seconds(moment.window)} used {used} of its {seconds(moment.timeout)}"
    if verdict.ratio < SLOW / moment.timeout:
        return text
    cause = largest(verdict)
    return f"{text}, {seconds(verdict.seconds.get(cause, 0.0))} of it {WORDS[cause]}"


def _unknown(condition: Condition, hidden: str) -> str:
    if hidden:
        return f"The state of completions is unknown: {hidden}"
    if condition.cause:
        return (
            "The state of completions is unknown, because they cannot be observed; "
            f"they were late before, {WORDS.get(condition.cause, condition.cause)}."
        )
    return "The state of completions is unknown: none was observed to be committed yet."


def _trouble(moment: Moment, condition: Condition, stall: float) -> str:
    """What happens now, then how long no completion has been committed."""
    if condition.cause == "refused":
        first = "PostgreSQL refuses completions: completing statements end and complete nothing."
    elif stall >= SLOW:
        first = _now(moment, stall)
    else:
        first = f"Completions are {condition.state.value}, {WORDS.get(condition.cause or 'unknown', 'unknown')}."
    if condition.silence:
        return f"{first} None has been committed for {seconds(condition.silence)}."
    return f"{first} It began {seconds(moment.now - condition.since)} ago."


def _now(moment: Moment, stall: float) -> str:
    cause = moment.verdict.stalled if moment.verdict else None
    if cause == "lock":
        return _lock(moment, stall)
    return {
        "pool": f"Completions have waited {seconds(stall)} for a connection.",
        "network": f"There has been no answer through River's connection endpoint for {seconds(stall)}.",
        "execution": f"A completing statement has been running for {seconds(stall)}.",
        "storage": f"A completion has waited {seconds(stall)} for the disk or a standby.",
    }.get(cause or "", f"A completion has been under way for {seconds(stall)}.")


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
