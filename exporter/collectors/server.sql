-- Connections of the whole server, and what went wrong in this database.
select
    extract(epoch from d.stats_reset)::float8 as reset,
    (select sum(every.numbackends) from pg_catalog.pg_stat_database as every)::float8 as connections,
    current_setting('max_connections')::float8 as most,
    d.temp_files::float8 as temp_files,
    d.temp_bytes::float8 as temp_bytes,
    d.deadlocks::float8 as deadlocks
from pg_catalog.pg_stat_database as d
where d.datname = current_database()
