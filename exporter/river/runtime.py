"""How one of River's runtimes is declared: the features of its statements, and how its completer behaves.

A feature is only what survives on the way to us: keywords, names of tables, columns and CTEs. pg_stat_statements
replaces constants by parameters, and PostgreSQL 18 drops leading comments there; pg_stat_activity cuts the tail.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Shape(NamedTuple):
    """A statement is `operation` when its text begins with `start` and contains each of `has`.

    Compared are texts without white space, comments, double quotes and the schema before River's names, in lower
    case; the white space of a declaration is for its reader. Where several shapes fit, the one with the longest start
    counts, then the one with the longest features.

    Attributes:
        operation: River for Go's name of it, whichever runtime sends it.
        start: How the text begins.
        has: What it contains as well, in any order.
        alone: A longer beginning that identifies the statement before any table of River's is named, so that a text
            that was cut in the middle is recognised. Empty where nothing does.
        wrapped: Whether the completer sends it between BEGIN and COMMIT; None for other statements.
        certain: Only a River client writes such a text, so that a session which sends it is River's.
    """

    operation: str
    start: str
    has: tuple[str, ...] = ()
    alone: str = ""
    wrapped: bool | None = None
    certain: bool = False


AtDeadline = Literal["cancelled", "dropped", "none"]
"""What becomes of a statement at the attempt's deadline: `cancelled` in the server, `dropped` by its client while the
server runs it to its end, or `none`: there is no deadline."""


@dataclass(frozen=True, slots=True)
class Completer:
    """How a runtime writes the end of jobs.

    Attributes:
        attempts: Attempts in a row at one batch; None without an end.
        timeout: Seconds after which an attempt is abandoned, the wait for a connection included; None without.
        sleeps: Seconds between an attempt and the next, the last repeating.
        at_deadline: What becomes of the statement then.
        afterwards: What becomes of a batch whose attempts all failed.
        batch: Jobs of one transaction, at most; None where the user sets it.
        per_statement: Jobs of one statement, at most; None where the user sets it.
        at_once: Statements beside each other in one process; None for one of each job that ends.
        wrapped: Whether it sends BEGIN and COMMIT around its statements.
    """

    attempts: int | None
    timeout: float | None
    sleeps: tuple[float, ...]
    at_deadline: AtDeadline
    afterwards: Literal["kept", "dropped", "recorded as failed", "retried"]
    batch: int | None
    per_statement: int | None
    at_once: int | None
    wrapped: bool


@dataclass(frozen=True, slots=True)
class Runtime:
    """One implementation of River.

    Attributes:
        name: The value of `Statement.runtime`.
        title: Its name for a reader.
        package: The package that a user installs.
        read: Versions whose source was read.
        run: Versions that the tests run; empty where an emulator stands in for it.
        completer: How its completer behaves, in the newest version read.
        shapes: Its statements on River's tables.
        bare: Its statements that name none of River's tables, so that another program's may look the same.
    """

    name: str
    title: str
    package: str
    read: tuple[str, ...]
    run: tuple[str, ...]
    completer: Completer
    shapes: tuple[Shape, ...]
    bare: tuple[Shape, ...] = ()
