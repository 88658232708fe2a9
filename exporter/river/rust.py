"""River for Rust: the crate ``riverqueue``, on sqlx. One line, no comments, names quoted, ``job`` for the table."""

from exporter.river.runtime import Completer, Runtime, Shape

_INPUT = "with job_input as (select * from unnest($1::bigint[], $2::boolean[],"

_SHAPES = (
    Shape("JobSetStateIfRunningMany", _INPUT, (), _INPUT, wrapped=False, certain=True),
    # Completes in the user's transaction, in words of its own.
    Shape("JobCompleteTx", "update river_job as job set state =", ("finalized_at = now(), metadata = metadata ||",)),
    Shape("JobGetAvailable", "with locked as (select id from river_job where state =", certain=True),
    Shape(
        "JobGetAvailable",
        "update river_job as job set state =",
        ("attempt = job.attempt +", "attempted_by = array_append("),
    ),
    Shape("JobGetStuck", "select job.id, job.attempt,", ("from river_job as job where state =", "attempted_at <")),
    Shape(
        "JobRescueMany",
        "update river_job as job set errors = array_append(job.errors, updated_job.error)",
        certain=True,
    ),
    Shape("JobGetByID", "select job.id, job.attempt,", ("from river_job as job where id = $", "limit")),
    Shape("JobGetByID", "select state::text from river_job where id ="),
    Shape("JobGetByIDMany", "select job.id, job.attempt,", ("from river_job as job where id = any(",)),
    Shape("JobList", "select job.id, job.attempt,", ("from river_job as job where (cardinality(",)),
    Shape("JobCancel", "with locked as (select id, queue, state, finalized_at from river_job where id ="),
    Shape("JobRetry", "with locked as (select id from river_job where id ="),
    Shape("JobDelete", "delete from river_job as job where id ="),
    Shape("JobUpdate", "update river_job as job set metadata = metadata ||"),
    Shape("JobInsertFastMany", "with inserted as (insert into river_job (args, created_at, kind,"),
    Shape("QueueGet", "select created_at, metadata, metadata::text as metadata_text,", ("where name =",)),
    Shape("QueueList", "select created_at, metadata, metadata::text as metadata_text,", ("order by name",)),
    Shape("QueuePause", "update river_queue set paused_at = coalesce(paused_at, now())"),
)

_BARE = (
    # How long a statement of the maintenance may take, set within its transaction.
    Shape("other_river", "select pg_backend_pid(), set_config("),
    Shape("PGNotifyMany", "select pg_notify(concat(coalesce($1::text, current_schema()),"),
    Shape("IndexesExist", "select index_name::text, exists (select", ("from pg_catalog.pg_class",)),
    Shape("IndexReindexArtifacts", "select index_name from (select c.relname::text as index_name,"),
)

RUST = Runtime(
    name="rust",
    title="Rust",
    package="crate riverqueue",
    read=("0.5.0",),
    run=("0.5.0",),
    completer=Completer(
        attempts=3,
        timeout=10.0,
        sleeps=(1.0, 2.0),
        at_deadline="dropped",
        afterwards="kept",
        batch=5_000,
        per_statement=5_000,
        at_once=2,
        wrapped=False,
    ),
    shapes=_SHAPES,
    bare=_BARE,
)
"""The second statement beside the first starts only from a full batch on, or as a retry beside a dropped one."""
