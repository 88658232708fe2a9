-- The last completions within the window of seconds, and what is running: both by the index on state and finalized_at, at most
-- 500 and 30,000. A running job is overdue when it has outlasted its kind, and did so after the newest completion.
with latest as (
    select
        j.kind,
        j.attempted_at,
        j.finalized_at,
        case when current_setting('track_commit_timestamp') = 'on' then pg_xact_commit_timestamp(j.xmin) end as committed
    from {schema}.river_job as j
    where j.state = 'completed' and j.finalized_at is not null
    order by j.finalized_at desc
    limit 500
),
kinds as (
    select
        l.kind,
        -- by the database's clock where it is known: a worker's may be another
        greatest(max(coalesce(l.committed, l.finalized_at) - l.attempted_at) * 1.25, interval '0') + interval '2 seconds' as longest
    from latest as l
    group by l.kind
),
running as (
    select
        r.kind,
        r.attempted_at
    from {schema}.river_job as r
    where r.state = 'running'
    limit 30000
)
select
    (count(*) filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s)))::int as completed,
    (
        max(extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as lag,
    (
        percentile_disc(0.5) within group (order by extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as usual,
    (
        min(extract(epoch from l.committed - l.finalized_at))
            filter (where l.finalized_at > clock_timestamp() - make_interval(secs => %(window)s))
    )::float8 as least,
    extract(epoch from clock_timestamp() - max(l.finalized_at))::float8 as since,
    extract(epoch from max(l.finalized_at))::float8 as newest,
    (select count(*)::int from running as r) as running,
    (
        select count(*)::int
        from running as r
        join kinds as k on k.kind = r.kind
        where
            r.attempted_at + k.longest < clock_timestamp()
            and r.attempted_at + k.longest > (select max(n.finalized_at) from latest as n) - interval '2 seconds'
    ) as overdue
from latest as l
