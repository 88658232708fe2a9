"""What the documents tell a reader to type: blocks of commands and of SQL, and both within sentences.

A block is ``sh`` (commands), ``console`` (commands behind ``$``, and what they print), ``sql``, ``text`` (what the
command before it prints, or a picture) or a file's language. A block without one would hide commands, and is refused.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]

FILES = {"go", "ini", "java", "js", "ruby", "rust", "yaml"}
"""Languages of blocks that are files, or parts of one."""

PROGRAMS = {
    "amtool", "bash", "curl", "docker", "git", "go", "helm", "kill", "kubectl", "make", "pg_isready", "ping", "pip",
    "promtool", "psql", "python", "river-exporter", "ss", "tests/k8s/cluster",
}  # fmt: skip
"""A code span that begins with one of them, and says more, is a command."""

SQL = re.compile(r"\w+ .*;|\w+;|SHOW \w+|(?:set|create|grant|alter) \S+ \S.*", re.IGNORECASE)
"""A code span like this is SQL."""

TABLE = re.compile(r"-+(\+-+)*")
"""The line below the names of a table of psql's."""


@dataclass
class Shown:
    """A command, or SQL, that a document shows."""

    document: str
    """The path below the project's folder."""
    line: int
    language: str
    """``sh`` or ``sql``."""
    text: str
    """A command without its comment; a block of SQL as it is."""
    block: bool = True
    """False within a sentence."""
    expected: list[str] = field(default_factory=list)
    """The output shown beside it, line by line."""
    seen: str = ""

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def documents() -> list[Path]:
    """Every document but the changelogs."""
    below = (path for folder in ("docs", "examples", "helm", "tests") for path in (ROOT / folder).rglob("*.md"))
    found = sorted([*ROOT.glob("*.md"), *below])
    return [path for path in found if path.name != "CHANGELOG.md" and "node_modules" not in path.parts]


def shown(path: Path) -> list[Shown]:
    """Return what a document shows, in its order.

    Raises:
        ValueError: a block has no language, an unknown one, or is ``console`` without a ``$``.
    """
    name, text = str(path.relative_to(ROOT)), path.read_text()
    found: list[Shown] = []
    outputs: list[tuple[int, list[str]]] = []
    prose = list(text)
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        lines = [each.removeprefix(match[1]) for each in match[3].splitlines()]
        if match[2] == "text":
            outputs.append((line, lines))
        else:
            found += _block(name, line, match[2], lines)
        prose[match.start() : match.end()] = re.sub(r"[^\n]", " ", match[0])
    found = sorted([*found, *_spans(name, "".join(prose))], key=lambda each: each.line)
    for line, lines in outputs:
        language = "sql" if any(TABLE.fullmatch(each) for each in lines) else "sh"
        for each in [each for each in found if each.line < line and each.language == language][-1:]:
            each.expected += lines
    return found


def _block(name: str, line: int, language: str, lines: list[str]) -> list[Shown]:
    if language in FILES:
        return []
    if language == "sql":
        return [Shown(name, line, "sql", "\n".join(lines))]
    if language == "sh":
        numbered = ((number, re.sub(r"\s+#\s.*", "", each)) for number, each in enumerate(lines, line + 1))
        return [Shown(name, number, "sh", command) for number, command in numbered if command.strip()]
    if language != "console" or not any(each.startswith("$ ") for each in lines):
        raise ValueError(
            f"{name}:{line}: a block of `{language}`; name sh, console (with `$`), sql, text or one of {sorted(FILES)}"
        )
    found: list[Shown] = []
    for number, each in enumerate(lines, line + 1):
        if each.startswith("$ "):
            found.append(Shown(name, number, "sh", each.removeprefix("$ ")))
        else:
            found[-1].expected.append(each)
    return found


def _spans(name: str, prose: str) -> Iterator[Shown]:
    for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose):
        line, text = prose.count("\n", 0, match.start()) + 1, " ".join(match[1].split())
        if SQL.fullmatch(text):
            yield Shown(name, line, "sql", text, block=False)
        elif " " in text and text.split()[0] in PROGRAMS:
            yield Shown(name, line, "sh", text, block=False)


class Bash:
    """One shell that keeps its variables from command to command, as a reader's does."""

    MARK = "=== the command ended with"

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        """Start it, without a terminal that a command could ask for a password."""
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
        self.run("trap 'kill $(jobs -p) 2>/dev/null' EXIT")

    def run(self, command: str) -> str:
        """Run one command and return its output; raises AssertionError when it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho '{self.MARK}' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            before, mark, code = line.partition(self.MARK)
            if mark:
                assert code.strip() == "0", f"$ {command}\n{''.join(lines)}"
                return "".join([*lines, before])
            lines.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(lines)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("exit\n", timeout=60)
