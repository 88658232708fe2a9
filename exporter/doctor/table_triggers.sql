-- Triggers of river_job that are not internal and are enabled; bit 16 of tgtype is UPDATE (manual, "pg_trigger").
select
    g.tgname::text as name,
    p.proname::text as function,
    (g.tgtype & 16) <> 0 as updates
from pg_catalog.pg_trigger as g
join pg_catalog.pg_class as t on t.oid = g.tgrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
join pg_catalog.pg_proc as p on p.oid = g.tgfoid
where
    n.nspname = %(schema)s
    and t.relname = 'river_job'
    and not g.tgisinternal
    and g.tgenabled <> 'D'
order by g.tgname
