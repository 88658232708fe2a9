-- What this role may read of River's tables, one row for each that is there.
-- Reads under row-level security succeed and return what the policies leave. row_security_active() is true also where a
-- policy leaves everything, so the policies that apply to us are looked at: one that lets all rows through is enough, unless
-- another restricts them.
with applied as (
    select
        p.polrelid,
        p.polpermissive,
        pg_get_expr(p.polqual, p.polrelid) = 'true' as everything
    from pg_catalog.pg_policy as p
    where
        p.polcmd in ('r', '*')
        and exists (select from unnest(p.polroles) as r (role) where r.role = 0 or pg_has_role(r.role, 'usage'))
)
select
    n.nspname::text as schema,
    quote_ident(n.nspname) as quoted,
    c.relname::text as relation,
    c.relkind in ('r', 'p') as is_table,
    has_schema_privilege(n.oid, 'USAGE') as reachable,
    has_table_privilege(c.oid, 'SELECT') as readable,
    array(
        select a.attname::text from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attname = any(%(columns)s) and not has_column_privilege(c.oid, a.attnum, 'SELECT')
        order by array_position(%(columns)s::text[], a.attname::text)
    ) as closed_columns,
    row_security_active(c.oid)
    and not exists (select from applied as p where p.polrelid = c.oid and p.polpermissive and p.everything) as hidden,
    row_security_active(c.oid)
    and exists (select from applied as p where p.polrelid = c.oid and not p.polpermissive and not p.everything)
        as restricted
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where
    n.nspname = any(%(schemas)s)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and c.relname in (
        'river_job', 'river_leader', 'river_queue', 'river_client', 'river_client_queue', 'river_migration'
    )
order by n.nspname, c.relname
