-- What a session's transaction has locked, which tells what it has done: another table than river_job was touched (which
-- tells nothing where river_job has triggers, which may touch any); rows of river_job were changed; some were inserted,
-- for which the sequence was asked; somebody is to be notified.
select
    coalesce(bool_or(
        c.relkind in ('r', 'p')
        and c.relname <> 'river_job'
        and n.nspname not in ('pg_catalog', 'pg_toast', 'information_schema')
    ), false) as "foreign",
    exists (
        select
        from pg_catalog.pg_trigger as t
        join pg_catalog.pg_class as j on j.oid = t.tgrelid
        where j.relname = 'river_job' and not t.tgisinternal and t.tgenabled <> 'D'
    ) as triggers,
    coalesce(bool_or(c.relname = 'river_job' and l.mode = 'RowExclusiveLock'), false) as updates,
    coalesce(bool_or(c.relkind = 'S' and c.relname like 'river\_job%%'), false) as inserts,
    coalesce(bool_or(l.locktype = 'object' and l.database = 0), false) as notifies
from pg_catalog.pg_locks as l
left join pg_catalog.pg_class as c on c.oid = l.relation and l.database = %(database)s
left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where l.pid = %(pid)s and l.granted
