-- WAL written, and the time that took where track_wal_io_timing is on: since PostgreSQL 18 that is in pg_stat_io.
select
    extract(epoch from pg_postmaster_start_time())::float8 as started,
    extract(epoch from greatest(w.stats_reset, i.stats_reset))::float8 as reset,
    w.wal_bytes::float8 as bytes,
    w.wal_buffers_full::float8 as buffers_full,
    case when t.timing then i.write_time / 1000 end as write_seconds,
    case when t.timing then i.fsync_time / 1000 end as sync_seconds
from pg_catalog.pg_stat_wal as w
cross join (select current_setting('track_wal_io_timing') = 'on' as timing) as t
cross join (
    select
        max(io.stats_reset) as stats_reset,
        coalesce(sum(io.write_time), 0) as write_time,
        coalesce(sum(io.fsync_time), 0) as fsync_time
    from pg_catalog.pg_stat_io as io
    where io.object = 'wal'
) as i
