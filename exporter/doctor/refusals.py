"""What makes PostgreSQL refuse a completion at once: a constraint, a missing right, a read-only server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.doctor.context import DoctorContext, session_without
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import identifier
from exporter.doctor.remedy import table as quoted_table

CONSTRAINT = Check(
    "constraints",
    "Check constraints on river_job that are not River's: a note; a problem while no completion is committed.",
    "a constraint that does not allow `completed` refuses every completion at once, without any timeout",
)
PRIVILEGE = Check(
    "river-privileges",
    "Whether the users that River logs in as may update river_job. If not it is a problem.",
    "every completion is refused at once, and its jobs stay running",
)
READ_ONLY = Check(
    "read-only",
    "`default_transaction_read_only` of the server, the database or River's users: on is a problem.",
    "every write is refused at once, completions among them",
)

OWN = (
    "finalized_or_finalized_at_null", "kind_length", "max_attempts_is_positive", "priority_in_range", "queue_length",
)  # fmt: skip
"""River's check constraints of river_job (River's migrations, main line, v0.16 to v0.51)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A foreign constraint, or in `forbidden` a user of River's that may not update river_job."""

    name: str
    definition: str
    forbidden: str | None


@dataclass(frozen=True, slots=True)
class _Owner:
    owner: str


def examine(doctor: DoctorContext) -> Iterator[tuple[str | None, Finding]]:
    """All checks of this group, by schema."""
    users = doctor.river_users()
    with session_without(doctor, "default_transaction_read_only") as session:
        owners = [row.owner for row in session.rows(_Owner, "refusals_read_only", {"users": users})]
    yield None, judge_read_only(owners)
    for schema in doctor.schemas:
        parameters = {"schema": schema, "own": list(OWN), "users": users}
        found = doctor.needed().rows(Refusal, "refusals", parameters)
        constraints = [each for each in found if each.forbidden is None]
        yield schema, judge_constraints(constraints, schema, completing=doctor.completing(schema))
        yield schema, judge_privileges([each.forbidden for each in found if each.forbidden], users, schema)


def judge_constraints(constraints: Sequence[Refusal], schema: str, *, completing: bool) -> Finding:
    """Whether a constraint may be what refuses completions."""
    if not constraints:
        return CONSTRAINT.ok("river_job has River's own check constraints only")
    text = f"river_job has a check constraint that is not River's: {', '.join(each.name for each in constraints)}"
    evidence = [f"{each.name}: {each.definition}" for each in constraints]
    if completing:
        return CONSTRAINT.note(text, *evidence)
    return CONSTRAINT.problem(
        f"{text}, and no completion is committed", *evidence,
        remedy="drop it if it does not allow `completed`; the evidence has what it takes to add it again",
        sql="\n".join(
            f"ALTER TABLE {quoted_table(schema)} DROP CONSTRAINT {identifier(each.name)};" for each in constraints
        ),
    )  # fmt: skip


def judge_privileges(forbidden: Sequence[str], users: Sequence[str], schema: str) -> Finding:
    """Whether River may write completions.

    Args:
        forbidden: users of River's that may not.
        users: whom River logs in as, where that was seen.
    """
    if not users:
        return PRIVILEGE.not_examined("no session of River's was seen, so its user is not known")
    if not forbidden:
        return PRIVILEGE.ok(f"{', '.join(users)} may update river_job")
    return PRIVILEGE.problem(
        f"{', '.join(forbidden)} may not update river_job",
        remedy="grant it again",
        sql="\n".join(f"GRANT UPDATE ON {quoted_table(schema)} TO {identifier(user)};" for user in forbidden),
    )


def judge_read_only(owners: Sequence[str]) -> Finding:
    """Whether sessions of River's begin read-only.

    Args:
        owners: of the setting, as ALTER names them.
    """
    if not owners:
        return READ_ONLY.ok("sessions may write")
    statements = [
        f"ALTER {owner} SET default_transaction_read_only = off;\nSELECT pg_reload_conf();" if owner == "SYSTEM"
        else f"ALTER {owner} RESET default_transaction_read_only;"
        for owner in owners
    ]  # fmt: skip
    return READ_ONLY.problem(
        f"default_transaction_read_only is on for {', '.join(owner.lower() for owner in owners)}",
        remedy="unless it is on purpose, as on a server that is being replaced and whose writes are lost: allow "
        "writes, and restart River, as open sessions keep what their role or database had",
        sql="\n".join(statements),
    )


GROUP = Group("Refusals", (CONSTRAINT, PRIVILEGE, READ_ONLY), examine)
