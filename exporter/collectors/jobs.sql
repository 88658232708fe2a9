-- Jobs of the live states by queue, from the fetching index alone. One more than the limit means that there are more.
-- The order within a state is the index's, so that no plan sorts, or reads the table.
select
    live.state,
    live.queue,
    count(*)::int8 as jobs,
    coalesce(
        extract(epoch from clock_timestamp() - min(live.scheduled_at) filter (where live.state = 'available')), 0
    )::float8 as oldest,
    false as capped
from (
    select
        living.state::text as state,
        job.queue,
        job.scheduled_at
    from unnest(
        array['available', 'pending', 'retryable', 'running', 'scheduled']::{schema}.river_job_state[]
    ) as living (state)
    cross join lateral (
        select
            j.queue,
            j.scheduled_at
        from {schema}.river_job as j
        where j.state = living.state
        order by j.queue, j.priority, j.scheduled_at, j.id
        limit %(limit)s::int8 + 1
    ) as job
    limit %(limit)s::int8 + 1
) as live
group by live.state, live.queue
