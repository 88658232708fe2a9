-- WAL written, by its position: pg_stat_wal is of PostgreSQL 14.
select
    extract(epoch from pg_postmaster_start_time())::float8 as started,
    null::float8 as reset,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes,
    null::float8 as buffers_full,
    null::float8 as write_seconds,
    null::float8 as sync_seconds
