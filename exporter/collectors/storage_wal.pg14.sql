-- WAL written, and the time that took where track_wal_io_timing is on.
select
    extract(epoch from pg_postmaster_start_time())::float8 as started,
    extract(epoch from w.stats_reset)::float8 as reset,
    w.wal_bytes::float8 as bytes,
    w.wal_buffers_full::float8 as buffers_full,
    case when t.timing then w.wal_write_time / 1000 end as write_seconds,
    case when t.timing then w.wal_sync_time / 1000 end as sync_seconds
from pg_catalog.pg_stat_wal as w
cross join (select current_setting('track_wal_io_timing') = 'on' as timing) as t
