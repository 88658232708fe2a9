"""Connection and rights: whether the exporter can see anything at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg

from exporter.collectors.capabilities import OPTIONAL, REMEDIES, TRIED
from exporter.collectors.context import Target
from exporter.collectors.target import remedy
from exporter.doctor.context import DoctorContext, at_limit, find_target
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import identifier
from exporter.errors import ExporterError
from exporter.humanize import seconds
from exporter.postgres.sessions import Unreachable, one_line, pooler_hint

CONNECTION = Check(
    "connection",
    "Whether `database.url` can be reached and logged in to. A problem names the reason as "
    "`river_database_unreachable` does.",
    "without a database no completion is written, and nothing of it can be seen",
)
SERVER = Check(
    "server",
    "The server's version and whether it is the primary. A standby, or a version before 13, is a problem.",
    "only the primary knows who waits for whom",
)
SCHEMA = Check(
    "river-schema",
    "Whether River's tables are in `river.schemas`, else in the search path. None is a problem.",
    "the exporter looks at these tables only",
)
RIGHTS = Check(
    "rights",
    "What the role may see, part by part. `pg_monitor`, `river_job` or `track_activities` missing is a problem, "
    "what only some versions or providers have a note, the rest a warning.",
    "a part that cannot be seen cannot warn",
)
VITAL = frozenset({"pg_monitor", "river_job", "track_activities"})
"""Capabilities without which no attempt of the completer's can be seen."""

_STATEMENT = re.compile(r'\b(?:GRANT|ALTER|CREATE|SELECT)\b(?:[^;"]|"[^"]*")*;')

_ADVICE = {
    "auth": "check user, password, pg_hba.conf and the role's CONNECTION LIMIT; the role is made by the SQL of "
    "`river-exporter setup-sql`",
    "dns": "check the host name in database.url, and the pod's DNS",
    "refused": "check host and port in database.url, and whether PostgreSQL is running",
    "timeout": "check the way to the server: firewall, NetworkPolicy, routing; or the server hangs",
    "tls": "check sslmode and sslrootcert in database.url",
    "other": "read the reason above",
}


def unreachable(doctor: DoctorContext, error: Unreachable) -> Finding:
    """The finding when there is no connection."""
    advice = _ADVICE.get(error.reason, _ADVICE["other"])
    if hint := pooler_hint(str(error)):
        advice = hint
    if at_limit(str(error)):
        return CONNECTION.not_examined(
            f"the role has no connection left for doctor, as others use all of them: {error}",
            remedy=f"try again, or allow the role more; it was tried for {seconds(doctor.context.database.deadline)}",
            sql=f"ALTER ROLE {identifier(role(doctor))} CONNECTION LIMIT 6;  -- 3 for each exporter, and 3 more",
        )
    return CONNECTION.problem(
        f"no connection to the database: {error.reason}",
        str(error).removesuffix(f"; {advice}"),
        remedy=f"{advice}; it took at most {seconds(doctor.context.database.deadline)}",
    )


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """Connect, and all checks of this group."""
    try:
        find_target(doctor.context)
    except Unreachable as error:
        yield unreachable(doctor, error)
    except (ExporterError, psycopg.Error) as error:
        yield CONNECTION.problem("the server does not say what it is", one_line(error), remedy="read the reason above")
    else:
        yield CONNECTION.ok(f"connected to {doctor.context.database.address}")
        yield from judge(doctor.context.target)


def version(number: int) -> str:
    """A server's version as it is written: 180006 is 18.6."""
    return f"{number // 10000}.{number % 10000}"


def role(doctor: DoctorContext) -> str:
    """Whom doctor logs in as."""
    return doctor.context.database.address.parameters().get("user", "river_exporter")


def judge(target: Target) -> Iterator[Finding]:
    """What was found out about the target."""
    text = f"PostgreSQL {version(target.version)}"
    if target.standby:
        yield SERVER.problem(f"{text} is a standby", remedy=REMEDIES["primary"])
    elif not target.capabilities.get("server_version", True):
        yield SERVER.problem(f"{text} is too old", remedy=REMEDIES["server_version"])
    else:
        yield SERVER.ok(f"{text}, the primary")
    if target.schemas:
        yield SCHEMA.ok(f"River's tables are in {', '.join(target.schemas)}")
    else:
        yield SCHEMA.problem("no river_job table where it is looked for", remedy=REMEDIES["river_schema"])
    yield from _rights(target)


def _rights(target: Target) -> Iterator[Finding]:
    """What is missing, but for what other checks are about."""
    elsewhere = {"river_schema", "primary", "server_version", "track_commit_timestamp"} | TRIED
    missing = [name for name, there in target.capabilities.items() if not there and name not in elsewhere]
    if not target.schemas:
        missing = [name for name in missing if not name.startswith("river_")]
    if not missing:
        yield RIGHTS.ok("the role sees everything it needs")
    for name in missing:
        yield _missing(name, remedy(target, name))


def refused(doctor: DoctorContext) -> Iterator[Finding]:
    """What the server refused while doctor watched: views and functions that only trying shows to be closed."""
    for name, fix in doctor.context.refusals.remedies():
        if fix:
            yield _missing(name, fix)


def _missing(name: str, fix: str) -> Finding:
    make = RIGHTS.problem if name in VITAL else RIGHTS.note if name in OPTIONAL else RIGHTS.warning
    words, sql = statements(fix)
    return make(f"{name} is not to be seen", remedy=words or "run this as a superuser", sql=sql)


def statements(text: str) -> tuple[str, str]:
    """A fix in words and SQL, taken apart: the words without the statements, and the statements, a line each."""
    words = " ".join(_STATEMENT.sub(" ", text).split()).strip(" ,;:")
    return words.removeprefix("and ").removesuffix(", then"), "\n".join(_STATEMENT.findall(text))


GROUP = Group("Connection and rights", (CONNECTION, SERVER, SCHEMA, RIGHTS), examine, needs="nothing")
