"""River for JavaScript and TypeScript: the npm packages ``riverqueue`` and ``@riverqueue/driver-pg``.

A comment marks the two statements that it cancels in the server: ``/* river:jobCompleteMany */`` and
``/* river:reindex */``. River's tables are quoted.
"""

from exporter.river.runtime import Completer, Runtime, Shape

_INPUT = "with job_input as (select * from unnest($1::bigint[], $2::smallint[],"

_SHAPES = (
    Shape("JobSetStateIfRunningMany", _INPUT, (), _INPUT, wrapped=False, certain=True),
    Shape("JobGetAvailable", "with queue_limits as (select * from unnest(", certain=True),
    Shape("JobGetStuck", "select * from river_job where state =", ("and id >", "and attempted_at <", "limit")),
    Shape("JobRescueMany", "with rescued as (select * from unnest(", certain=True),
    Shape("JobGetByID", "select * from river_job where id =", ("limit",)),
    Shape("JobGetByIDMany", "select * from river_job where id = any("),
    Shape("JobList", "select * from river_job where (cardinality("),
    Shape("JobGetCancelRequested", "select id::text as id from river_job where id = any("),
    Shape("JobUpdate", "update river_job set metadata = case when"),
    Shape("JobInsertFastMany", "with raw_job_data as (select input_order,"),
    Shape("LeaderResign", "with held as (select * from river_leader where"),
    Shape("LeaderGetElectedLeader", "select * from river_leader limit"),
    Shape("LeaderGetElectedLeader", "select 1 from river_leader where elected_at ="),
    Shape("LeaderGetElectedLeader", "select $1 from river_leader where elected_at ="),
    Shape("LeaderGetElectedLeader", "select $3 from river_leader where elected_at ="),
    Shape("QueueGet", "select *, metadata::text as metadata_text from river_queue where name ="),
    Shape("QueueList", "select *, metadata::text as metadata_text from river_queue where name >"),
    # Pausing and resuming are one text.
    Shape("QueuePause", "with updated as (update river_queue set paused_at = case"),
    Shape("QueueUpdate", "with updated as (update river_queue set metadata = case"),
)

_BARE = (
    Shape("PGNotifyMany", "select pg_notify(concat(coalesce($1::text, current_schema()),"),
    Shape("PGNotifyMany", "with notifications as (select pg_notify(concat(coalesce($1::text, current_schema()),"),
    Shape("PGGetProductAndVersion", "select current_setting(", ("as date_style", "yb_listen_notify_enabled")),
    Shape("IndexReindexArtifacts", "with index_artifacts as (select c.relname::text as artifact_name"),
)

JAVASCRIPT = Runtime(
    name="javascript",
    title="JavaScript",
    package="npm riverqueue, @riverqueue/driver-pg",
    read=("0.2.0",),
    run=(),
    completer=Completer(
        attempts=3,
        timeout=10.0,
        sleeps=(1.0, 2.0, 4.0),
        at_deadline="cancelled",
        afterwards="dropped",
        batch=None,
        per_statement=None,
        at_once=2,
        wrapped=False,
    ),
    shapes=_SHAPES,
    bare=_BARE,
)
"""A batch that failed for a passing reason is kept; any other is dropped, and its jobs stay running."""

MARKERS = {"/* river:jobCompleteMany */": "JobSetStateIfRunningMany", "/* river:reindex */": "IndexReindex"}
"""The comments before its statements, and what follows them."""
