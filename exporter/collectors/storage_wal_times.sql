-- Time in writing and flushing WAL: pg_stat_wal is of PostgreSQL 14, and this asks nothing.
select
    null::float8 as reset,
    0::float8 as write_seconds,
    0::float8 as sync_seconds
where false
