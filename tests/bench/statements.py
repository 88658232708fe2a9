"""What a role's statements cost the database, by the name of the file they come from.

pg_stat_statements keeps a text with its constants replaced (manual, "pg_stat_statements"): without them, it and the
text of the file have the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import psycopg
from psycopg.rows import class_row

from exporter.postgres.sessions import load

_READ = """\
select s.queryid, s.query, s.calls, s.total_exec_time + s.total_plan_time as milliseconds
from pg_stat_statements as s
join pg_roles as r on r.oid = s.userid
where r.rolname = %s and s.toplevel
"""


_CONSTANTS = {"true", "false", "null", "epoch"}
"""Words that pg_stat_statements takes for constants; `extract(epoch from …)` has one as its first argument."""


@dataclass(frozen=True)
class Entry:
    """One statement of the role; `milliseconds` are planning and execution together, of all calls."""

    queryid: int
    query: str
    calls: int
    milliseconds: float


@dataclass(frozen=True)
class Cost:
    """Calls within a span of time, and what one takes in milliseconds."""

    calls: int
    milliseconds: float


def read(connection: psycopg.Connection, role: str) -> dict[int, Entry]:
    """All entries of the role; `track_planning` has to be on."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return {entry.queryid: entry for entry in cursor.execute(_READ, [role]).fetchall()}


def costs(before: Mapping[int, Entry], after: Mapping[int, Entry], version: int) -> dict[str, Cost]:
    """The cost of each statement called between two readings, by name; what no file of ours has is `other`."""
    calls: dict[str, int] = {}
    milliseconds: dict[str, float] = {}
    for queryid, entry in after.items():
        former = before.get(queryid)
        risen = entry.calls - (former.calls if former else 0)
        if risen > 0:
            name = names(version).get(one_form(entry.query), "other")
            calls[name] = calls.get(name, 0) + risen
            milliseconds[name] = (
                milliseconds.get(name, 0.0) + entry.milliseconds - (former.milliseconds if former else 0)
            )
    return {name: Cost(count, milliseconds[name] / count) for name, count in calls.items()}


def best(windows: Iterable[Mapping[str, Cost]]) -> dict[str, Cost]:
    """Each statement's lowest cost of all windows: what others do on the same cores only ever adds to it."""
    found: dict[str, Cost] = {}
    for window in windows:
        for name, cost in window.items():
            if name not in found or cost.milliseconds < found[name].milliseconds:
                found[name] = cost
    return found


@cache
def names(version: int) -> dict[str, str]:
    """The name of each packaged query for a server's major version, by its text in one form."""
    files = resources.files("exporter.collectors").iterdir()
    queries = {file.name.partition(".")[0] for file in files if file.name.endswith(".sql")}
    return {one_form(load(query, version)): query for query in queries}


def one_form(text: str) -> str:
    """The words of a statement in their order, without comments, constants, parameters and schema."""
    text = re.sub(r"/\*.*?\*/|--[^\n]*", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{schema\}\.|\"?public\"?\.", " ", text)
    text = re.sub(r"'(?:[^']|'')*'|%\(\w+\)s|\$\d+", " ", text)
    words = re.findall(r"[a-z_]\w*", text.lower())
    return " ".join(word for word in words if word not in _CONSTANTS)
