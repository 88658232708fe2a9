-- The size of river_job's parts. It waits for a lock on the table, as every reader of it does.
select
    pg_relation_size(c.oid)::float8 as heap,
    pg_indexes_size(c.oid)::float8 as indexes,
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)::float8 as toast
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = 'river_job'
