-- Check constraints of river_job, and which of River's users may not update it; a null user is a row of a constraint.
select
    k.conname::text as name,
    pg_get_constraintdef(k.oid) as definition,
    null::text as forbidden
from pg_catalog.pg_constraint as k
join pg_catalog.pg_class as t on t.oid = k.conrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
where n.nspname = %(schema)s and t.relname = 'river_job' and k.contype = 'c' and not (k.conname = any(%(own)s::text[]))
union all
select
    '',
    '',
    r.rolname::text
from pg_catalog.pg_roles as r
join pg_catalog.pg_class as t on t.relname = 'river_job'
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
where
    n.nspname = %(schema)s
    and r.rolname = any(%(users)s::text[])
    and not has_column_privilege(r.oid, t.oid, 'state', 'UPDATE')
