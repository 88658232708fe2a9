-- Clients alive and the workers they may run, where this River keeps the tables up to date: it is null where it does not.
select
    nullif(count(distinct c.id), 0)::int8 as clients,
    sum(q.max_workers)::int8 as workers
from {schema}.river_client as c
left join {schema}.river_client_queue as q on q.river_client_id = c.id
where c.updated_at > now() - interval '5 minutes'
