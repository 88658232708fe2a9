-- Connections in use, of all there are for ordinary roles, and what of them is River's to have.
select
    (
        select count(*)::int from pg_catalog.pg_stat_activity as a where a.backend_type = 'client backend'
    ) as used,
    slots.number as most,
    (
        select count(*)::int
        from pg_catalog.pg_stat_activity as a
        where a.backend_type = 'client backend' and not (a.pid = any(%(pids)s::int[]))
    ) as others,
    least(
        slots.number,
        -- -1 is no limit
        (select nullif(d.datconnlimit, -1) from pg_catalog.pg_database as d where d.datname = current_database()),
        (
            select min(nullif(r.rolconnlimit, -1))
            from pg_catalog.pg_roles as r
            where r.rolname = any(%(users)s::text[]) and not r.rolsuper
        )
    )::int as limit
from (
    select
        current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        -- from PostgreSQL 16 on
        - coalesce(current_setting('reserved_connections', true), '0')::int as number
) as slots
