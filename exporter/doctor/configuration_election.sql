-- The session that holds each schema's lock, by which one exporter is elected; a row per schema.
select
    wanted.schema,
    a.pid,
    coalesce(a.application_name, '') as application,
    coalesce(host(a.client_addr), 'a local socket') as address,
    extract(epoch from clock_timestamp() - a.backend_start)::float8 as connected,
    extract(epoch from clock_timestamp() - a.state_change)::float8 as silent
from unnest(%(schemas)s::text[]) as wanted (schema)
left join pg_catalog.pg_locks as l
    on
        l.locktype = 'advisory'
        and l.granted
        and l.objsubid = 2
        and l.classid::bigint = %(class)s
        and l.objid::bigint = hashtext(wanted.schema)::bigint & 4294967295
        and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = current_database())
left join pg_catalog.pg_stat_activity as a on a.pid = l.pid
