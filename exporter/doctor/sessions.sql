-- Every session of the server, those of other databases and of replicas included: any of them may block.
select
    a.pid,
    coalesce(a.usename, '') as usename,
    coalesce(a.application_name, '') as application,
    coalesce(host(a.client_addr), '') as address,
    coalesce(a.backend_type, '') as backend_type,
    coalesce(a.state, '') as state,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as transaction,
    coalesce(extract(epoch from clock_timestamp() - a.state_change)::float8, 0) as idle,
    coalesce(a.query, '') as query
from pg_catalog.pg_stat_activity as a
where a.pid <> pg_backend_pid()
