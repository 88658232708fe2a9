-- The name of river_job's primary key.
select c.relname::text as name
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_class as t on t.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
where n.nspname = %(schema)s and t.relname = 'river_job' and i.indisprimary
