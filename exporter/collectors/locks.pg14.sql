-- Who stands at the root of the queue each waiting session is in. pg_blocking_pids() briefly takes every partition of the
-- lock manager, so it is called for sessions that wait, and for nothing else. Pid 0 is a prepared transaction.
with recursive chain as (
    select
        waiter.pid as waiter,
        waiter.pid as member,
        0 as depth
    from unnest(%(pids)s::int[]) as waiter (pid)
    union
    select
        c.waiter,
        b.pid,
        c.depth + 1
    from chain as c
    cross join lateral unnest(pg_blocking_pids(c.member)) as b (pid)
    where
        c.depth < 8
        and (
            c.depth = 0
            or exists (
                select from pg_catalog.pg_stat_activity as m where m.pid = c.member and m.wait_event_type = 'Lock'
            )
        )
)
select distinct on (c.waiter)
    c.waiter,
    c.member as blocker,
    c.depth,
    coalesce(l.locktype || '/' || l.mode, '') as lock,
    coalesce(extract(epoch from clock_timestamp() - coalesce(l.waitstart, w.query_start))::float8, 0) as seconds,
    coalesce(b.backend_type, '') as backend_type,
    coalesce(extract(epoch from b.backend_start)::float8, 0) as started,
    coalesce(b.application_name, '') as application,
    coalesce(b.state, '') as state,
    coalesce(extract(epoch from clock_timestamp() - coalesce(b.xact_start, b.state_change))::float8, 0) as since,
    coalesce(b.query, '') as query
from chain as c
join pg_catalog.pg_stat_activity as w on w.pid = c.waiter
left join pg_catalog.pg_stat_activity as b on b.pid = c.member
-- a row lock's wait is on a transactionid, whose database is null
left join pg_catalog.pg_locks as l on l.pid = c.waiter and not l.granted
where c.depth > 0
order by c.waiter, (b.wait_event_type is not distinct from 'Lock'), c.depth desc
