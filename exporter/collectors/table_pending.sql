-- The pending lists of river_job's GIN indexes; the extension reads one page of each, and pg_monitor may call it.
select
    x.relname::text as index,
    p.pending_pages::float8 as pages
from pg_catalog.pg_index as i
join pg_catalog.pg_class as x on x.oid = i.indexrelid
join pg_catalog.pg_am as a on a.oid = x.relam and a.amname = 'gin'
join pg_catalog.pg_class as c on c.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
cross join lateral {schema}.pgstatginindex(x.oid::regclass) as p
where n.nspname = %(schema)s and c.relname = 'river_job' and i.indisvalid
