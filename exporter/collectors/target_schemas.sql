-- Where River's table is: every schema that has one, with its place in the search path (0: not in it).
select
    n.nspname::text as schema,
    coalesce(array_position(current_schemas(false), n.nspname), 0) as place,
    c.relkind in ('r', 'p') as is_table
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relname = 'river_job' and c.relkind in ('r', 'p', 'v', 'm', 'f')
order by 1
