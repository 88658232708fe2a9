"""Names every word of the list below in a text that a user reads: `python -m tests.words`; part of `make lint`.

One concept has one term, the field's (docs/glossary.md). It reads metric help, alerts, command line help, comments of
the configuration and of the chart's values, and documents; not their code, quotations and links.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from exporter.catalog import catalog
from exporter.cli.parser import make_parser
from tests.documents import documents

ROOT = Path(__file__).parents[1]

WORDS: tuple[tuple[str, str, str], ...] = (
    ("speaks for, speaker", r"speaks? for|speakers?|spoke for", "is the elected leader, reports"),
    ("nobody, somebody, whoever, everybody", r"nobody|somebody|whoever|everybody", "the actor, by name"),
    ("is told, tells", r"told|tells?|telling", "reports, notifies"),
    ("says, said", r"says|said", "reports, shows, logs"),
    ("hears", r"hears?|heard", "reports, is observed"),
    ("the budget is burnt", r"burnt|burns", "timeout exceeded, share of the timeout"),
    ("the cause that leads", r"leads(?! to)|leading cause", "dominant cause"),
    ("stall, standstill", r"stalls?|standstills?|stands? still", "attempt age, sustained slow attempt"),
    ("pace, lateness", r"lateness|pace", "interval, backoff, start delay"),
    ("anew", r"anew", "again, reconnect"),
    ("calm", r"calm|calmest", "windowed minimum use"),
    ("folded", r"folded", "aggregated into `other`"),
    ("mend, cure", r"mend(?:s|ed)?|cure[sd]?", "fix, remediation"),
    ("of late, lately", r"of late|lately", "recently, in the last N s"),
    ("stranger", r"strangers?", "unauthenticated client"),
    ("blind", r"blind(?:ness)?", "missing permission, not collected"),
    ("precursor", r"precursors?", "early warning"),
    ("linger", r"lingers?", "shutdown delay"),
    ("gives up", r"g(?:ive|ives|ave|iven|iving) up", "abandons, canceled"),
    ("heals by itself", r"heals?", "recovers, is transient"),
    ("threw out", r"threw out|thrown out", "evicted"),
    ("from zero", r"from zero", "step by step"),
    ("half within, 95 of 100 within", r"half within|\d+ of 100 within", "p50, p95"),
    ("page of metrics", r"page of metrics", "metrics endpoint"),
    ("River's address", r"River's address", "River's connection endpoint"),
)
"""What is not written, the same as a regular expression, and the terms of the field that are written."""

ALLOWED: dict[str, str] = {
    "colour-blind": "is of people",
    "--shutdown.linger": "the name of a flag",
    "sidecar.linger": "the name of a value of the chart",
    "proxy accepts and stalls": "is what a proxy does, not an attempt",
}
"""Phrases in which a word stands all the same, with the reason."""

GENERATED = {
    "metrics.md": "is made of the help, which is read",
    "healthy.md": "is written by a run of its benchmark, with the figures",
    "precursor.md": "is written by a run of its benchmark, with the figures",
}
"""Documents that are not read, with the reason."""

_NOT = re.compile(
    "|".join(f"(?P<w{number}>\\b(?:{word})\\b)" for number, (_, word, _) in enumerate(WORDS)), re.IGNORECASE
)

_QUOTED = (
    r"(?ms)^ *```.*?^ *```", r"(?s)<!-- words -->.*?<!-- /words -->", r"`[^`]+`", r"(?m)^> .*$", r"\]\([^)]*\)",
    r'"[^"\n]*"',
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A word in a text."""

    where: str
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.where}: `{self.word}`; better: {self.instead}"


def look(where: str, text: str) -> Iterator[Found]:
    """Find the words in a text, line by line; `where` is its name."""
    for number, line in enumerate(text.splitlines(), 1):
        for phrase in ALLOWED:
            line = line.replace(phrase, " ")
        for match in _NOT.finditer(line):
            instead = next(WORDS[int(name[1:])][2] for name, value in match.groupdict().items() if value)
            yield Found(f"{where}:{number}", match[0], instead)


def prose(markdown: str) -> str:
    """A document without code, quotations, addresses and generated tables of words; its lines keep their numbers."""
    for pattern in _QUOTED:
        markdown = re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), markdown)
    return markdown


def texts() -> Iterator[tuple[str, str]]:
    """Every text that a user reads, with its name."""
    for metric, _ in catalog().values():
        yield f"help of {metric.name}", metric.help
    yield from _alerts()
    yield from _help()
    for path in ("config/exporter.yaml", "helm/river-exporter/values.yaml"):
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        yield path, "\n".join(prose(line.partition("# ")[2]) for line in lines)
    for file in documents():
        if file.name not in GENERATED:
            yield str(file.relative_to(ROOT)), prose(file.read_text(encoding="utf-8"))


def _alerts() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load((ROOT / "config/alerts.yaml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            for name, text in rule.get("annotations", {}).items():
                if not name.endswith("_url"):
                    yield f"{name} of {rule['alert']}", text


def _help() -> Iterator[tuple[str, str]]:
    parser = make_parser(dict.fromkeys(("", "check-config", "setup-sql", "doctor", "completion"), lambda _: 0))
    yield "river-exporter --help", parser.format_help()
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for name, command in action.choices.items():
                yield f"river-exporter {name} --help", command.format_help()


def table() -> str:
    """The list as a table, in Markdown, for docs/glossary.md."""
    rows = [f"| {words} | {instead} |" for words, _, instead in WORDS]
    return "\n".join(["| not | but |", "| --- | --- |", *rows])


def main() -> int:
    """Print what is found; returns the exit code."""
    read = list(texts())
    found = [each for name, text in read for each in look(name, text)]
    for each in found:
        print(each)
    return int(bool(found) or len(read) < 100)


if __name__ == "__main__":
    sys.exit(main())
