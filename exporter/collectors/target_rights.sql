-- What this role may read of River's tables in one schema; null where the table is not there.
select
    coalesce(bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')), false) as river_job,
    (select has_table_privilege(l.oid, 'SELECT') from pg_catalog.pg_class as l
        where l.relnamespace = c.relnamespace and l.relname = 'river_leader') as river_leader,
    (select has_table_privilege(l.oid, 'SELECT') from pg_catalog.pg_class as l
        where l.relnamespace = c.relnamespace and l.relname = 'river_queue') as river_queue,
    (select has_table_privilege(l.oid, 'SELECT') from pg_catalog.pg_class as l
        where l.relnamespace = c.relnamespace and l.relname = 'river_client') as river_client,
    (select has_table_privilege(l.oid, 'SELECT') from pg_catalog.pg_class as l
        where l.relnamespace = c.relnamespace and l.relname = 'river_migration') as river_migration
from pg_catalog.pg_class as c
join pg_catalog.pg_attribute as a on a.attrelid = c.oid
where
    c.oid = (
        select r.oid from pg_catalog.pg_class as r join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
        where n.nspname = %(schema)s and r.relname = 'river_job'
    )
    and has_schema_privilege(c.relnamespace, 'USAGE')
    and a.attname = any(%(columns)s)
group by c.relnamespace
