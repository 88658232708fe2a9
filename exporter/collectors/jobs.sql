-- Jobs of the live states by queue: from river_job_prioritized_fetching_index alone, whatever the table has of finished ones.
select
    j.state::text as state,
    j.queue,
    count(*)::int8 as jobs,
    coalesce(
        extract(epoch from clock_timestamp() - min(j.scheduled_at) filter (where j.state = 'available')), 0
    )::float8 as oldest
from {schema}.river_job as j
where j.state in ('available', 'pending', 'retryable', 'running', 'scheduled')
group by j.state, j.queue
