"""The statements that several runtimes write alike, so that the text does not identify the sender."""

from exporter.river.runtime import Shape

SHAPES = (
    # Leadership. Up to v0.34 Go's leader holds on to its row by the same insert as it won it.
    Shape("LeaderAttemptElect", "insert into river_leader", ("do nothing",)),
    Shape("LeaderAttemptReelect", "insert into river_leader", ("do update",)),
    Shape("LeaderAttemptReelect", "update river_leader set expires_at"),
    Shape("LeaderDeleteExpired", "delete from river_leader where expires_at <"),
    Shape("LeaderResign", "with currently_held_leaders as"),
    Shape("LeaderResign", "delete from river_leader where leader_id ="),
    # Queues.
    Shape("QueueCreateOrSetUpdatedAt", "insert into river_queue", ("on conflict",)),
    Shape("QueueDeleteExpired", "delete from river_queue where", ("updated_at <",)),
    Shape("QueueGet", "select name, created_at,", ("from river_queue where name =",)),
    Shape("QueueList", "select name, created_at,", ("from river_queue order by name",)),
    Shape("QueuePause", "update river_queue set paused_at = case"),
    Shape("QueueResume", "update river_queue set updated_at = case when paused_at is not null"),
    Shape("QueueUpdate", "update river_queue set metadata = case"),
    # Jobs.
    Shape("JobDeleteBefore", "delete from river_job where", ("finalized_at <",)),
    Shape("JobDelete", "with job_to_delete as"),
    Shape("JobDeleteMany", "with jobs_to_delete as"),
    Shape("JobGetCancelRequested", "select id from river_job where id = any(", ("metadata ?",)),
    Shape("JobCancel", "with locked_job as", ("pg_notify",)),
    Shape("JobCancel", "update river_job set state = case when state ="),
    Shape("JobRetry", "with job_to_update as"),
    Shape("JobRetry", "update river_job set state =", ("max_attempts = case when attempt = max_attempts",)),
    Shape("JobSchedule", "with jobs_to_schedule as"),
    Shape("JobSchedule", "update river_job set state =", ("where id =", "and state in (")),
    Shape(
        "JobSchedule",
        "update river_job set state =",
        (", finalized_at =", "metadata = metadata ||", "::jsonb where id ="),
    ),
    # Maintaining indexes.
    Shape("IndexReindex", "reindex index concurrently river_"),
    Shape("IndexDropIfExists", "drop index concurrently if exists river_"),
)
"""Statements on River's tables."""

BARE_SHAPES = (
    Shape("PGGetProductAndVersion", "select version()", ("yb_listen_notify_enabled",)),
    Shape("IndexesExist", "with index_names as", ("from pg_catalog.pg_class",)),
    # A listener asks for the schema that its topics begin with.
    Shape("other_river", "select current_schema()"),
    Shape("other_river", "select coalesce(current_schema(),"),
)
"""Statements that name none of River's tables, so that another program's may look the same."""

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
