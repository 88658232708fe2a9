"""One examination: watch for some seconds, then check by check; whatever fails becomes a finding itself."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg

from exporter.config import Endpoint, load
from exporter.doctor import (
    alerts,
    completer,
    configuration,
    connection,
    locks,
    network,
    plan,
    pool,
    report,
    river,
    settings,
    storage,
    table,
)
from exporter.doctor.context import FOLDER, DoctorContext, build_context, find_target, watch
from exporter.doctor.finding import EXIT_CODES, Check, Finding, worst
from exporter.errors import ConfigError, ExporterError
from exporter.logs.masking import mask
from exporter.postgres.address import Address
from exporter.postgres.sessions import Unreachable, one_line

GROUPS: tuple[ModuleType, ...] = (
    connection, completer, plan, pool, network, locks, table, storage, settings, river, configuration, alerts,
)  # fmt: skip
"""The groups of checks, in the order in which they are documented."""

WATCH = 8.0
"""Seconds the collectors look: long enough to see a stall and two readings of each counter."""

QUICK: Mapping[str, str] = {
    "lag": "1s",
    "jobs": "3s",
    "river": "2s",
    "stuck": "4s",
    "statements": "4s",
    "maintenance": "4s",
}
"""Intervals shorter than a running exporter's, so that each collector has spoken within WATCH."""

Found = Iterable[Finding | tuple[str | None, Finding]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        explain: whether to explain the completing statement.
        explain_url_file: a file with the URL of stronger credentials for that; None for those of `database.url`.
        prometheus: address of a Prometheus whose rules are looked at.
        output: `text`, `json` or `markdown`.
    """

    config_file: Path | None = None
    explain: bool = False
    explain_url_file: Path | None = None
    show_queries: bool = False
    prometheus: str | None = None
    output: str = "text"


def run(options: Options, environment: Mapping[str, str] = os.environ) -> int:
    """Examine and report; returns the exit code: 0 when all is well or only noted, 1 for warnings, 2 for problems.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    findings = examine(options, environment)
    if options.output == "json":
        text = report.as_json(findings)
    elif options.output == "markdown":
        text = report.as_markdown(findings)
    else:
        text = report.as_text(findings, colour=sys.stdout.isatty() and not environment.get("NO_COLOR"))
    print(mask(text), end="")
    return EXIT_CODES[worst(findings)]


def examine(
    options: Options, environment: Mapping[str, str], say: Callable[[str], None] | None = None
) -> list[Finding]:
    """All findings.

    Args:
        say: takes a line of progress; by default it goes to stderr.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    say = say or _say
    config = load(options.config_file, environment, {})
    quick = {f"collectors.{name}.interval": pace for name, pace in QUICK.items() if not config.collector(name).interval}
    context = build_context(load(options.config_file, environment, quick), environment)
    stronger = _stronger(options)
    doctor = DoctorContext(context, show_queries=options.show_queries)
    logger = logging.getLogger("exporter")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what fails is a finding
    try:
        findings = list(_connect(doctor, say))
        findings += _look(doctor, say)
        if options.explain:
            say("explaining the completing statement")
            findings += _group(plan, lambda: plan.examine(stronger or context.database.address, doctor.schemas))
        if options.prometheus:
            url = options.prometheus
            say("asking Prometheus for its rules")
            findings += _group(alerts, lambda: alerts.examine(url))
        return findings
    finally:
        context.close()
        logger.setLevel(level)


def checks() -> list[tuple[ModuleType, tuple[Check, ...]]]:
    """Every check by its group, as documented."""
    return [(group, group.CHECKS) for group in GROUPS]


def _connect(doctor: DoctorContext, say: Callable[[str], None]) -> Iterator[Finding]:
    say(f"connecting to {doctor.context.database.address}")
    try:
        find_target(doctor.context)
    except Unreachable as error:
        yield connection.unreachable(doctor, error)
    except (ExporterError, psycopg.Error) as error:
        yield connection.CONNECTION.problem(
            "the database does not tell what it is", one_line(error), remedy="see the reason"
        )
    else:
        yield from connection.examine(doctor)


def _look(doctor: DoctorContext, say: Callable[[str], None]) -> Iterator[Finding]:
    context = doctor.context
    before: dict[str, Any] = {}
    if context.database.reason == "":
        with context.leases["database"].session() as session:
            doctor.session = session.of(FOLDER)
            before = {name: _quietly(look) for name, look in _looks(doctor).items()}
        doctor.session = None
    say(f"watching River for {WATCH:.0f} s")
    watch(doctor, WATCH)
    say("trying River's address")
    tried = list(_group(network, lambda: network.examine(doctor)))
    if doctor.found:
        say("looking at locks, tables and settings")
        yield from _inside(doctor, before)
    elif context.target.schemas or context.database.reason:
        yield from _group(pool, lambda: pool.examine(doctor))
    yield from tried
    yield from _group(configuration, lambda: _own(doctor))


def _looks(doctor: DoctorContext) -> dict[str, Callable[[], Any]]:
    """What is read before and after."""
    return {
        "statements": lambda: completer.statements(doctor),
        "tables": lambda: table.tables(doctor),
        "checkpoints": lambda: storage.checkpoints(doctor),
    }


def _inside(doctor: DoctorContext, before: Mapping[str, Any]) -> Iterator[Finding]:
    """What doctor asks the database itself; every group in a session of its own deadline."""
    groups: list[tuple[ModuleType, Callable[[], Found]]] = [
        (completer, lambda: completer.examine(doctor, before.get("statements") or {})),
        (pool, lambda: pool.examine(doctor)),
        (locks, lambda: locks.examine(doctor)),
        (table, lambda: table.examine(doctor, before.get("tables") or {})),
        (storage, lambda: storage.examine(doctor, before.get("checkpoints"))),
        (settings, lambda: settings.examine(doctor)),
        (river, lambda: river.examine(doctor)),
    ]
    for group, look in groups:
        yield from _group(group, lambda look=look: _in_session(doctor, look))  # type: ignore[misc]


def _own(doctor: DoctorContext) -> Iterator[Finding | tuple[str | None, Finding]]:
    """The exporter's own: its configuration, and who speaks."""
    yield from configuration.examine(doctor)
    if doctor.found:
        yield from _in_session(doctor, lambda: configuration.elected(doctor))


def _in_session(doctor: DoctorContext, look: Callable[[], Found]) -> Iterator[Finding | tuple[str | None, Finding]]:
    with doctor.context.leases["database"].session() as session:
        doctor.session = session.of(FOLDER)
        try:
            yield from look()
        finally:
            doctor.session = None


def _group(group: ModuleType, look: Callable[[], Found]) -> Iterator[Finding]:
    """A group's findings; the checks that could not be made are warned of, with the reason."""
    made = set()
    try:
        for each in look():
            schema, finding = each if isinstance(each, tuple) else (None, each)
            made.add(finding.check)
            yield replace(finding, schema=schema)
    except (ExporterError, psycopg.Error) as error:
        for check in group.CHECKS:
            if check.name not in made:
                yield _not_examined(check, error)


def _not_examined(check: Check, error: Exception) -> Finding:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return check.note("not examined: River's table is locked", remedy="see locks for who holds it")
    remedy = "see rights" if isinstance(error, psycopg.errors.InsufficientPrivilege) else "see connection"
    return check.warning("could not be examined", one_line(error), remedy=remedy)


def _quietly(look: Callable[[], Any]) -> Any:
    """What a first look saw; None when it could not: the second look says why."""
    try:
        return look()
    except (ExporterError, psycopg.Error):
        return None


def _stronger(options: Options) -> Address | None:
    """The address of the stronger credentials, its file read once.

    Raises:
        ConfigError: the file cannot be read, or holds no URL.
    """
    path = options.explain_url_file
    if path is None:
        return None
    try:
        url = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"--explain.url-file: cannot read {path}: {reason}") from None
    address = Address(
        "--explain.url-file",
        Endpoint(url=url),
        None,
        {"application_name": "river-exporter doctor", "connect_timeout": "5"},
    )
    address.parameters()
    return address


def _say(text: str) -> None:
    print(f"river-exporter doctor: {text}", file=sys.stderr, flush=True)
