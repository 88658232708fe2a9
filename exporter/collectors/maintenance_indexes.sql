-- Which valid indexes river_job has: a reindex makes others.
select array_agg(i.indexrelid::int8 order by i.indexrelid) as indexes
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = 'river_job' and i.indisvalid
