"""The plan of a completing statement, asked for with `--explain` only: it updates a few rows and rolls that back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from exporter.address import Address
from exporter.database import Connection, load, one_line
from exporter.doctor.finding import Check, Finding
from exporter.doctor.patient import FOLDER
from exporter.doctor.table import quoted
from exporter.words import seconds

PLAN = Check(
    "completing-plan",
    "With `--explain` and a role that may update river_job: EXPLAIN (ANALYZE, BUFFERS) of an UPDATE of the completing "
    "statement's shape on up to 5 running jobs, rolled back. A scan of a large table, an index other than the primary "
    "key, or an estimate off by 10 times is a warning; a scan of 100,000 rows, or no end within 2 s, a problem.",
    "a bad plan reads the whole table for each batch",
)
CHECKS = (PLAN,)

ROWS = 5
LOCK_TIMEOUT, STATEMENT_TIMEOUT = "200ms", "2s"
DEADLINE = 8.0
SMALL = 1000
"""Rows below which reading the whole table is the best plan."""

LARGE = 100_000


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a plan that reads a table."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What EXPLAIN said; times in seconds."""

    nodes: tuple[Node, ...]
    took: float
    blocks: float
    completed: float
    triggers: tuple[tuple[str, float], ...] = ()


def examine(address: Address, schemas: Sequence[str]) -> Iterator[tuple[str, Finding]]:
    """Explain in each schema."""
    for schema in schemas:
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
    name = sql.Identifier(schema)
    with Connection.connect(**address.parameters(), autocommit=True) as connection:  # type: ignore[arg-type]
        connection.deadline = time.monotonic() + DEADLINE
        major = connection.info.server_version // 10000
        connection.execute("BEGIN READ WRITE")
        try:
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
            connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(STATEMENT_TIMEOUT))
            choose = sql.SQL(load("plan_rows", major, FOLDER)).format(schema=name)
            ids = [row[0] for row in connection.execute(choose, {"rows": ROWS})]
            update = sql.SQL(load("plan", major, FOLDER)).format(schema=name)
            row = connection.execute(update, {"ids": ids}).fetchone()
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")
    return read(row[0][0] if row else {})


def read(document: Any) -> Plan:
    """EXPLAIN's JSON document as a Plan."""
    root = document["Plan"]
    nodes = tuple(_nodes(root))
    triggers = tuple((each["Trigger Name"], float(each["Time"]) / 1000) for each in document.get("Triggers", ()))
    blocks = float(root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0))
    return Plan(nodes, float(document["Execution Time"]) / 1000, blocks, float(root["Actual Rows"]), triggers)


def _nodes(node: Any) -> Iterator[Node]:
    loops = float(node.get("Actual Loops", 1))
    if node.get("Relation Name") == "river_job" and "Scan" in node["Node Type"]:
        index = node.get("Index Name", "") or next((each.get("Index Name", "") for each in node.get("Plans", ())), "")
        yield Node(
            node["Node Type"],
            node["Relation Name"],
            index,
            float(node["Plan Rows"]) * loops,
            float(node["Actual Rows"]) * loops,
            float(node.get("Rows Removed by Filter", 0)) * loops,
        )
    for each in node.get("Plans", ()):
        yield from _nodes(each)


def judge(plan: Plan, schema: str) -> Finding:
    """Whether the plan is a good one."""
    evidence = [
        f"{node.kind}{f' by {node.index}' if node.index else ''}: {node.rows:,.0f} rows looked at, "
        f"{node.estimated:,.0f} estimated"
        for node in plan.nodes
    ]
    evidence.append(f"{plan.completed:,.0f} rows in {seconds(plan.took)}, {plan.blocks:,.0f} blocks")
    evidence += [f"trigger {name}: {seconds(took)}" for name, took in plan.triggers if took > 0.001]
    analyze = f"ANALYZE {quoted(schema)}.river_job;"
    scanned = max((node.rows for node in plan.nodes if node.kind.endswith("Seq Scan")), default=0.0)
    if scanned >= SMALL:
        make = PLAN.problem if scanned >= LARGE else PLAN.warning
        return make(
            f"it scans the whole table: {scanned:,.0f} rows for {plan.completed:,.0f}", *evidence,
            remedy=f"see indexes; if all are there: {analyze}",
        )  # fmt: skip
    others = [node for node in plan.nodes if node.index and not node.index.endswith("_pkey") and node.rows >= SMALL]
    if others:
        return PLAN.warning(f"it finds its rows by {others[0].index}, not by their ids", *evidence, remedy=analyze)
    off = [
        node
        for node in plan.nodes
        if max(node.estimated, node.actual) >= 10 * max(1.0, min(node.estimated, node.actual))
    ]
    if off and max(off[0].estimated, off[0].actual) >= SMALL:
        return PLAN.warning(
            f"estimates are off by 10 times: {off[0].estimated:,.0f} for {off[0].actual:,.0f}", *evidence,
            remedy=analyze,
        )  # fmt: skip
    slow = [name for name, took in plan.triggers if took > 0.1]
    if slow:
        return PLAN.warning(f"a trigger takes most of its time: {', '.join(slow)}", *evidence, remedy="see triggers")
    return PLAN.ok("it finds its rows by their ids", *evidence)
