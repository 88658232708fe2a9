-- WAL written, by its position: pg_stat_wal is of PostgreSQL 14.
select
    null::float8 as reset,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes,
    null::float8 as buffers_full
