"""The completer itself: how much of its timeout is used and by what, whether completions come, what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.budget import Verdict
from exporter.doctor.context import Commits, DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.rules import threshold
from exporter.humanize import count, seconds, share
from exporter.postgres.sessions import Session
from exporter.river.operations import classify

BLOCKS = threshold("RiverCompletingStatementReadsTooMuch", "floor")
"""Blocks per row from which a plan is bad."""

BUDGET = Check(
    "budget",
    "The worst attempt seen while doctor looked, cause by cause, against the timeout: the headroom that is left. "
    "Graded by the thresholds of the exporter's configuration.",
    "at 100 % attempts fail; after three in a row finished jobs may be lost and run again",
)
COMPLETIONS = Check(
    "completions",
    "Whether completions come, and how late: from `finalized_at` to commit, of at most 500 within the window. "
    "One that is due and not committed is a problem, as is one that is late by the timeout; a fifth of it a warning.",
    "what is finished but not completed is lost when the process dies, and runs again",
)
HISTORY = Check(
    "completing-statement",
    "The completing statement in pg_stat_statements: mean and longest time, blocks per row, and the same while doctor "
    f"looked. A mean of a tenth of the timeout, or {BLOCKS:.0f} blocks per row, is a warning; the warning share is a "
    "problem.",
    "a plan that turned bad, or a bloated table, first shows here",
)
NEXT_CHECKS: Mapping[str, str] = {
    "pool": "see pool-free, pool-acquire and pool-size",
    "network": "see network-connect, network-roundtrip and network-jitter",
    "lock": "see locks: it has the statement that ends the blocker",
    "execution": "see completing-statement, indexes, dead-rows and triggers; `--explain` shows the plan",
    "storage": "see synchronous-standby, checkpoints and storage-waits",
}
"""Where to look on, by cause."""


@dataclass(frozen=True, slots=True)
class Statements:
    """The completing statements of one schema in pg_stat_statements, added up; times in seconds."""

    calls: float = 0.0
    total: float = 0.0
    longest: float = 0.0
    rows: float = 0.0
    blocks: float = 0.0

    def since(self, before: Statements) -> Statements:
        """What was added since; the longest is unknown. After a reset all of it is."""
        if self.calls < before.calls:
            return Statements()
        return Statements(
            self.calls - before.calls,
            self.total - before.total,
            0.0,
            self.rows - before.rows,
            self.blocks - before.blocks,
        )


@dataclass(frozen=True, slots=True)
class Late:
    """Recent completions; times in seconds, None where nothing is known.

    `newest` is the latest `finalized_at` that is committed, Unix time by the worker's clock; `since` its age. `overdue`
    are running jobs that have outlasted their kind since then.
    """

    completed: int
    lag: float | None
    usual: float | None
    least: float | None
    since: float | None
    running: int
    newest: float | None
    overdue: int


@dataclass(frozen=True, slots=True)
class _Row:
    query: str
    calls: float
    total: float
    longest: float
    rows: float
    blocks: float


@dataclass(frozen=True, slots=True)
class Before:
    """What was read before the collectors ran, by schema."""

    statements: Mapping[str, Statements]
    late: Mapping[str, Late]


def look(doctor: DoctorContext) -> Before:
    """What is compared with later."""
    session, window = doctor.needed(), float(doctor.config.window)
    return Before(statements(doctor), {schema: _late(session, schema, window) for schema in doctor.schemas})


def statements(doctor: DoctorContext) -> dict[str, Statements]:
    """The completing statements by schema; empty where they are not to be seen."""
    target, session = doctor.context.target, doctor.session
    if session is None or not doctor.context.capable("pg_stat_statements"):
        return {}
    found: dict[str, Statements] = {}
    for row in session.rows(_Row, "completer_statements", {"database": target.database}, target.statements_schema):
        statement = classify(row.query)
        schema = statement.schema or target.default
        if not statement.completes or schema is None:
            continue
        sum_ = found.get(schema, Statements())
        found[schema] = Statements(
            sum_.calls + row.calls, sum_.total + row.total, max(sum_.longest, row.longest), sum_.rows + row.rows,
            sum_.blocks + row.blocks,
        )  # fmt: skip
    return found


def examine(doctor: DoctorContext) -> Iterator[tuple[str, Finding]]:
    """All checks of this group, by schema."""
    before: Before = doctor.before.get(GROUP.title) or Before({}, {})
    session, after, window = doctor.needed(), statements(doctor), float(doctor.config.window)
    for schema in doctor.schemas:
        late, seen = _late(session, schema, window), doctor.seen(schema)
        doctor.commits[schema] = Commits(
            schema in before.late and late.newest != before.late[schema].newest,
            late.since,
            late.running,
            late.overdue,
        )
        lost = doctor.lost(schema)
        yield (
            schema,
            judge_budget(seen.verdict, doctor, trouble=lost or bool(seen.condition and seen.condition.trouble)),
        )
        yield schema, judge_completions(late, doctor, lost=lost, over=doctor.completing(schema))
        known = doctor.context.capable("pg_stat_statements")
        now = after.get(schema, Statements())
        yield schema, judge_history(now, now.since(before.statements.get(schema, Statements())), doctor, known=known)


def _late(session: Session, schema: str, window: float) -> Late:
    (row,) = session.rows(Late, "completer_late", {"window": window}, schema)
    return row


def judge_budget(verdict: Verdict | None, doctor: DoctorContext, *, trouble: bool) -> Finding:
    """How much of the timeout the worst attempt used; without one that took long, trouble stays unexplained."""
    if verdict is None or not verdict.seconds:
        return BUDGET.not_examined(
            "nothing of the completer's attempts could be seen", remedy="see rights and connection"
        )
    timeout, thresholds, ratio = doctor.timeout, doctor.config.thresholds, min(verdict.ratio, 1.0)
    parts = sorted(verdict.seconds.items(), key=lambda item: -item[1])
    evidence = [f"{cause}: {seconds(value)}, by {verdict.sources.get(cause, '?')}" for cause, value in parts if value]
    leading = parts[0][0]
    text = f"the worst attempt seen in {seconds(doctor.watched)} used {share(ratio)} of its {seconds(timeout)}"
    if trouble and ratio < thresholds.warning:
        return BUDGET.not_examined(f"no attempt was seen that explains why completions stay away: {text}")
    if verdict.cause:
        text += f", most of it for {leading}: {seconds(verdict.seconds[leading])}"
    return BUDGET.graded(
        ratio, thresholds.warning, thresholds.critical, text, *evidence, remedy=NEXT_CHECKS[leading]
    )  # fmt: skip


def judge_completions(late: Late, doctor: DoctorContext, *, lost: bool, over: bool = False) -> Finding:
    """Whether completions are committed, and how late those of the window were, at most 500 of them.

    Args:
        lost: whether completions that are due are not committed.
        over: whether they are committed on time now: what was late before is then a warning at most.
    """
    timeout, window, remedy = doctor.timeout, float(doctor.config.window), "see budget for what holds them up"
    evidence = []
    if late.usual is not None and late.lag is not None:
        evidence.append(f"from finalized_at to commit: p50 {seconds(late.usual)}, max {seconds(late.lag)}")
    if late.least is not None and late.least < -0.1:
        evidence.append(f"the worker's clock is ahead of the database's by {seconds(-late.least)} at least")
    since = f"the newest completed job finished {seconds(late.since)} ago" if late.since is not None else "none before"
    running = count(late.running, "job")
    if lost:
        return COMPLETIONS.problem(
            f"no completion is committed although one is due: {since}; {running} running", *evidence, remedy=remedy
        )
    if late.completed == 0:
        return COMPLETIONS.note(f"no completion in the last {seconds(window)}; {since}; {running} running", *evidence)
    text = f"{count(late.completed, 'completion')} in the last {seconds(window)}"
    if late.lag is None:
        return COMPLETIONS.note(f"{text}; how late they were is not known", remedy="see track-commit-timestamp")
    return COMPLETIONS.graded(
        late.lag, timeout / 5, math.inf if over else timeout, f"{text}, the latest by {seconds(late.lag)}", *evidence,
        remedy=remedy,
    )  # fmt: skip


def judge_history(all_: Statements, now: Statements, doctor: DoctorContext, *, known: bool) -> Finding:
    """What the statement costs, ever since the statistics were reset and while doctor looked."""
    if not known:
        return HISTORY.note("pg_stat_statements is not to be seen", remedy="see rights")
    if not all_.calls:
        return HISTORY.note("pg_stat_statements has no completing statement yet")
    said = [_said("since the last reset", all_)]
    if now.calls:
        said.append(_said(f"in the last {seconds(doctor.watched)}", now))
    said.append(f"the longest took {seconds(all_.longest)}; one that is cancelled is not among them")
    recent = now if now.calls else all_
    mean, blocks = recent.total / recent.calls, recent.blocks / max(1.0, recent.rows)
    text = f"{seconds(mean)} a statement, {blocks:,.0f} blocks a row"
    if mean < doctor.timeout / 10 and blocks >= BLOCKS:
        return HISTORY.warning(
            f"{text}: it reads far more than the rows it completes", *said,
            remedy="see indexes and dead-rows; `--explain` shows the plan",
        )  # fmt: skip
    return HISTORY.graded(
        mean, doctor.timeout / 10, doctor.warning, text, *said, remedy="see budget for what it waits for"
    )


def _said(when: str, what: Statements) -> str:
    return (
        f"{when}: {count(what.calls, 'statement')}, {count(what.rows, 'row')}, {seconds(what.total / what.calls)} and "
        f"{what.rows / what.calls:.3g} rows each, {what.blocks / max(1.0, what.rows):,.0f} blocks a row"
    )


GROUP = Group("The completer", (BUDGET, COMPLETIONS, HISTORY), examine, before=look)
