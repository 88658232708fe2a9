-- I/O of all kinds of processes on tables and their indexes; the times where track_io_timing is on.
-- WAL, which PostgreSQL 18 counts here too, is left out so that all versions mean the same.
select
    extract(epoch from i.stats_reset)::float8 as reset,
    o.operation,
    o.operations::float8 as operations,
    case when current_setting('track_io_timing') = 'on' then o.milliseconds / 1000 end as seconds
from (
    select
        max(io.stats_reset) as stats_reset,
        coalesce(sum(io.reads), 0) as reads,
        coalesce(sum(io.read_time), 0) as read_time,
        coalesce(sum(io.writes), 0) as writes,
        coalesce(sum(io.write_time), 0) as write_time,
        coalesce(sum(io.extends), 0) as extends,
        coalesce(sum(io.extend_time), 0) as extend_time,
        coalesce(sum(io.fsyncs), 0) as fsyncs,
        coalesce(sum(io.fsync_time), 0) as fsync_time
    from pg_catalog.pg_stat_io as io
    where io.object <> 'wal'
) as i
cross join lateral (
    values
    ('read', i.reads, i.read_time),
    ('write', i.writes, i.write_time),
    ('extend', i.extends, i.extend_time),
    ('fsync', i.fsyncs, i.fsync_time)
) as o (operation, operations, milliseconds)
