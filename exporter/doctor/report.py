"""An examination as text, JSON or Markdown: first what is so and what to do, then the findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from exporter import __version__
from exporter.doctor.conclusion import Conclusion
from exporter.doctor.finding import EXIT_CODES, STATUSES, Finding, Status, worst

COLOURS: dict[Status, str] = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}
"""ANSI colours (ECMA-48, SGR); the word stands beside them."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What doctor found.

    Attributes:
        conclusions: of each River, the worst first; at least one.
        findings: in the order in which they were made.
        target: what was examined, in a phrase.
        time: when, UTC in ISO 8601.
        asked: checks that the command line asks for, shown also when they are ok.
    """

    conclusions: tuple[Conclusion, ...]
    findings: tuple[Finding, ...]
    target: str
    time: str
    asked: frozenset[str] = frozenset()

    @property
    def ordered(self) -> list[Finding]:
        """The finding with the remedy first, then the worst; among equals as they were found."""
        leading = self.conclusions[0].leading
        return sorted(self.findings, key=lambda each: (each is not leading, -STATUSES.index(each.status)))

    @property
    def exit_code(self) -> int:
        """0 when all is well or only noted, 1 for warnings or where no completion was seen, 2 for problems."""
        return max(EXIT_CODES[worst(self.findings)], int(any(each.unconfirmed for each in self.conclusions)))

    @property
    def several(self) -> bool:
        """Whether findings are about more than one River."""
        return len({finding.schema for finding in self.findings if finding.schema}) > 1


def totals(findings: Sequence[Finding]) -> str:
    """`2 problems, 1 warning, 3 notes, 2 not examined, 20 ok`."""
    parts = []
    for status in reversed(STATUSES):
        number = sum(finding.status == status and finding.examined for finding in findings)
        if number:
            parts.append(f"{number} {status if status == 'ok' or number == 1 else status + 's'}")
        if status == "note" and (missing := sum(not finding.examined for finding in findings)):
            parts.append(f"{missing} not examined")
    return ", ".join(parts)


def as_text(examination: Examination, *, colour: bool, verbose: bool) -> str:
    """For a terminal: the conclusion, what is wrong in full, and what is ok only as a number unless `verbose`."""
    lines = [each.sentence for each in examination.conclusions]
    lines += [f"river-exporter {__version__} doctor, {examination.time}: {examination.target}", ""]
    for finding in examination.ordered:
        if finding.examined and (finding.status != "ok" or verbose or finding.check in examination.asked):
            lines += _lines(finding, colour=colour, schema=examination.several)
    lines += _unexamined(examination.findings)
    hidden = "" if verbose else " (--verbose shows what is ok)"
    return "\n".join([*lines, "", totals(examination.findings) + hidden, ""])


def _lines(finding: Finding, *, colour: bool, schema: bool) -> Iterator[str]:
    word = f"{finding.status:<7}"
    if colour:
        word = f"\x1b[{COLOURS[finding.status]}m{word}\x1b[0m"
    place = f" ({finding.schema})" if schema and finding.schema else ""
    yield f"{word}  {finding.check}{place}: {finding.summary}"
    if finding.status == "ok":
        return
    yield from (f"           {line}" for line in finding.evidence)
    if finding.why and finding.status != "note":
        yield f"         why: {finding.why}"
    for number, line in enumerate([*finding.remedy.splitlines(), *finding.sql.splitlines()]):
        yield f"         {'     ' if number else 'do:  '}{line}"


def _unexamined(findings: Sequence[Finding]) -> Iterator[str]:
    """What was not examined: a line for each reason and its remedy."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        if not finding.examined:
            reasons.setdefault((finding.summary, finding.remedy, finding.sql), []).append(finding.check)
    for (summary, remedy, sql), checks in reasons.items():
        yield f"note     {', '.join(dict.fromkeys(checks))}: {summary}"
        for number, line in enumerate([*remedy.splitlines(), *sql.splitlines()]):
            yield f"         {'     ' if number else 'do:  '}{line}"


def as_json(examination: Examination) -> str:
    """For programs: every finding with all its fields."""
    document = {
        "version": __version__,
        "time": examination.time,
        "target": examination.target,
        "status": worst(examination.findings),
        "conclusions": [each.document() for each in examination.conclusions],
        "findings": [asdict(finding) for finding in examination.ordered],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(examination: Examination) -> str:
    """For an issue or a chat."""
    lines = ["# river-exporter doctor", ""]
    lines += [f"**{_plain(each.sentence)}**\n" for each in examination.conclusions]
    lines += [f"{_plain(examination.target)}, {examination.time}, river-exporter {__version__}", ""]
    lines += [totals(examination.findings), ""]
    for finding in examination.ordered:
        place = f" ({finding.schema})" if finding.schema else ""
        if finding.status == "ok":
            lines.append(f"- **ok** `{finding.check}`{place}: {_plain(finding.summary)}")
            continue
        lines += ["", f"## {finding.status}: `{finding.check}`{place}", "", _plain(finding.summary), ""]
        lines += [f"- {_plain(line)}" for line in finding.evidence]
        lines += ["", f"*Why:* {finding.why}", ""] if finding.why else [""]
        if finding.remedy:
            lines += [f"*Do:* {_plain(finding.remedy)}"]
        if finding.sql:
            lines += ["", "```sql", finding.sql, "```"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return "".join(f"\\{char}" if char in r"\`*_[]<>#|" else char for char in text)
