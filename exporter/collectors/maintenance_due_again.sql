-- How long the first job of a state, queue and priority has been due; negative before, no row without one.
select extract(epoch from clock_timestamp() - j.scheduled_at)::float8 as waited
from {schema}.river_job as j
where
    j.state = %(state)s::{schema}.river_job_state
    and j.queue = %(queue)s
    and j.priority = %(priority)s::int2
order by j.scheduled_at
limit 1
