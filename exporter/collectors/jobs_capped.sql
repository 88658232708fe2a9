-- Where there are more live jobs than are counted: by state and queue, no more than the budget in all, in two rounds.
-- In the first each pair of queue and priority has an equal share; what the small ones leave is shared by the
-- others in the second. The fetching index gives the pairs by hops, at most 1,000 a state.
with recursive pair as (
    select
        living.state,
        '' as queue,
        (-1)::int2 as priority,
        null::timestamptz as scheduled_at,
        0 as hops
    from unnest(
        array['available', 'pending', 'retryable', 'running', 'scheduled']::{schema}.river_job_state[]
    ) as living (state)
    union all
    select
        pair.state,
        following.queue,
        following.priority,
        following.scheduled_at,
        pair.hops + 1
    from pair
    cross join lateral (
        select
            j.queue,
            j.priority,
            j.scheduled_at
        from {schema}.river_job as j
        where j.state = pair.state and (j.queue, j.priority) > (pair.queue, pair.priority)
        order by j.queue, j.priority, j.scheduled_at
        limit 1
    ) as following
    where pair.hops < 1000
),

share as materialized (
    select greatest(10, %(budget)s::int8 / greatest(1, count(*))) as jobs
    from pair
    where pair.hops > 0
),

first as materialized (
    select
        pair.state,
        pair.queue,
        pair.priority,
        pair.scheduled_at,
        counted.jobs
    from pair
    cross join lateral (
        select count(*) as jobs
        from (
            select 1
            from {schema}.river_job as j
            where j.state = pair.state and j.queue = pair.queue and j.priority = pair.priority
            order by j.scheduled_at, j.id
            limit (select share.jobs from share)
        ) as counting
    ) as counted
    where pair.hops > 0
),

rest as materialized (
    select
        (%(budget)s::int8 - coalesce(sum(first.jobs) filter (where first.jobs < share.jobs), 0)::int8)
        / greatest(1, count(*) filter (where first.jobs = share.jobs)) as jobs
    from first
    cross join share
),

second as (
    select
        first.state,
        first.queue,
        first.scheduled_at,
        case when again.jobs is null then first.jobs else again.jobs end as jobs,
        case
            when again.jobs is null then first.jobs >= (select share.jobs from share)
            else again.jobs >= (select rest.jobs from rest)
        end as capped
    from first
    left join lateral (
        select count(*) as jobs
        from (
            select 1
            from {schema}.river_job as j
            where j.state = first.state and j.queue = first.queue and j.priority = first.priority
            order by j.scheduled_at, j.id
            limit (select rest.jobs from rest)
        ) as counting
    ) as again on first.jobs = (select share.jobs from share) and (select rest.jobs from rest) > first.jobs
)

select
    second.state::text as state,
    second.queue,
    sum(second.jobs)::int8 as jobs,
    coalesce(
        extract(epoch from clock_timestamp() - min(second.scheduled_at) filter (where second.state = 'available')), 0
    )::float8 as oldest,
    bool_or(second.capped) as capped
from second
group by second.state, second.queue
union all
select
    pair.state::text,
    'other',
    0,
    0,
    true
from pair
where pair.hops = 1000
