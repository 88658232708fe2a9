-- River's queues, the paused ones first.
select
    q.name as queue,
    extract(epoch from clock_timestamp() - q.paused_at)::float8 as paused
from {schema}.river_queue as q
order by q.paused_at, q.name
limit 1000
