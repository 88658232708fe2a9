"""Connection and rights: whether the exporter can see anything at all."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.collectors.context import Target
from exporter.collectors.target import OPTIONAL, REMEDIES, remedy
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.humanize import seconds
from exporter.postgres.sessions import Unreachable

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
    "Whether River's tables are where `river.schemas`, or the search path, says. None is a problem.",
    "the exporter looks at these tables only",
)
RIGHTS = Check(
    "rights",
    "What the role may see, part by part. `pg_monitor` or `river_job` missing is a problem, `pg_stat_statements` a "
    "warning, what is optional a note.",
    "a part that cannot be seen cannot warn",
)
CHECKS = (CONNECTION, SERVER, SCHEMA, RIGHTS)

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
    """The finding when there is no contact."""
    advice = _ADVICE.get(error.reason, _ADVICE["other"])
    if "unsupported startup parameter" in str(error):  # PgBouncer's words
        advice = "database.url leads to PgBouncer: give it PostgreSQL's own address, and keep river.url as River has it"
    return CONNECTION.problem(
        f"no contact with the database: {error.reason}",
        str(error),
        remedy=f"{advice}; it took at most {seconds(doctor.context.database.deadline)}",
    )


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group; the connection stands."""
    yield CONNECTION.ok(f"connected to {doctor.context.database.address}")
    yield from judge(doctor.context.target)


def judge(target: Target) -> Iterator[Finding]:
    """What was found out about the target."""
    version = f"{target.version // 10000}.{target.version % 10000}"
    if target.standby:
        yield SERVER.problem(f"PostgreSQL {version} is a standby", remedy=REMEDIES["primary"])
    elif not target.capabilities.get("server_version", True):
        yield SERVER.problem(f"PostgreSQL {version} is too old", remedy=REMEDIES["server_version"])
    else:
        yield SERVER.ok(f"PostgreSQL {version}, the primary")
    if target.schemas:
        yield SCHEMA.ok(f"River's tables are in {', '.join(target.schemas)}")
    else:
        yield SCHEMA.problem("no river_job table where it is looked for", remedy=REMEDIES["river_schema"])
    yield from _rights(target)


def _rights(target: Target) -> Iterator[Finding]:
    missing = [name for name, there in target.capabilities.items() if not there]
    missing = [name for name in missing if name not in ("river_schema", "primary", "server_version")]
    if not target.schemas:
        missing = [name for name in missing if not name.startswith("river_")]
    if not missing:
        yield RIGHTS.ok("the role sees everything it needs")
    for name in missing:
        if name == "track_commit_timestamp":
            continue  # a setting, with a check of its own
        make = RIGHTS.note if name in OPTIONAL else RIGHTS.warning if name == "pg_stat_statements" else RIGHTS.problem
        yield make(f"{name} is not to be seen", remedy=remedy(target, name))
    if missing == ["track_commit_timestamp"]:
        yield RIGHTS.ok("the role sees everything it needs")
