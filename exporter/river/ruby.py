"""River for Ruby: the gems ``riverqueue``, ``riverqueue-activerecord`` and ``riverqueue-sequel``.

Values stand in the text, so that the text of each completion is another one. Its cleaner deletes only what a SELECT
before found due: that SELECT is the cleaner at work.
"""

from exporter.river.runtime import Completer, Runtime, Shape

_SHAPES = (
    # Completing: by the literal as pg_stat_activity shows it, by the rest as pg_stat_statements does.
    Shape(
        "JobSetStateIfRunning", "update river_job set state = 'completed', finalized_at =", wrapped=False, certain=True
    ),
    Shape(
        "JobSetStateIfRunning",
        "update river_job set state = $1, finalized_at = $2::timestamptz",
        ("and state =", "and not (metadata ?"),
        wrapped=False,
        certain=True,
    ),
    # Any other end. The rescuer uses it as well, and only its constants show that.
    *(
        Shape(operation, start, has, wrapped=wrapped, certain=True)
        for start in (
            "update river_job set attempt = case when not (metadata ?",
            "update river_job set errors = array_append(errors, '",
            "update river_job set errors = array_append(errors, $",
            "update river_job set finalized_at = case when metadata ?",
        )
        for operation, has, wrapped in (
            ("JobSetStateIfRunning", (), False),
            ("JobRescueMany", ("river:rescue_count",), None),
        )
    ),
    Shape("JobGetAvailable", "update river_job set attempt = case when attempt <", ("attempted_by = array_append(",)),
    Shape("JobGetStuck", "select id from river_job where state =", ("and attempted_at <", "for update skip locked")),
    Shape("JobGetByID", "select river_job.* from river_job where river_job.id ="),
    Shape("JobGetByID", "select * from river_job where (id ="),
    Shape("JobList", "select * from river_job", ("order by", "limit")),
    Shape("JobGetCancelRequested", "select id from river_job where id in (", ("metadata ?",)),
    Shape("JobSchedule", "select id from river_job where state in (", ("and scheduled_at <=",)),
    Shape("JobDeleteBefore", "select id from river_job where (state =", ("and finalized_at <",)),
    Shape("JobInsertFastMany", "insert into river_job (args, kind, max_attempts, metadata, priority,", (") values (",)),
    Shape("JobDelete", "delete from river_job where id =", ("and state !=",)),
    Shape("JobDeleteMany", "delete from river_job where id in (", ("and state !=",)),
    Shape("JobUpdate", "update river_job set metadata = metadata ||"),
    Shape("LeaderGetElectedLeader", "select leader_id from river_leader where leader_id ="),
    Shape("QueueUpdate", "update river_queue set metadata ="),
)

_BARE = (Shape("PGNotifyMany", "select pg_notify(current_schema() ||"),)

RUBY = Runtime(
    name="ruby",
    title="Ruby",
    package="gems riverqueue, riverqueue-activerecord, riverqueue-sequel",
    read=("0.13.0",),
    run=(),
    completer=Completer(
        attempts=1,
        timeout=None,
        sleeps=(),
        at_deadline="none",
        afterwards="recorded as failed",
        batch=1,
        per_statement=1,
        at_once=None,
        wrapped=False,
    ),
    shapes=_SHAPES,
    bare=_BARE,
)
