-- Sessions that idle in a transaction with locks on River's tables, the oldest first.
select
    a.pid,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as age,
    extract(epoch from clock_timestamp() - a.state_change)::float8 as idle
from pg_catalog.pg_stat_activity as a
where
    a.datname = current_database()
    and a.state like 'idle in transaction%%'
    and a.xact_start < clock_timestamp() - interval '5 seconds'
    and exists (
        select
        from pg_catalog.pg_locks as l
        join pg_catalog.pg_class as c on c.oid = l.relation
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where
            l.pid = a.pid
            and l.database = a.datid
            and n.nspname = any(%(schemas)s)
            and c.relname like 'river\_%%'
    )
order by a.xact_start
limit 20
