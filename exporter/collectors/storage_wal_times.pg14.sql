-- Time in writing and flushing WAL, where track_wal_io_timing is on.
select
    extract(epoch from w.stats_reset)::float8 as reset,
    w.wal_write_time / 1000 as write_seconds,
    w.wal_sync_time / 1000 as sync_seconds
from pg_catalog.pg_stat_wal as w
where current_setting('track_wal_io_timing') = 'on'
