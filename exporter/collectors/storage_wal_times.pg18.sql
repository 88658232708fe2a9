-- Time in writing and flushing WAL, where track_wal_io_timing is on: since PostgreSQL 18 that is in pg_stat_io.
select
    extract(epoch from max(i.stats_reset))::float8 as reset,
    coalesce(sum(i.write_time), 0) / 1000 as write_seconds,
    coalesce(sum(i.fsync_time), 0) / 1000 as sync_seconds
from pg_catalog.pg_stat_io as i
where i.object = 'wal'
having current_setting('track_wal_io_timing') = 'on'
