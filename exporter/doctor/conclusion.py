"""The sentence that doctor begins with: the state of completions, the cause, since when, and the one thing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.budget.state import CompleterState
from exporter.doctor.context import LOST, Commits, DoctorContext
from exporter.doctor.finding import STATUSES, Finding
from exporter.humanize import count, seconds

CHECKS_OF: Mapping[str, tuple[str, ...]] = {
    "pool": ("pool-free", "pool-size", "server-connections", "pool-acquire"),
    "network": ("network-connect", "network-roundtrip", "network-jitter", "connection"),
    "lock": ("locks", "prepared-transactions", "idle-in-transaction"),
    "refused": ("river-privileges", "read-only", "constraints", "triggers", "server"),
    "execution": ("triggers", "indexes", "dead-rows", "completing-plan", "completing-statement"),
    "storage": ("synchronous-standby", "checkpoints", "storage-waits"),
}
"""Checks that may hold the remedy, by cause: the first that found something comes first."""

SHOWS: Mapping[str, str] = {
    "locks": "lock",
    "prepared-transactions": "lock",
    "synchronous-standby": "storage",
    "pool-free": "pool",
    "network-connect": "network",
    "river-privileges": "refused",
    "read-only": "refused",
    "constraints": "refused",
    "triggers": "refused",
}
"""The cause that a check's finding shows by itself: the first that found something counts.

A trigger that raises refuses completions; one that only takes long is seen in attempts, which show the cause before.
"""

SYMPTOMS = frozenset({"budget", "completions", "completer-backlog", "leader", "queue-age", "stuck-jobs", "firing"})
"""Checks that show that completions suffer, and never why."""

SERIOUS = ("warning", "problem")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is so of one River.

    Attributes:
        state: of its completions, `unknown` where it could not be seen.
        sentence: for a person.
        leading: the finding that holds the remedy; None where nothing is to be done.
        unconfirmed: whether jobs run, or may run, without a sight of a completion: not to be taken for ok.
    """

    schema: str | None
    state: str
    cause: str | None
    sentence: str
    leading: Finding | None = None
    unconfirmed: bool = False

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": self.schema,
            "state": self.state,
            "cause": self.cause,
            "sentence": self.sentence,
            "check": self.leading.check if self.leading else None,
        }


def leading(findings: Sequence[Finding], schema: str | None, cause: str | None) -> Finding | None:
    """The finding that holds the remedy: of the cause's checks the first that found something, else the worst.

    A symptom comes first only where nothing else was found.
    """
    mine = [each for each in findings if each.status in SERIOUS and each.schema in (None, schema)]
    for check in CHECKS_OF.get(cause or "", ()):
        found = [each for each in mine if each.check == check]
        if found:
            return max(found, key=lambda each: STATUSES.index(each.status))
    return max(
        mine, key=lambda each: (each.check not in SYMPTOMS, STATUSES.index(each.status), bool(each.sql)), default=None
    )


def next_step(finding: Finding | None) -> str:
    """The one thing to do and what it costs, on one line, with the SQL where there is some."""
    if finding is None or not finding.remedy:
        return ""
    sql = f": {' '.join(finding.sql.split())}" if finding.sql else ""
    return f" Do: {' '.join(finding.remedy.split())}{sql}"


def conclude(doctor: DoctorContext, findings: Sequence[Finding]) -> tuple[Conclusion, ...]:
    """A conclusion for each River, the worst first; one without a schema where no River was found."""
    if doctor.missing():
        first = leading(findings, None, None) or next((each for each in findings if not each.examined), None)
        text = f"unknown: nothing of River was examined: {first.summary if first else doctor.missing()}."
        return (Conclusion(None, "unknown", None, text + next_step(first), first, unconfirmed=True),)
    found = [_conclude(doctor, schema, findings) for schema in doctor.schemas]
    return tuple(sorted(found, key=lambda each: -ORDER.index(each.state)))


ORDER = ("ok", "slow", "unknown", "failing", "stalled")
"""States of completions, from good to bad."""


def _conclude(doctor: DoctorContext, schema: str, findings: Sequence[Finding]) -> Conclusion:
    state, cause, detail = _state(doctor, schema)
    if state in LOST and cause in (None, "unknown"):
        cause = _cause(findings, schema)
    first = leading(findings, schema, cause)
    place = f" ({schema})" if len(doctor.schemas) > 1 else ""
    text = f"{state}{place}: {detail}"
    if cause:
        text += f", cause {cause}"
    if first:
        more = sum(each.status in SERIOUS and each is not first for each in findings)
        text += f"; {first.check}: {first.summary}" + (f", and {count(more, 'finding')} more" if more else "")
    commits = doctor.commits.get(schema)
    idle = commits is not None and commits.running == 0 and not doctor.unseen_sessions()
    return Conclusion(
        schema, state, cause, f"{text}.{next_step(first)}", first, unconfirmed=state == "unknown" and not idle
    )  # fmt: skip


def _cause(findings: Sequence[Finding], schema: str) -> str:
    """The cause that a finding shows, where completions stay away and no attempt does."""
    for check, cause in SHOWS.items():
        if any(each.check == check and each.status in SERIOUS and each.schema in (None, schema) for each in findings):
            return cause
    return "unknown"


def _state(doctor: DoctorContext, schema: str) -> tuple[str, str | None, str]:
    """The state of completions, its cause, and what shows it.

    Doctor looks for seconds only: `ok` needs a completion that was committed meanwhile, or nothing that runs.
    """
    condition, commits = doctor.seen(schema).condition, doctor.commits.get(schema)
    last = _last(commits)
    if unseen := doctor.unseen_sessions():
        return "unknown", None, f"{unseen}; {last}"
    if condition is None or commits is None:
        return "unknown", None, f"completions could not be observed; {last}"
    if condition.state is CompleterState.FAILING:
        why = "attempts time out or are refused"
        return "failing", condition.cause, f"no completion is committed, {why}; {last}"
    if doctor.lost(schema):
        return "stalled", condition.cause, f"no completion is committed although one is due; {last}"
    if condition.trouble:
        return condition.state.value, condition.cause, f"attempts to write completions are slow; {last}"
    if condition.state is CompleterState.UNKNOWN or (commits.running and not commits.seen):
        return "unknown", None, f"no completion was committed in {seconds(doctor.watched)}; {last}"
    if condition.resumed is not None:
        ago = seconds(doctor.context.clock() - condition.resumed)
        verdict = doctor.seen(schema).verdict
        worst = f", the worst attempt before took {seconds(min(verdict.ratio, 1) * doctor.timeout)}" if verdict else ""
        return "ok", None, f"completions resumed {ago} ago{worst} (cause {condition.before}); {last}"
    return "ok", None, f"completions are committed; {last}" if commits.seen else f"nothing is due; {last}"


def _last(commits: Commits | None) -> str:
    if commits is None:
        return "completed jobs could not be read"
    running = f"{count(commits.running, 'job')} running"
    if commits.since is None:
        return f"no completed job is there, {running}"
    at = (datetime.now(UTC) - timedelta(seconds=commits.since)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"the newest completed job finished {seconds(commits.since)} ago ({at}), {running}"
