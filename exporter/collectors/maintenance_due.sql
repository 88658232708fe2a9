-- How long the first job that is due has waited for the scheduler.
-- The fetching index has scheduled_at after queue and priority: so hop from one pair to the next, at most 1,000 times.
with recursive due as (
    select
        waiting.state,
        '' as queue,
        (-1)::int2 as priority,
        null::timestamptz as scheduled_at,
        0 as hops
    from unnest(array['scheduled', 'retryable']::{schema}.river_job_state[]) as waiting (state)
    union all
    select
        due.state,
        following.queue,
        following.priority,
        following.scheduled_at,
        due.hops + 1
    from due
    cross join lateral (
        select
            j.queue,
            j.priority,
            j.scheduled_at
        from {schema}.river_job as j
        where j.state = due.state and (j.queue, j.priority) > (due.queue, due.priority)
        order by j.queue, j.priority, j.scheduled_at
        limit 1
    ) as following
    where due.hops < 1000
)
select coalesce(extract(epoch from clock_timestamp() - (select min(due.scheduled_at) from due)), 0)::float8 as waited
