"""What doctor reports: findings, each of a check with a stable name that runbooks refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "warning", "problem"]

STATUSES: tuple[Status, ...] = ("ok", "note", "warning", "problem")
"""From good to bad. A note is worth knowing, a warning will hurt, a problem hurts now."""

EXIT_CODES = {"ok": 0, "note": 0, "warning": 1, "problem": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        check: the stable name of the check.
        summary: one sentence without a full stop, with the numbers.
        evidence: what was seen, a line each.
        why: why it matters for the completer.
        remedy: what to do and what it costs, in words; empty when there is nothing to do.
        schema: of the River it is about; None for what concerns the server, the network or the exporter.
        sql: the statements that do it, ready to copy; empty where it is not done in SQL.
        examined: whether there was anything to judge by; what was not examined is never ok.
    """

    check: str
    status: Status
    summary: str
    evidence: tuple[str, ...] = ()
    why: str = ""
    remedy: str = ""
    schema: str | None = None
    sql: str = ""
    examined: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """A check's declaration; its methods make findings of it.

    Attributes:
        name: stable, in kebab case.
        looks_at: what it looks at and how it judges, for the documentation.
        why: why that matters for the completer.
    """

    name: str
    looks_at: str
    why: str

    def ok(self, summary: str, *evidence: str) -> Finding:
        """All is well."""
        return Finding(self.name, "ok", summary, evidence, self.why)

    def note(self, summary: str, *evidence: str, remedy: str = "", sql: str = "") -> Finding:
        """Worth knowing; nothing is wrong."""
        return Finding(self.name, "note", summary, evidence, self.why, remedy, sql=sql)

    def warning(self, summary: str, *evidence: str, remedy: str, sql: str = "") -> Finding:
        """It will hurt, or hurts already a little."""
        return Finding(self.name, "warning", summary, evidence, self.why, remedy, sql=sql)

    def problem(self, summary: str, *evidence: str, remedy: str, sql: str = "") -> Finding:
        """It hurts now."""
        return Finding(self.name, "problem", summary, evidence, self.why, remedy, sql=sql)

    def not_examined(self, reason: str, *, remedy: str = "", sql: str = "") -> Finding:
        """It could not be judged: a note, which is neither ok nor a fault of River's."""
        return Finding(
            self.name, "note", f"not examined: {reason}", why=self.why, remedy=remedy, sql=sql, examined=False
        )

    def graded(
        self, value: float, warning: float, problem: float, summary: str, *evidence: str, remedy: str, sql: str = ""
    ) -> Finding:
        """By a value: a warning or a problem from those limits on, else ok."""
        if value >= problem:
            return self.problem(summary, *evidence, remedy=remedy, sql=sql)
        if value >= warning:
            return self.warning(summary, *evidence, remedy=remedy, sql=sql)
        return self.ok(summary, *evidence)


def worst(findings: Iterable[Finding]) -> Status:
    """The worst status among findings; ok without any."""
    return max((finding.status for finding in findings), key=STATUSES.index, default="ok")
