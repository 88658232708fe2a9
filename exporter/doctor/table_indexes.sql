-- The indexes of river_job. pg_stat_all_indexes has the invalid ones too.
select
    c.relname::text as name,
    i.indisvalid and i.indisready as valid,
    pg_relation_size(c.oid)::float8 as size,
    coalesce(s.idx_scan, 0)::float8 as scans,
    i.indisprimary as primary
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_class as t on t.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
left join pg_catalog.pg_stat_all_indexes as s on s.indexrelid = i.indexrelid
where n.nspname = %(schema)s and t.relname = 'river_job'
order by c.relname
