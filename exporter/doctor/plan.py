"""The plan of a completing statement, asked for with `--explain` only: it updates a few rows and rolls that back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from exporter.doctor.context import FOLDER, DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import table as quoted_table
from exporter.humanize import seconds
from exporter.postgres.address import Address
from exporter.postgres.sessions import Connection, load, one_line

PLAN = Check(
    "completing-plan",
    "With `--explain` and a role that may update river_job: EXPLAIN (ANALYZE, BUFFERS) of an UPDATE of the completing "
    "statement's shape on up to 5 running jobs, rolled back. A warning: a scan of the whole table, from 1,000 rows on; "
    "10 rows or more looked at by an index for each one completed, from 100 rows on (by the primary key it is one); an "
    "estimate off by 10 times, from 100 rows on. A problem: 100,000 rows looked at, or no end within 2 s.",
    "a bad plan reads the whole table for each batch",
)
PRIMARY = "river_job_pkey"
ROWS = 5
LOCK_TIMEOUT, STATEMENT_TIMEOUT = "200ms", "2s"
DEADLINE = 8.0
SMALL = 1000
"""Rows below which reading the whole table is the best plan."""

FEW = 100
"""Rows below which neither a wrong index nor a wrong estimate costs anything: the table of a test, or a new one."""

OFF = 10.0
"""Rows looked at over rows completed, and an estimate over what was found or the reverse, from which a plan is bad."""

LARGE = 100_000
"""Rows looked at for a handful of ids from which it is a problem."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a plan that reads a table: rows of all its loops; `removed` by its filter or an index recheck.

    `index` has the names of all, where a bitmap is made of several, and is empty where none is used.
    """

    kind: str
    relation: str
    index: str
    estimated: float
    actual: float
    removed: float

    @property
    def rows(self) -> float:
        """Rows it looked at."""
        return self.actual + self.removed

    @property
    def off(self) -> bool:
        """Whether the estimate is far from what was found."""
        less, more = sorted((self.estimated, self.actual))
        return more >= max(FEW, OFF * less)


@dataclass(frozen=True, slots=True)
class Plan:
    """EXPLAIN's output; times in seconds, `primary` the name of the primary key, empty without one."""

    nodes: tuple[Node, ...]
    took: float
    blocks: float
    completed: float
    triggers: tuple[tuple[str, float], ...] = ()
    primary: str = PRIMARY


def examine(doctor: DoctorContext) -> Iterator[tuple[str, Finding]]:
    """Explain in each schema."""
    address = doctor.explain_address or doctor.context.database.address
    for schema in doctor.schemas:
        yield schema, _examine(address, schema)


def _examine(address: Address, schema: str) -> Finding:
    try:
        return judge(explain(address, schema), schema)
    except psycopg.errors.InsufficientPrivilege:
        return PLAN.warning(
            "the role may not update river_job, so that the plan cannot be explained",
            remedy="give stronger credentials: --explain.url-file FILE, a file with a connection URL (or /dev/stdin)",
        )
    except psycopg.errors.QueryCanceled:
        return PLAN.problem(
            f"the statement did not end within {STATEMENT_TIMEOUT}", remedy="see locks, indexes and triggers"
        )
    except psycopg.errors.LockNotAvailable:
        return PLAN.warning(f"its rows were locked for {LOCK_TIMEOUT}", remedy="see locks")
    except psycopg.Error as error:
        return PLAN.warning("the plan cannot be explained", one_line(error), remedy="read the reason above")


def explain(address: Address, schema: str) -> Plan:
    """Run the statement under EXPLAIN in a transaction that is rolled back whatever happens.

    Raises:
        psycopg.Error: it cannot be run.
    """
    # psycopg looks for parameters in the whole text, names included: a % is doubled
    name = sql.Identifier(schema.replace("%", "%%"))
    with Connection.connect(**address.parameters(), autocommit=True) as connection:
        connection.deadline = time.monotonic() + DEADLINE
        major = connection.info.server_version // 10000
        connection.execute("BEGIN READ WRITE")
        try:
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
            connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(STATEMENT_TIMEOUT))
            primary = connection.execute(load("plan_primary", major, FOLDER), {"schema": schema}).fetchone()
            choose = sql.SQL(load("plan_rows", major, FOLDER)).format(schema=name)
            ids = [row[0] for row in connection.execute(choose, {"rows": ROWS})]
            update = sql.SQL(load("plan", major, FOLDER)).format(schema=name)
            row = connection.execute(update, {"ids": ids}).fetchone()
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")
    return read(row[0][0] if row else {}, primary[0] if primary else "")


def read(document: Any, primary: str = PRIMARY) -> Plan:
    """EXPLAIN's JSON document as a Plan."""
    root = document["Plan"]
    nodes = tuple(_nodes(root))
    triggers = tuple((each["Trigger Name"], float(each["Time"]) / 1000) for each in document.get("Triggers", ()))
    blocks = float(root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0))
    return Plan(nodes, float(document["Execution Time"]) / 1000, blocks, float(root["Actual Rows"]), triggers, primary)


def _nodes(node: Any) -> Iterator[Node]:
    loops = float(node.get("Actual Loops", 1))
    if node.get("Relation Name") == "river_job" and "Scan" in node["Node Type"]:
        removed = float(node.get("Rows Removed by Filter", 0)) + float(node.get("Rows Removed by Index Recheck", 0))
        yield Node(
            node["Node Type"],
            node["Relation Name"],
            ", ".join(dict.fromkeys(_indexes(node))),
            float(node["Plan Rows"]) * loops,
            float(node["Actual Rows"]) * loops,
            removed * loops,
        )
    for each in node.get("Plans", ()):
        yield from _nodes(each)


def _indexes(node: Any) -> Iterator[str]:
    """The indexes a scan uses: its own, or those of the bitmaps below it (also below a BitmapAnd or BitmapOr)."""
    if node.get("Index Name"):
        yield node["Index Name"]
    for each in node.get("Plans", ()):
        if each["Node Type"].startswith("Bitmap"):
            yield from _indexes(each)


def judge(plan: Plan, schema: str) -> Finding:
    """Whether the plan is a good one."""
    evidence = [
        f"{node.kind}{f' by {node.index}' if node.index else ''}: {node.rows:,.0f} rows looked at, "
        f"{node.actual:,.0f} found, {node.estimated:,.0f} estimated"
        for node in plan.nodes
    ]
    evidence.append(f"{plan.completed:,.0f} rows in {seconds(plan.took)}, {plan.blocks:,.0f} blocks")
    evidence += [f"trigger {name}: {seconds(took)}" for name, took in plan.triggers if took > 0.001]
    analyze = f"ANALYZE {quoted_table(schema)};"
    wasteful = [node for node in plan.nodes if _wasteful(node, plan)]
    if wasteful:
        most = max(wasteful, key=lambda node: node.rows)
        make = PLAN.problem if most.rows >= LARGE else PLAN.warning
        return make(
            f"{_way(most, plan)}: {most.rows:,.0f} rows looked at for {plan.completed:,.0f}", *evidence,
            remedy="see indexes; if all are there, update the planner's statistics",
            sql=analyze,
        )  # fmt: skip
    off = [node for node in plan.nodes if node.off]
    if off:
        return PLAN.warning(
            f"estimates are off by 10 times: {off[0].estimated:,.0f} for {off[0].actual:,.0f}", *evidence,
            remedy="update the planner's statistics",
            sql=analyze,
        )  # fmt: skip
    slow = [name for name, took in plan.triggers if took > 0.1]
    if slow:
        return PLAN.warning(f"a trigger takes most of its time: {', '.join(slow)}", *evidence, remedy="see triggers")
    others = [node for node in plan.nodes if not node.index or node.index != plan.primary]
    if others:
        return PLAN.ok(f"{_way(others[0], plan)}, but looks at few: {others[0].rows:,.0f} rows", *evidence)
    return PLAN.ok("it finds its rows by their ids" if plan.nodes else "it need not read river_job", *evidence)


def _wasteful(node: Node, plan: Plan) -> bool:
    """Whether it looks at many rows for each that is completed, not only at those of the ids."""
    if not node.index:
        return node.rows >= SMALL
    # the statement's rows, not the node's: what an index finds in vain may be dropped by the join above it
    return node.rows >= max(FEW, OFF * plan.completed)


def _way(node: Node, plan: Plan) -> str:
    """How it comes to its rows, where that is not by the ids alone."""
    if not node.index:
        return "it scans the whole table"
    if node.index == plan.primary:
        return f"it reads far more of {node.index} than its rows"
    return f"it finds its rows by {node.index}, not by the primary key"


GROUP = Group(
    "Its plan", (PLAN,), examine, progress="explaining the completing statement", wanted=lambda options: options.explain
)
