"""Findings as text, JSON or Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from exporter import __version__
from exporter.doctor.finding import STATUSES, Finding, Status, worst

COLOURS: dict[Status, str] = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}
"""ANSI colours (ECMA-48, SGR); the word stands beside them."""


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first; among equals as they were found."""
    return sorted(findings, key=lambda finding: -STATUSES.index(finding.status))


def totals(findings: Sequence[Finding]) -> str:
    """`2 problems, 1 warning, 3 notes, 20 ok`."""
    parts = []
    for status in reversed(STATUSES):
        number = sum(finding.status == status for finding in findings)
        if number:
            parts.append(f"{number} {status if status == 'ok' or number == 1 else status + 's'}")
    return ", ".join(parts)


def as_text(findings: Sequence[Finding], *, colour: bool) -> str:
    """For a terminal: what is wrong in full, what is well in a line each."""
    several = len({finding.schema for finding in findings if finding.schema}) > 1
    lines = []
    for finding in ordered(findings):
        word = f"{finding.status:<7}"
        if colour:
            word = f"\x1b[{COLOURS[finding.status]}m{word}\x1b[0m"
        place = f" ({finding.schema})" if several and finding.schema else ""
        lines.append(f"{word}  {finding.check}{place}: {finding.summary}")
        if finding.status == "ok":
            continue
        lines += [f"           {line}" for line in finding.evidence]
        if finding.why and finding.status != "note":
            lines.append(f"         why: {finding.why}")
        lines += [
            f"         do:  {line}" if not number else f"              {line}"
            for number, line in enumerate([*finding.remedy.splitlines(), *finding.sql.splitlines()])
        ]
    return "\n".join([*lines, "", totals(findings), ""])


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: every finding with all its fields."""
    document = {
        "version": __version__,
        "status": worst(findings),
        "findings": [asdict(finding) for finding in ordered(findings)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(findings: Sequence[Finding]) -> str:
    """For an issue or a chat."""
    lines = ["# river-exporter doctor", "", totals(findings), ""]
    for finding in ordered(findings):
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
