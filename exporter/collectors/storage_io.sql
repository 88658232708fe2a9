-- I/O of all kinds of processes on tables and their indexes: pg_stat_io is of PostgreSQL 16, and this asks nothing.
select
    null::float8 as reset,
    ''::text as operation,
    0::float8 as operations,
    null::float8 as seconds
where false
