-- Every client session of this database, as it is at this moment. Ages are the server's own, in seconds.
select
    a.pid,
    coalesce(extract(epoch from a.backend_start)::float8, 0) as started,
    coalesce(a.usename, '') as usename,
    coalesce(a.application_name, '') as application,
    coalesce(host(a.client_addr), '') as address,
    coalesce(a.state, '') as state,
    a.wait_event_type,
    a.wait_event,
    extract(epoch from a.xact_start)::float8 as transaction,
    coalesce(extract(epoch from a.query_start)::float8, 0) as statement,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as transaction_age,
    coalesce(extract(epoch from clock_timestamp() - a.query_start)::float8, 0) as statement_age,
    coalesce(extract(epoch from clock_timestamp() - a.state_change)::float8, 0) as idle_since,
    a.query,
    coalesce(extract(epoch from clock_timestamp() - a.backend_start)::float8, 0) as age
from pg_catalog.pg_stat_activity as a
where
    a.datname = current_database()
    and a.backend_type = 'client backend'
    and a.pid <> pg_backend_pid()
