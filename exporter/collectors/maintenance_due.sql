-- When the first job of a state was due in each of the next 1,000 pairs of queue and priority after a given one, told as
-- the worst of them and the last. The fetching index has scheduled_at after both: so hop from one pair to the next.
with recursive due as (
    select
        %(queue)s::text as queue,
        %(priority)s::int2 as priority,
        null::timestamptz as scheduled_at,
        0 as hops
    union all
    select
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
        where j.state = %(state)s::{schema}.river_job_state and (j.queue, j.priority) > (due.queue, due.priority)
        order by j.queue, j.priority, j.scheduled_at
        limit 1
    ) as following
    where due.hops < 1000
)
(
    select
        due.queue,
        due.priority,
        extract(epoch from clock_timestamp() - due.scheduled_at)::float8 as waited,
        due.hops
    from due
    where due.hops > 0
    order by due.scheduled_at
    limit 1
)
union all
(
    select
        due.queue,
        due.priority,
        extract(epoch from clock_timestamp() - due.scheduled_at)::float8 as waited,
        due.hops
    from due
    where due.hops > 0
    order by due.hops desc
    limit 1
)
