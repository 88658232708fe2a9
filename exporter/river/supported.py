"""The runtimes that are recognised, and the table of them in docs/rivers.md."""

from exporter.river.go import GO
from exporter.river.java import JAVA
from exporter.river.javascript import JAVASCRIPT
from exporter.river.ruby import RUBY
from exporter.river.runtime import Completer, Runtime
from exporter.river.rust import RUST

SUPPORTED: tuple[Runtime, ...] = (GO, RUST, JAVASCRIPT, JAVA, RUBY)
"""Every runtime, in the order of the table."""

_HEAD = (
    "runtime",
    "package",
    "versions read",
    "versions run in tests",
    "attempts",
    "deadline of an attempt",
    "the statement at the deadline",
    "a failed batch",
    "jobs in a batch",
    "jobs in a statement",
    "statements at once",
    "transaction",
)

BY_NAME = {runtime.name: runtime for runtime in SUPPORTED}
"""The runtimes by `Statement.runtime`."""


NO_DEADLINE = frozenset(runtime.name for runtime in SUPPORTED if runtime.completer.timeout is None)
"""Runtimes whose attempts nothing cuts off."""


def matrix() -> str:
    """The table for a reader: a row for each runtime, in Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", "| --- " * len(_HEAD) + "|"]
    for runtime in SUPPORTED:
        cells = (
            runtime.title,
            runtime.package,
            ", ".join(runtime.read),
            ", ".join(runtime.run) or "none: an emulator",
            *_behaviour(runtime.completer),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _behaviour(completer: Completer) -> tuple[str, ...]:
    sleeps = ", ".join(f"{seconds:g}" for seconds in completer.sleeps)
    attempts = "no end" if completer.attempts is None else str(completer.attempts)
    return (
        f"{attempts} (sleeps {sleeps} s)" if sleeps else attempts,
        "none" if completer.timeout is None else f"{completer.timeout:g} s",
        {"cancelled": "cancelled", "dropped": "runs on in the server", "none": "-"}[completer.at_deadline],
        completer.afterwards,
        _count(completer.batch),
        _count(completer.per_statement),
        "one per job that ends" if completer.at_once is None else str(completer.at_once),
        "one around the batch" if completer.wrapped else "none",
    )


def _count(jobs: int | None) -> str:
    return "as configured" if jobs is None else f"{jobs:,}"
