"""River for Java: ``com.riverqueue:river``, on JDBC. No comments, and no blanks around operators."""

from exporter.river.runtime import Completer, Runtime, Shape

_COLUMNS = "select id, args, attempt, attempted_at, array_to_json(attempted_by)"
_CHOICE = "with choice as (select"

_SHAPES = (
    # One job each; what becomes of it is a parameter.
    Shape("JobSetStateIfRunning", _CHOICE, ("::text as target_state",), wrapped=True, certain=True),
    Shape(
        "JobSetStateIfRunning",
        _CHOICE,
        alone="with choice as (select $1::text as target_state, $2::timestamptz as now)",
        wrapped=True,
    ),
    Shape(
        "JobGetAvailable",
        "update river_job set state =",
        ("attempt = attempt +", "attempted_by = array_append("),
        certain=True,
    ),
    Shape("JobGetStuck", _COLUMNS, ("from river_job where state =", "and attempted_at <", "and id >")),
    Shape("JobRescueMany", "update river_job set state = case when state in ("),
    Shape("JobGetByID", _COLUMNS, ("from river_job where id =",)),
    Shape("JobList", _COLUMNS, ("from river_job where", "order by", "limit")),
    Shape("JobGetCancelRequested", "select id from river_job where state =", ("metadata ->>",)),
    Shape("JobSchedule", "select id, unique_key from river_job where state in ("),
    Shape("JobSchedule", "select id from river_job where id <>", ("unique_key =",)),
    Shape("JobSchedule", "update river_job set state =", ("where state in (", "scheduled_at <=")),
    Shape(
        "JobInsertFastMany", "insert into river_job (args, created_at, kind, max_attempts, metadata,", (") values (",)
    ),
    Shape("JobDelete", "delete from river_job where id =", ("and state !=",)),
    Shape("JobUpdate", "update river_job set metadata = jsonb_set("),
    Shape("JobUpdate", "update river_job set scheduled_at ="),
    Shape("LeaderGetElectedLeader", "select leader_id, elected_at from river_leader"),
    Shape("QueuePause", "update river_queue set updated_at = case when paused_at is null"),
    Shape("QueueUpdate", "update river_queue set metadata ="),
)

_BARE = (
    Shape("PGNotifyMany", "select pg_notify(coalesce(nullif("),
    Shape("IndexReindexArtifacts", "select quote_ident(n.nspname) ||", ("from pg_class c join pg_namespace n",)),
)

JAVA = Runtime(
    name="java",
    title="Java",
    package="com.riverqueue:river",
    read=("0.48.0-alpha.1",),
    run=(),
    completer=Completer(
        attempts=None,
        timeout=None,
        sleeps=(0.1,),
        at_deadline="none",
        afterwards="retried",
        batch=1_000,
        per_statement=1,
        at_once=1,
        wrapped=True,
    ),
    shapes=_SHAPES,
    bare=_BARE,
)
