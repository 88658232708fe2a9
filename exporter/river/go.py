"""River for Go, the first of the runtimes: its driver modules riverpgxv5 and riverdatabasesql.

Every statement but LISTEN and COPY begins with a comment that names it (``-- name: JobGetAvailable :many``).
"""

from exporter.river.facts import COMPLETER_ATTEMPTS, COMPLETER_BATCH_SIZE, COMPLETER_SLEEPS, HOT_OPERATION_TIMEOUT
from exporter.river.runtime import Completer, Runtime, Shape

_INPUT = "with job_input as (select unnest($1::bigint[]) as id, unnest($2::boolean[]) as attempt_do_update"

_SHAPES = (
    # Completing. Up to v0.22 the CTE job_to_update locks the rows first.
    Shape("JobSetStateIfRunningMany", "with job_input as", ("), job_to_update as",), _INPUT, wrapped=True),
    Shape("JobSetStateIfRunningMany", "with job_input as", ("), updated as",), _INPUT, wrapped=False),
    Shape("JobSetStateIfRunningMany", "with job_input as", (), _INPUT),
    Shape("JobSetCompleteIfRunningMany", "with job_to_finalized_at as"),
    Shape("JobSetStateIfRunning", "with job_to_update as", ("should_cancel",)),
    # Fetching, deleting, inserting.
    Shape("JobGetAvailable", "with locked_jobs as"),
    Shape("JobUpdate", "with locked_job as"),
    Shape("JobDeleteBefore", "with deleted_jobs as", ("finalized_at <",)),
    Shape("JobInsertFullMany", "with raw_job_data as", ("as attempted_at",)),
    Shape("JobInsertFastMany", "with raw_job_data as"),
    Shape("JobInsertFastManyNoReturning", "insert into river_job", ("unnest(", "do nothing")),
    Shape("JobInsertFastMany", "insert into river_job", ("unnest(", "unique_skipped_as_duplicate")),
    Shape("JobInsertFull", "insert into river_job", (") values (", "finalized_at", "returning")),
    Shape("JobInsertFastManyCopyFrom", "copy river_job", (" from stdin",)),
    # Updating and rescuing.
    Shape("JobRescueMany", "update river_job set", ("as updated_job where",)),
    Shape("JobUpdateFull", "update river_job set", ("max_attempts = case when",)),
    Shape("JobUpdate", "update river_job set", ("attempt = case when",)),
    # Reading jobs.
    Shape("JobCountByQueueAndState", "with all_queues as", ("running_job_counts",)),
    Shape("JobCountByAllStates", "select state, count(*) from river_job group by state"),
    Shape("JobCountByState", "select count(*) from river_job where state = $"),
    Shape("JobKindList", "select distinct on (kind) kind from river_job"),
    Shape("JobGetStuck", "select id, args, attempt,", ("from river_job", "and attempted_at <", "limit")),
    Shape("JobGetByID", "select id, args, attempt,", ("from river_job where id = $", "limit")),
    Shape("JobList", "select id, args, attempt,", ("from river_job", "limit")),
    Shape("JobGetByKindAndUniqueProperties", "select id, args, attempt,", ("from river_job", "tstzrange(")),
    Shape("JobGetByIDMany", "select id, args, attempt,", ("from river_job where id = any(",)),
    Shape("JobGetByKindMany", "select id, args, attempt,", ("from river_job where kind = any(",)),
    # Leadership.
    Shape("LeaderInsert", "insert into river_leader", ("returning",)),
    Shape("LeaderGetElectedLeader", "select elected_at, expires_at, leader_id, name from river_leader"),
    # Queues and clients. Up to v0.22 pausing and resuming go through a CTE.
    Shape("QueuePause", "with queue_to_update as (select name, paused_at"),
    Shape("QueueResume", "with queue_to_update as"),
    Shape("QueueResume", "update river_queue set paused_at ="),
    Shape("QueueNameList", "select name from river_queue where name >"),
    Shape("ClientQueueCreateOrSetUpdatedAtMany", "insert into river_client_queue", ("on conflict",)),
    Shape("ClientCreateOrSetUpdatedAt", "insert into river_client", ("on conflict",)),
    # Notifications.
    Shape("NotificationDeleteBefore", "delete from river_notification where", ("created_at <",)),
    # Migrating.
    Shape("RiverMigrationDeleteByLineAndVersionMany", "delete from river_migration where line ="),
    Shape("RiverMigrationDeleteAssumingMainMany", "delete from river_migration where version = any("),
    Shape("RiverMigrationGetByLine", "select line, version, created_at from river_migration"),
    Shape("RiverMigrationGetAllAssumingMain", "select created_at, version from river_migration"),
    Shape("RiverMigrationInsert", "insert into river_migration", ("line", ") values (")),
    Shape("RiverMigrationInsertMany", "insert into river_migration", ("line", "unnest(")),
    Shape("RiverMigrationInsertManyAssumingMain", "insert into river_migration", ("unnest(",)),
)

_BARE = (
    Shape("PGNotifyMany", "with topic_to_notify as"),
    Shape("IndexReindexArtifacts", "with index_artifacts as", ("as suffix from pg_catalog.pg_class",)),
    Shape("IndexExists", "select exists (", ("from pg_catalog.pg_class", "pg_class.relkind")),
    Shape("TableExists", "select case when to_regclass($"),
    Shape("ColumnExists", "select exists (select column_name from information_schema.columns"),
    Shape("SchemaGetExpired", "select schema_name::text from information_schema.schemata"),
    Shape("PGAdvisoryXactLock", "select pg_advisory_xact_lock($"),
)

GO = Runtime(
    name="go",
    title="Go",
    package="module github.com/riverqueue/river",
    read=("0.16.0 to 0.51.2",),
    run=("0.16.0", "0.51.1"),
    completer=Completer(
        attempts=COMPLETER_ATTEMPTS,
        timeout=HOT_OPERATION_TIMEOUT,
        sleeps=COMPLETER_SLEEPS,
        at_deadline="cancelled",
        afterwards="kept",
        batch=COMPLETER_BATCH_SIZE,
        per_statement=COMPLETER_BATCH_SIZE,
        at_once=1,
        wrapped=False,
    ),
    shapes=_SHAPES,
    bare=_BARE,
)
"""Before v0.40 an abandoned batch is lost; up to v0.23 the statement is wrapped: see `facts`."""
