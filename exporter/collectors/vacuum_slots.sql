-- The replication slot that keeps dead rows of this database: the one with the oldest transaction.
select
    'slot' as holder,
    s.xmin::text as oldest,
    age(s.xmin)::float8 as transactions,
    null::float8 as seconds
from pg_catalog.pg_replication_slots as s
where s.xmin is not null
order by age(s.xmin) desc
limit 1
