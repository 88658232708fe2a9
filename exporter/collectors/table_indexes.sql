-- The indexes of river_job; REINDEX CONCURRENTLY that was cut short leaves invalid ones.
select
    x.relname::text as index,
    i.indisvalid as valid,
    pg_relation_size(x.oid)::float8 as size,
    coalesce(s.idx_scan, 0)::float8 as scans
from pg_catalog.pg_index as i
join pg_catalog.pg_class as x on x.oid = i.indexrelid
join pg_catalog.pg_class as c on c.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_all_indexes as s on s.indexrelid = x.oid
where n.nspname = %(schema)s and c.relname = 'river_job'
order by x.relname
limit 200
