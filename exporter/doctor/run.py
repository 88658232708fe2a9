"""One examination: the collectors run for some seconds, then each group judges; what fails becomes a finding itself."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from exporter.collectors.river import MIGRATION
from exporter.config import Endpoint, load, read
from exporter.config.smallfile import read_text
from exporter.doctor import (
    alerts,
    completer,
    configuration,
    connection,
    locks,
    network,
    plan,
    pool,
    refusals,
    report,
    river,
    settings,
    storage,
    table,
)
from exporter.doctor.conclusion import conclude
from exporter.doctor.context import FOLDER, DoctorContext, Options, at_limit, observing, watch
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.report import Examination
from exporter.errors import ExporterError
from exporter.logs.masking import mask
from exporter.postgres.address import Address
from exporter.postgres.sessions import one_line

GROUPS: tuple[Group, ...] = (
    connection.GROUP, completer.GROUP, plan.GROUP, pool.GROUP, network.GROUP, locks.GROUP, refusals.GROUP, table.GROUP,
    storage.GROUP, settings.GROUP, river.GROUP, configuration.GROUP, alerts.GROUP,
)  # fmt: skip
"""The groups of checks, in the order in which they are examined and documented; the first one connects."""

QUICK: Mapping[str, str] = {
    "lag": "1s",
    "jobs": "3s",
    "river": "2s",
    "stuck": "4s",
    "statements": "4s",
    "maintenance": "4s",
}
"""Intervals shorter than a running exporter's, so that each collector has run while doctor watches."""


def run(options: Options, environment: Mapping[str, str] = os.environ) -> int:
    """Examine and report; returns the exit code: 0 when all is well or only noted, 1 for warnings, 2 for problems.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    examination = examine(options, environment)
    if options.output == "json":
        text = report.as_json(examination)
    elif options.output == "markdown":
        text = report.as_markdown(examination)
    else:
        colour = sys.stdout.isatty() and not environment.get("NO_COLOR")
        text = report.as_text(examination, colour=colour, verbose=options.verbose)
    print(mask(text), end="")
    return examination.exit_code


def examine(options: Options, environment: Mapping[str, str], say: Callable[[str], None] | None = None) -> Examination:
    """Examine everything the options ask for.

    Args:
        say: takes a line of progress; by default it goes to stderr.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    say = say or _say
    loaded = read(options.config_file, environment)
    config = loaded.config
    quick = {f"collectors.{name}.interval": pace for name, pace in QUICK.items() if not config.collector(name).interval}
    context = observing(load(options.config_file, environment, quick), environment, loaded.named)
    doctor = DoctorContext(context, options, _stronger(options))
    logger = logging.getLogger("exporter")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what fails is a finding
    try:
        connects, *others = GROUPS
        say(f"connecting to {context.database.address}")
        findings = list(_findings(connects, doctor))
        _before(doctor, others)
        say(f"watching River for {options.watch:.0f} s")
        watch(doctor, options.watch)
        findings += connection.refused(doctor)
        for group in others:
            if group.wanted is None or group.wanted(options):
                if group.progress:
                    say(group.progress)
                findings += _findings(group, doctor)
        asked = {check.name for group in others if group.wanted and group.wanted(options) for check in group.checks}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Examination(conclude(doctor, findings), tuple(findings), _target(doctor), now, frozenset(asked))
    finally:
        context.close()
        logger.setLevel(level)


def checks() -> list[tuple[Group, tuple[Check, ...]]]:
    """Every check by its group, as documented."""
    return [(group, group.checks) for group in GROUPS]


def _target(doctor: DoctorContext) -> str:
    """What was examined, with its versions as far as they are known."""
    context, parts = doctor.context, []
    if context.target.version:
        parts.append(f"PostgreSQL {connection.version(context.target.version)}")
    parts.append(f"{context.database.address}")
    for schema in doctor.schemas:
        migration = doctor.values.one(MIGRATION.name, schema=schema)
        parts.append(f"River in {schema}" + (f" (migration {migration:.0f})" if migration is not None else ""))
    return ", ".join(parts)


def _before(doctor: DoctorContext, groups: list[Group]) -> None:
    """What groups compare with later, and what must be known before anything is judged."""
    if doctor.missing():
        return
    with doctor.context.leases["database"].session() as session:
        doctor.session = session.of(FOLDER)
        doctor.before = {group.title: _quietly(group.before, doctor) for group in groups if group.before}
    doctor.session = None


def _findings(group: Group, doctor: DoctorContext) -> Iterator[Finding]:
    """A group's findings; the checks that could not be made are warned of, with the reason."""
    if group.needs == "primary" and (reason := doctor.missing()):
        if doctor.answers and doctor.context.target.standby:
            yield from (check.not_examined(reason, remedy="see server") for check in group.checks)
        return
    made = set()
    try:
        for each in _in_session(group, doctor):
            schema, finding = each if isinstance(each, tuple) else (None, each)
            made.add(finding.check)
            yield replace(finding, schema=schema)
    except (ExporterError, psycopg.Error) as error:
        for check in group.checks:
            if check.name not in made:
                yield _not_examined(check, error)


def _in_session(group: Group, doctor: DoctorContext) -> Iterator[Finding | tuple[str | None, Finding]]:
    """The group's findings, with a session of a deadline of its own where the database answers."""
    if not doctor.answers:
        yield from group.examine(doctor)
        return
    with doctor.context.leases["database"].session() as session:
        doctor.session = session.of(FOLDER)
        try:
            yield from group.examine(doctor)
        finally:
            doctor.session = None


def _not_examined(check: Check, error: Exception) -> Finding:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return check.not_examined("River's table is locked", remedy="see locks for the session that holds it")
    if at_limit(str(error)):
        return check.not_examined("the role has no connection left for doctor", remedy="see connection")
    remedy = "see rights" if isinstance(error, psycopg.errors.InsufficientPrivilege) else "see connection"
    return check.warning("could not be examined", one_line(error), remedy=remedy)


def _quietly(look: Callable[[DoctorContext], Any], doctor: DoctorContext) -> Any:
    """What a first look saw; None when it could not: the second look has the reason."""
    try:
        return look(doctor)
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
    option = "--explain.url-file"
    address = Address(
        option,
        Endpoint(url=read_text(str(path), option, regular=False)),
        None,
        {"application_name": "river-exporter doctor", "connect_timeout": "5"},
        named=lambda _: option,
    )
    address.parameters()
    return address


def _say(text: str) -> None:
    print(f"river-exporter doctor: {text}", file=sys.stderr, flush=True)
