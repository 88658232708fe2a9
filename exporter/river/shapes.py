"""The features by which River's statements are told apart when their name comment is gone.

PostgreSQL 18 stores statements in pg_stat_statements without their leading comment, and every version
replaces constants by parameters there. So a feature is only what survives both: keywords, names of tables,
columns and CTEs. Read from River's driver modules riverpgxv5 and riverdatabasesql, v0.16.0 to v0.51.1.
"""

from typing import NamedTuple


class Shape(NamedTuple):
    """A statement is `operation` when its plain text begins with `start` and contains each of `has`.

    The plain text is what `exporter.river.operations` compares: lower case, single spaces, without comments,
    quotation marks and the schema in front of River's names.
    """

    operation: str
    start: str
    has: tuple[str, ...] = ()


SHAPES = (
    # Completing. Up to v0.22 the CTE job_to_update locks the rows first; JobRetry begins the same way.
    Shape("JobSetStateIfRunningMany", "with job_input as"),
    Shape("JobSetCompleteIfRunningMany", "with job_to_finalized_at as"),
    Shape("JobSetStateIfRunning", "with job_to_update as", ("should_cancel",)),
    Shape("JobRetry", "with job_to_update as"),
    # Fetching, cancelling, deleting, inserting.
    Shape("JobGetAvailable", "with locked_jobs as"),
    Shape("JobCancel", "with locked_job as", ("pg_notify",)),
    Shape("JobUpdate", "with locked_job as"),
    Shape("JobDelete", "with job_to_delete as"),
    Shape("JobDeleteMany", "with jobs_to_delete as"),
    Shape("JobDeleteBefore", "with deleted_jobs as", ("finalized_at <",)),
    Shape("JobDeleteBefore", "delete from river_job where", ("finalized_at <",)),
    Shape("JobInsertFullMany", "with raw_job_data as", ("as attempted_at",)),
    Shape("JobInsertFastMany", "with raw_job_data as"),
    Shape("JobInsertFastManyNoReturning", "insert into river_job", ("unnest(", "do nothing")),
    Shape("JobInsertFastMany", "insert into river_job", ("unnest(", "unique_skipped_as_duplicate")),
    Shape("JobInsertFull", "insert into river_job", (" values ", "finalized_at", " returning ")),
    Shape("JobInsertFastManyCopyFrom", "copy river_job", (" from stdin",)),
    # Updating and rescuing.
    Shape("JobRescueMany", "update river_job set", ("as updated_job where",)),
    Shape("JobUpdateFull", "update river_job set", ("max_attempts = case when",)),
    Shape("JobUpdate", "update river_job set", ("attempt = case when",)),
    # Scheduling.
    Shape("JobSchedule", "with jobs_to_schedule as"),
    # Reading jobs: those with a limit before those that differ by having none.
    Shape("JobCountByQueueAndState", "with all_queues as", ("running_job_counts",)),
    Shape("JobCountByAllStates", "select state, count(*) from river_job group by state"),
    Shape("JobCountByState", "select count(*) from river_job where state = $"),
    Shape("JobKindList", "select distinct on (kind) kind from river_job"),
    Shape("JobGetCancelRequested", "select id from river_job where id = any(", ("metadata ?",)),
    Shape("JobGetStuck", "select id, args,", ("from river_job", "and attempted_at <", " limit ")),
    Shape("JobGetByID", "select id, args,", ("from river_job where id = $", " limit ")),
    Shape("JobList", "select id, args,", ("from river_job", " limit ")),
    Shape("JobGetByKindAndUniqueProperties", "select id, args,", ("from river_job", "tstzrange(")),
    Shape("JobGetByIDMany", "select id, args,", ("from river_job where id = any(",)),
    Shape("JobGetByKindMany", "select id, args,", ("from river_job where kind = any(",)),
    # Leadership. Up to v0.34 the leader holds on to its row by the same insert as it won it.
    Shape("LeaderAttemptElect", "insert into river_leader", ("do nothing",)),
    Shape("LeaderAttemptReelect", "insert into river_leader", ("do update",)),
    Shape("LeaderAttemptReelect", "update river_leader set expires_at"),
    Shape("LeaderInsert", "insert into river_leader", (" returning ",)),
    Shape("LeaderResign", "with currently_held_leaders as"),
    Shape("LeaderDeleteExpired", "delete from river_leader where expires_at <"),
    Shape("LeaderGetElectedLeader", "select elected_at, expires_at, leader_id, name from river_leader"),
    # Queues and clients. Up to v0.22 pausing and resuming go through a CTE.
    Shape("QueueCreateOrSetUpdatedAt", "insert into river_queue", ("on conflict",)),
    Shape("QueueDeleteExpired", "delete from river_queue where", ("updated_at <",)),
    Shape("QueuePause", "with queue_to_update as ( select name, paused_at"),
    Shape("QueueResume", "with queue_to_update as"),
    Shape("QueueUpdate", "update river_queue set metadata = case"),
    Shape("QueuePause", "update river_queue set paused_at = case"),
    Shape("QueueResume", "update river_queue set paused_at ="),
    Shape("QueueGet", "select name, created_at,", ("from river_queue where name = $",)),
    Shape("QueueList", "select name, created_at,", ("from river_queue order by name",)),
    Shape("QueueNameList", "select name from river_queue where name >"),
    Shape("ClientQueueCreateOrSetUpdatedAtMany", "insert into river_client_queue", ("on conflict",)),
    Shape("ClientCreateOrSetUpdatedAt", "insert into river_client", ("on conflict",)),
    # Notifications.
    Shape("NotificationDeleteBefore", "delete from river_notification where", ("created_at <",)),
    # Maintaining indexes.
    Shape("IndexReindex", "reindex index concurrently river_"),
    Shape("IndexDropIfExists", "drop index concurrently if exists river_"),
    # Migrating.
    Shape("RiverMigrationDeleteByLineAndVersionMany", "delete from river_migration where line ="),
    Shape("RiverMigrationDeleteAssumingMainMany", "delete from river_migration where version = any("),
    Shape("RiverMigrationGetByLine", "select line, version, created_at from river_migration"),
    Shape("RiverMigrationGetAllAssumingMain", "select created_at, version from river_migration"),
    Shape("RiverMigrationInsert", "insert into river_migration", ("line", " values ")),
    Shape("RiverMigrationInsertMany", "insert into river_migration", ("line", "unnest(")),
    Shape("RiverMigrationInsertManyAssumingMain", "insert into river_migration", ("unnest(",)),
)
"""Statements on River's tables. Tried in this order; the first that fits names the statement."""

BARE_SHAPES = (
    Shape("PGNotifyMany", "with topic_to_notify as"),
    Shape("IndexReindexArtifacts", "with index_artifacts as", ("as suffix from pg_catalog.pg_class",)),
    Shape("IndexesExist", "with index_names as", ("from pg_catalog.pg_class",)),
    Shape("IndexExists", "select exists (", ("from pg_catalog.pg_class", "pg_class.relkind")),
    Shape("TableExists", "select case when to_regclass($"),
    Shape("ColumnExists", "select exists ( select column_name from information_schema.columns"),
    Shape("SchemaGetExpired", "select schema_name::text from information_schema.schemata"),
    Shape("PGAdvisoryXactLock", "select pg_advisory_xact_lock($"),
    Shape("PGGetProductAndVersion", "select version()", ("yb_listen_notify_enabled",)),
    # River's listener asks for the schema that its topics begin with.
    Shape("other_river", "select current_schema()"),
    Shape("other_river", "select coalesce(current_schema(),"),
)
"""Statements of River's that name none of its tables, so that another program's may look the same."""

COMMANDS = {
    "begin": "BEGIN",
    "start": "BEGIN",
    "commit": "COMMIT",
    "end": "COMMIT",
    "rollback": "ROLLBACK",
    "abort": "ROLLBACK",
    "savepoint": "SAVEPOINT",
    "release": "RELEASE",
}
"""First word of a statement that controls a transaction, and PostgreSQL's command tag for it."""
